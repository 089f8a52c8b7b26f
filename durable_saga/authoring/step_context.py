"""What a running step or compensation may know of itself: above all the key that makes its effect happen once, and whether
somebody still waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from durable_saga.errors import UnsupportedOperation
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import saga_log

INCARNATION_CHARACTERS = 16


class Stop:
    """One attempt's word that it is to end. Set on the worker's loop, read in any thread."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        self.reason = ""


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step may know about its attempt. `idempotency_key` is the same for every attempt of a call:
    `namespace/saga/run/incarnation/call`, followed by `/undo` for a compensation. The incarnation, INCARNATION_CHARACTERS
    hexadecimal digits, is different in each life of a saga id: a saga that is started after an earlier one with its id was
    purged has new keys.

    `fencing_token` grows with every take-over. A service that remembers the highest token it saw can refuse a worker that was
    replaced. `attempt` counts from 1. `step` is the name of the step or compensation. `version` is that of the code of its
    saga, or child saga, at which that began."""

    idempotency_key: str
    fencing_token: int
    saga: str
    call: str
    attempt: int
    step: str = ""
    run: int = 1
    saga_type: str = ""
    version: int = 1
    _stop: Stop = field(default_factory=Stop, repr=False, compare=False)

    @property
    def cancelled(self) -> bool:
        """Nobody waits for this attempt any more: its saga was cancelled, its time-out is over, or the worker has lost the
        saga. A function in a thread can ask here; it may then raise NotApplied if it has done nothing yet."""
        return bool(self._stop.reason)

    def raise_if_cancelled(self) -> None:
        """Raises asyncio.CancelledError, which `except Exception` does not catch, if this attempt is cancelled."""
        if self._stop.reason:
            raise asyncio.CancelledError(self._stop.reason)


def key_prefix(key: h.RunKey, incarnation: bytes) -> str:
    """What the idempotency keys of a run begin with."""
    return f"{key.namespace}/{key.saga}/{key.run}/{incarnation.hex()[:INCARNATION_CHARACTERS]}/"


current: ContextVar[Callable[[], StepContext]] = ContextVar("durable_saga_step")
"""Makes it: most steps never ask."""


def for_log() -> dict[str, Any]:
    """What a log record carries that is written in a step or compensation; nothing outside of one."""
    make = current.get(None)
    if make is None:
        return {}
    found = make()
    return {"saga": found.saga, "run": found.run, "saga_type": found.saga_type, "step": found.step, "attempt": found.attempt}


saga_log.step_context = for_log


def refuse_within_step(kind: str, name: str) -> None:
    """Raises UnsupportedOperation in the code of a step or compensation: what is called there would be no part of the saga."""
    if current.get(None) is not None:
        raise UnsupportedOperation(
            f"{kind} {name} is called inside a step or compensation, where it would be a plain call: not journaled, without a"
            f" retry, time-out or compensation of its own. Call it in the saga's code; its plain function is"
            f" {name}.__wrapped__"
        )


def version_of_saga() -> int | None:
    """Of the saga, or child saga, whose step is running; None outside of a step."""
    make = current.get(None)
    return None if make is None else make().version


def step_context() -> StepContext:
    """The context of the step that is running. Raises UnsupportedOperation outside of a step."""
    try:
        make = current.get()
    except LookupError:
        raise UnsupportedOperation("step_context() is for the code of a step or compensation that a worker runs") from None
    return make()
