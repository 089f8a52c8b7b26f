"""A saga that failed and is not unwound: it is held for a person, who lets it go on forward or be compensated.

It comes to this where the definition says `when_failed="hold"`, and always after the pivot. To go on forward is a matter of
the history alone: `RecoverRequested` takes back the events from `from_seq` up to itself, messages excepted. The run is dropped
and replayed, its failed step is attempted once more, and code that was mended meanwhile goes its new way from there.

    FORWARD --main fails--> HELD --recover--> (replayed) FORWARD
    HELD --compensate, cancel--> UNWINDING        (refused after the pivot)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from durable_saga.failures.failures import rebuild_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.pending import Pending
from durable_saga.replay.phases import HELD
from durable_saga.replay.standing import Standing
from durable_saga.replay.tape import Tape
from durable_saga.replay.unwind import Stack

MESSAGES = frozenset({
    "signal_received", "cancel_requested", "compensation_decided", "compensate_requested", "pause_requested",
    "resume_requested", "retry_requested",
})  # fmt: skip


class Holding:
    """Owns the way over the pivot, and what recovering takes back."""

    __slots__ = ("_failed_calls", "_from_seq", "_stack", "_standing", "_tape", "error", "failure")

    def __init__(self, tape: Tape, standing: Standing, stack: Stack) -> None:
        self._tape, self._standing, self._stack = tape, standing, stack
        self.failure = p.Failure()
        self.error: BaseException | None = None
        self._from_seq = 0
        self._failed_calls: list[tuple[str, int]] = []

    def pass_pivot(self) -> None:
        standing = self._standing
        if not standing.past_pivot:
            standing.past_pivot, standing.deadline_ms = True, 0
            self._stack.pass_pivot()
            self._tape.ask(h.Event(pivot_passed=h.PivotPassed()))

    def hold(self, failure: p.Failure, error: BaseException) -> None:
        """A recovery takes back the history from where the tape says."""
        standing = self._standing
        standing.phase, standing.deadline_ms = HELD, 0
        self.failure, self.error = failure, error
        self._from_seq = self._tape.back_to
        held = h.SagaHeld(failure=failure, from_seq=self._from_seq, past_pivot=standing.past_pivot)
        self._tape.ask(h.Event(saga_held=held))
        standing.status = h.HELD

    def was_held(self, held: h.SagaHeld) -> None:
        """As its history says."""
        standing = self._standing
        standing.phase, standing.status, standing.deadline_ms = HELD, h.HELD, 0
        self.failure, self.error = held.failure, rebuild_exception(held.failure, step="", call="")
        self._from_seq = held.from_seq

    def complete(self, event: h.Event) -> None:
        """The request gets what only the run knows, before it is recorded."""
        event.recover_requested.from_seq = self._from_seq

    def take_back(self, event: h.Event) -> None:
        """An event that a later recovery took back."""
        if event.HasField("step_failed"):
            self._failed_calls.append((event.step_failed.call, event.step_failed.attempt))

    def again(self, calls: Mapping[str, Pending]) -> None:
        """The recovery itself, in a replay: failed steps are attempted once more."""
        for call, attempt in self._failed_calls:
            pending = calls.get(call)
            if pending is not None:
                pending.attempt, pending.not_before_ms, pending.from_history = attempt + 1, 0, False
                pending.is_kept_back = self._standing.is_paused
        self._failed_calls.clear()


def taken_back(events: Sequence[h.Event]) -> set[int]:
    """The sequence numbers that recoveries took back."""
    return {seq for start, end in _ranges(events) for seq in range(start, end)}


def _ranges(events: Iterable[h.Event]) -> list[tuple[int, int]]:
    return [(one.recover_requested.from_seq, one.seq) for one in events if one.HasField("recover_requested")]
