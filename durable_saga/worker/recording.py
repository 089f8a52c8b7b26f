"""What is told of one run while a worker has it: lines of the log, with the saga that they are about, and metrics."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga.pb.log_fields import about
from durable_saga.replay.commands import RunStep
from durable_saga.telemetry import catalogue as metrics
from durable_saga.telemetry import tracing
from durable_saga.telemetry.tracing import NO_SPAN, AttemptSpan, NoSpan
from durable_saga.worker.failing import Attempted, FailureLog, failure_of_code, tell_slow

log = logging.getLogger(__name__)
_OUTCOMES = {
    "step_completed": "completed", "compensation_completed": "completed", "step_attempt_failed": "retried",
    "compensation_attempt_failed": "retried", "step_failed": "failed", "compensation_stuck": "stuck",
}  # fmt: skip


def attributes_of(key: h.RunKey, saga_type: str) -> dict[str, str | int]:
    """What every span of a run has."""
    return {
        "durable_saga.namespace": key.namespace, "durable_saga.saga": key.saga, "durable_saga.run": key.run,
        "durable_saga.saga_type": saga_type,
    }  # fmt: skip


class Recording:
    """Of one run. `started_ms`: when it was started; `carried`: what its start carried."""

    __slots__ = ("_failures", "_key", "carried", "saga_type", "started_ms")

    def __init__(self, key: h.RunKey, failures: FailureLog) -> None:
        self._key, self.saga_type, self.started_ms = key, "", 0
        self.carried: Mapping[str, str] = {}
        self._failures = failures

    def say(self, level: int, text: str, *args: Any) -> None:
        """A line about the run; it begins with its saga."""
        log.log(level, f"saga %s {text}", self._key.saga, *args, extra=about(self._key, self.saga_type))

    # --- the run -----------------------------------------------------------------------------------------------------------

    def status(self, status: h.Status, before: h.Status, events: Iterable[h.Event]) -> h.Status:
        """The status of the run, as its code has it, and what is new."""
        if status != before:
            self._failures.saga(self._key, self.saga_type, events)
            for event in events:
                if (failure := failure_of_code(event)) is not None:
                    metrics.SAGA_FAILURES.add(1, self.saga_type, failure.type)
        return status

    def ended(self, status: h.Status, now_ms: int) -> None:
        """Its end is in the journal. A run that continues in a next one has not ended its saga."""
        if status != h.CONTINUED:
            name = status_name(status)
            metrics.SAGAS_ENDED.add(1, self.saga_type, name)
            metrics.SAGA_DURATION.record(max(now_ms - self.started_ms, 0) / 1000, self.saga_type, name)

    def lost(self, reason: str) -> None:
        """Somebody else has it."""
        metrics.RUNS_LOST.add(1)
        self.say(logging.WARNING, "continues on another worker: %s", reason)

    # --- its attempts ------------------------------------------------------------------------------------------------------

    def attempt_began(self, seconds: float) -> None:
        """So long after it was due."""
        metrics.ATTEMPT_DELAY.record(seconds, self.saga_type)

    def attempt_ended(self, effect: Attempted, event: h.Event, seconds: float, now_ms: int) -> None:
        """The outcome of one that somebody waited for; it ran for so long."""
        happened = str(event.WhichOneof("kind"))
        outcome, step = _OUTCOMES[happened], effect.definition.name
        kind = "step" if isinstance(effect, RunStep) else "compensation"
        metrics.ATTEMPTS.add(1, self.saga_type, step, kind, outcome)
        metrics.ATTEMPT_DURATION.record(seconds, self.saga_type, step, kind)
        if outcome != "completed":
            metrics.ATTEMPT_ERRORS.add(1, self.saga_type, step, getattr(event, happened).failure.type)
            self._failures.attempt(self._key, self.saga_type, effect, event, now_ms)

    def span(self, effect: Attempted) -> AttemptSpan | NoSpan:
        """Around the code of an attempt."""
        if not tracing.is_on():
            return NO_SPAN
        step, is_step = effect.definition.name, isinstance(effect, RunStep)
        attributes = {
            **attributes_of(self._key, self.saga_type), "durable_saga.step": step, "durable_saga.call": effect.call,
            "durable_saga.attempt": effect.attempt,
        }  # fmt: skip
        return AttemptSpan(f"{'step' if is_step else 'compensation'} {step}", self.carried, attributes)

    def slow(self, effect: Attempted, seconds: float) -> None:
        """An attempt that nothing ends."""
        tell_slow(self._key, self.saga_type, effect, seconds)
