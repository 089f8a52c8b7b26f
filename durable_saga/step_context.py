"""What a running step or compensation may know of itself: above all the key that makes its effect happen once."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from durable_saga.errors import UnsupportedOperation
from durable_saga.replay import saga_log


@dataclass(frozen=True, slots=True)
class StepContext:
    """`idempotency_key` is the same for every attempt of this call, `namespace/saga/run/call` (a compensation's ends in
    `/undo`). `fencing_token` grows with every take-over: a service that remembers the highest one it saw can refuse a
    worker that was replaced. `attempt` counts from 1. `step` is the
    name of the step or compensation."""

    idempotency_key: str
    fencing_token: int
    saga: str
    call: str
    attempt: int
    step: str = ""
    run: int = 1
    saga_type: str = ""


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


def step_context() -> StepContext:
    """The context of the step that runs now. Raises UnsupportedOperation outside of one."""
    try:
        make = current.get()
    except LookupError:
        raise UnsupportedOperation("step_context() is for the code of a step or compensation that a worker runs") from None
    return make()
