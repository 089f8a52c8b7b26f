"""Whether this thread runs saga code, and of which run: a thread-local mark that costs one attribute outside of sagas."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from durable_saga.errors import BlockingCall
from durable_saga.replay.dice import Dice


class Environment(Protocol):
    """What stands in for the machine while saga code runs."""

    @property
    def dice(self) -> Dice: ...

    @property
    def is_repeating(self) -> bool:
        """Whether the code that runs has run before, so that what it says was said."""

    def now(self) -> float:
        """Unix time in seconds."""

    def log_context(self) -> dict[str, Any]:
        """What a log record of this code carries."""


class _Mark(threading.local):
    environment: Environment | None = None


mark = _Mark()


class Marked:
    """Code of this environment runs in here, None: no saga code. May be nested; raises nothing by itself."""

    __slots__ = ("_before", "_environment")

    def __init__(self, environment: Environment | None) -> None:
        self._environment = environment

    def __enter__(self) -> None:
        self._before = mark.environment
        mark.environment = self._environment

    def __exit__(self, *_: object) -> None:
        mark.environment = self._before


def outside() -> Marked:
    """What is called in here has the machine's clock and dice and may do anything, though saga code called it."""
    return Marked(None)


def leave() -> None:
    """This thread runs no saga code, whatever was cut short."""
    mark.environment = None


def inside() -> bool:
    """Whether this thread runs saga code."""
    return mark.environment is not None


def refusal(sentence: str) -> BlockingCall:
    return BlockingCall(f"saga code {sentence}: it is replayed after a crash, so do this in a @step")
