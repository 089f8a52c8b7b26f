"""Runs the unwind of one run: starts compensations in the order of the stack, takes their outcomes, ends the saga.

Shielded from cancellation by construction: no user coroutine takes part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.calls import compensation_arguments
from durable_saga.replay.commands import CancelStep, Effect, RunCompensation
from durable_saga.replay.unwind import REGISTERED, RUNNING, STUCK, Entry

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

_VERBS = {
    h.CompensationDecided.RETRY: "retry",
    h.CompensationDecided.SKIP: "skip",
    h.CompensationDecided.RESOLVE: "resolve",
}


class Unwinding:
    """Owns the failure that started the unwind and the status that ends it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._failure = p.Failure()
        self._cancelled = False
        self._had_entries = False

    def start(self, failure: p.Failure, *, cancelled: bool) -> None:
        self._failure, self._cancelled = failure, cancelled
        core = self._core
        core.ask(h.Event(unwind_started=h.UnwindStarted(failure=failure, cancelled=cancelled)))
        core.stack.start()
        self._had_entries = bool(core.stack.plan)

    def go_on(self) -> None:
        """Start what can start; end when all is settled; be stuck when only an operator can go on."""
        core = self._core
        for entry in core.stack.ready():
            moved = entry.step("schedule")
            assert moved, f"compensation {entry.call} can't be scheduled while {entry.state}"
            core.ask(h.Event(compensation_scheduled=h.CompensationScheduled(
                call=entry.call, name=entry.definition.name,
            )))  # fmt: skip
            core.effects.append(self._effect(entry))
        if core.stack.any_in(REGISTERED, RUNNING):
            core.status = h.COMPENSATING
        elif core.stack.any_in(STUCK):
            core.status = h.COMPENSATION_STUCK
        else:
            undone = h.COMPENSATED if self._had_entries else h.FAILED
            core.end(h.CANCELLED if self._cancelled else undone, failure=self._failure)

    def effects(self) -> list[Effect]:
        """What runs now, for a process that takes over."""
        return [self._effect(entry) for entry in self._core.stack.plan if entry.state == RUNNING]

    def wants(self, fact: Any) -> bool:
        entry = self._core.stack.entries.get(fact.call)
        return entry is not None and entry.state == RUNNING and entry.attempt == fact.attempt

    def completed(self, fact: h.CompensationCompleted) -> None:
        self._step(fact.call, "completed")

    def stuck(self, fact: h.CompensationStuck) -> None:
        self._step(fact.call, "stuck")

    def attempt_failed(self, fact: h.CompensationAttemptFailed) -> None:
        entry = self._step(fact.call, "attempt failed")
        entry.attempt = fact.attempt + 1
        entry.not_before_ms = fact.retry_at_ms
        self._core.effects.append(self._effect(entry))

    def decided(self, fact: h.CompensationDecided) -> None:
        """An operator's word. One that does not fit the state is recorded and changes nothing."""
        entry = self._core.stack.entries.get(fact.call)
        verb = _VERBS.get(fact.verb)
        if entry is None or verb is None or entry not in self._core.stack.plan:
            return
        was = entry.state
        if not entry.step(verb):
            return
        if verb == "retry":
            entry.attempt, entry.not_before_ms = entry.attempt + 1, 0
        elif was == RUNNING:
            self._core.effects.append(CancelStep(entry.call))

    def _step(self, call: str, event: str) -> Entry:
        entry = self._core.stack.entries[call]
        before = entry.state
        if not entry.step(event):
            raise AssertionError(f"compensation {call} is {before}: it can't be {event}")
        return entry

    def _effect(self, entry: Entry) -> RunCompensation:
        args, kwargs = compensation_arguments(entry)
        return RunCompensation(entry.call, entry.definition, args, kwargs, entry.attempt, entry.not_before_ms)
