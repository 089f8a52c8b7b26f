"""Steps that do nothing, or fail, and user functions that go wrong, for the tests of conditions and orders."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from durable_saga import Retry, step
from durable_saga.testing import SagaResult, SagaTestRunner

ONCE = Retry(max_attempts=1)


class Refused(Exception):
    """What fails the sagas here."""


def play(one: Any, *args: Any) -> SagaResult:
    return asyncio.run(SagaTestRunner().run(one, *args))


def notes(result: SagaResult) -> list[str]:
    return [note for one in result._events for note in one.unwind_started.notes]


def skipped(result: SagaResult) -> list[str]:
    return [one.compensation_skipped.reason for one in result._events if one.HasField("compensation_skipped")]


def stepped(name: str, when: Callable[[Any], bool] | None = None, *, error: Exception | None = None, **options: Any) -> Any:
    """A step that does nothing, or fails, and what undoes it."""

    async def act(wait: float = 0) -> str:
        if error is not None:
            raise error
        return name

    async def undo(wait: float = 0) -> None: ...

    made = step(name=name, retry=ONCE)(act)
    made.compensation(when=when, **options)(undo)
    return made


refuse = stepped("refuse", error=Refused("no"))


def raises(_: Any) -> Any:
    raise KeyError("broken")


def exits(_: Any) -> Any:
    sys.exit(3)


async def is_async(_: Any) -> bool:
    return False


async def undo_more() -> None: ...
