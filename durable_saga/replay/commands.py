"""What the replay core asks of the world: values, no behaviour.

The worker starts an effect only after the events of the same `Output` are committed. `RunStep` of a step without effects
(`definition.effect` is False) may start at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durable_saga.pb import history_pb2 as h

if TYPE_CHECKING:
    from durable_saga.definition.definition import CompensationDefinition, StepDefinition
    from durable_saga.definition.retry import Retry


@dataclass(slots=True)  # frozen ones take five times as long to make, and this is made for every step
class RunStep:
    """Attempt a step. `interrupted`: an earlier attempt may have started in a process that is gone (after a take-over);
    a step with at_most_once is then not run but reported as failed with StepInterrupted. `not_before_ms`: 0 is now.
    `retry` None: the worker's default. `interruptions`: so many of the attempts before were cut off by workers that died; they
    do not count for the policy. `carried`: by the message in whose handler it was called, over what the start carries."""

    call: str
    definition: StepDefinition
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    attempt: int
    not_before_ms: int = 0
    interrupted: bool = False
    retry: Retry | None = None
    interruptions: int = 0
    carried: bytes = b""


@dataclass(frozen=True, slots=True)
class RunCompensation:
    """Attempt a compensation; first wait until no attempt of the same call runs in this process any more. The function is
    called with args and kwargs as they are here (the step's result is already among them if it asks for it).
    `failing_since_ms`: when its first attempt failed, 0: none did. `carried`: as of a step."""

    call: str
    definition: CompensationDefinition
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    attempt: int
    not_before_ms: int = 0
    interruptions: int = 0
    failing_since_ms: int = 0
    carried: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelStep:
    """Cancel the attempt of this call if one runs or waits; its outcome is not reported any more."""

    call: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing begins from now on, also of what was asked for before. It holds at once, and does not wait for the commit."""

    number: int
    call: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """The end of the pause of this number: what was kept back begins, unless the run is paused again by now."""

    number: int
    call: str = ""


@dataclass(frozen=True, slots=True)
class RetryNow:
    """Attempts that don't wait for the end of their back-off any more, each with its call and number."""

    attempts: Sequence[tuple[str, int]]
    call: str = ""


NOT_DECODED: Any = object()
"""In the place of a result that stands in its event alone."""
Effect = RunStep | RunCompensation | CancelStep | Pause | Resume | RetryNow


@dataclass(slots=True)
class Output:
    """Everything that the core produced since the last `take()`. `events` carry seq and time and are contiguous."""

    events: list[h.Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    size: int = 0
    """Bytes of the events."""
    status: h.Status = h.RUNNING
    next_timer_ms: int = 0
    replay_again: bool = False
    """The run goes on by being dropped and replayed, once these events are committed."""
    must_commit: bool = False
    """False while everything here can wait for a later commit (nothing but effect-free steps and their results)."""
