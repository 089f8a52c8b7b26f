"""Runs the unwinds of one run: starts compensations in the order of the stack, takes their outcomes, ends the saga.

Four things unwind: the whole saga, at its end; a scope that fails while the saga goes on; one step whose compensation is to
run at once; and what is in doubt when the saga's code is done, before the saga ends well (it *settles*, docs/laws.md). All of
them go through `Scope`, and are shielded from cancellation by construction: no user coroutine takes part in them. The unwind
of the saga takes over what the others have begun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from durable_saga.failures.failures import failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.commands import CancelStep, Effect
from durable_saga.replay.judging import Judging, Recorded, is_mere_cancellation, leading_error
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.phases import SETTLING, UNWINDING
from durable_saga.replay.standing import Standing
from durable_saga.replay.tape import Tape
from durable_saga.replay.undoing import attempt_of
from durable_saga.replay.unwind import REGISTERED, RUNNING, STUCK, Entry, Scope, Stack, any_entry

_VERBS = {
    h.CompensationDecided.RETRY: "retry",
    h.CompensationDecided.SKIP: "skip",
    h.CompensationDecided.RESOLVE: "resolve",
}


class Unwinding:
    """Owns what ends the unwind of the saga, and the unwinds before that. `why`: what is wrong with the code of a saga that is
    undone from its journal, else empty."""

    __slots__ = ("_end", "_loop", "_partial", "_stack", "_standing", "_tape", "judging", "why")

    def __init__(self, tape: Tape, standing: Standing, loop: SagaLoop, stack: Stack, judging: Judging) -> None:
        self._tape, self._standing, self._loop, self._stack = tape, standing, loop, stack
        self._partial: list[tuple[Scope, Callable[[], None]]] = []
        self.judging = judging
        self._end: Callable[[], None] | None = None
        self.why = ""

    # --- the whole saga ------------------------------------------------------------------------------------------------

    def start(
        self, failure: p.Failure, error: BaseException, *, cancelled: bool, end: Callable[[h.Status], None]
    ) -> None:  # fmt: skip
        """`end` is called once all is settled, with the status that comes of it."""
        stack = self._stack
        self._standing.phase = UNWINDING
        self._partial.clear()
        started = h.UnwindStarted(failure=failure, cancelled=cancelled, from_journal=bool(self.why), why=self.why)
        self._begin(stack.root, started, error)
        had_entries = any(entry.state in (REGISTERED, RUNNING, STUCK) for entry in stack.entries.values())

        def settled() -> None:
            undone = h.COMPENSATED if had_entries or stack.any_in("done", "resolved") else h.FAILED
            end(h.CANCELLED if cancelled else undone)

        self._end = settled

    def go_on(self) -> None:
        """Start what can start; end when all is settled; be stuck when only an operator can go on."""
        stack, standing = self._stack, self._standing
        self._start(stack.root.ready())
        if stack.any_planned_in(REGISTERED, RUNNING):
            standing.status = h.RUNNING if standing.phase == SETTLING else h.COMPENSATING
        elif stack.any_planned_in(STUCK):
            standing.status = h.COMPENSATION_STUCK
        else:
            assert self._end is not None, "what unwinds or settles was begun"
            self._end()

    def settle(self, end: Callable[[], None], *, result: bytes = b"") -> None:
        """The saga's code is done: undo what is in doubt, then `end()`. Raises nothing, and ends at once if nothing is."""
        standing = self._standing
        doubtful = self._stack.in_doubt()
        if not doubtful or self._tape.history.ended_at_once():
            end()
            return
        self._end = end
        started = h.SettlingStarted(pending=[entry.call for entry in doubtful if entry.state == REGISTERED])
        if result:
            started.result.data = result
        calls = {entry.call for entry in doubtful}
        recorded = self.judging.recorded(None)
        errors = {entry.call: entry.error if entry.in_doubt else entry.postponed for entry in doubtful}
        left_out = [
            entry for entry in doubtful
            if entry.state == REGISTERED and not self._is_needed(entry, errors[entry.call], recorded)
        ]  # fmt: skip
        for entry in doubtful:
            entry.postponed = None
            if entry.cause is None and (error := errors[entry.call]) is not None:
                entry.cause = leading_error(error)
        self._record(
            h.Event(settling_started=started), started, self._stack.root, left_out, recorded, lambda e: e.call in calls
        )
        for entry in left_out:
            self._tell_left_out(entry, errors[entry.call])
        standing.phase, standing.deadline_ms = SETTLING, 0  # no time-out or request to stop concerns it any more

    # --- a part of it, while the saga goes on ------------------------------------------------------------------------------

    async def scope_failed(self, scope: Scope, error: BaseException) -> None:
        """Undo what the scope did; returns when that is settled. Can't be cancelled, but by the end of the saga."""
        started = h.UnwindStarted(failure=failure_from_exception(error), call=scope.call)
        self._begin(scope, started, error, may_postpone=True)
        if scope.settled():
            return
        future = self._loop.create_future()
        self._partial.append((scope, lambda: future.set_result(None)))
        await self._standing.wait_shielded(future)

    def at_once(self, entry: Entry, failure: p.Failure, error: BaseException, then: Callable[[], None]) -> None:
        """Run the compensation of a step that failed, unless its condition says no; `then` is called when that is settled."""
        needed = self.judging.recorded_at_once(entry.call)
        if needed is None:
            needed = self.judging.is_needed(entry, error)
        if not needed:
            entry.step("not due")
            self._tell_left_out(entry, error)
            then()
            return
        entry.cause = leading_error(error)
        started = h.UnwindStarted(failure=failure, call=entry.call, pending=[entry.call], notes=self.judging.take_new())
        self._tape.ask(h.Event(unwind_started=started))
        scope = Scope(entry.call, entry.name, items=[entry])
        scope.start()
        self._partial.append((scope, then))

    def go_on_partially(self) -> bool:
        """Start what can start in the unwinds of parts. True: something was settled, so the saga's code can go on."""
        if not self._partial:
            self._standing.status = h.RUNNING
            return False
        settled = [one for one in self._partial if one[0].settled()]
        self._partial = [one for one in self._partial if not one[0].settled()]
        for _, then in settled:
            then()
        for scope, _ in self._partial:
            self._start(scope.ready())
        self._standing.status = h.COMPENSATION_STUCK if any(not one.busy() for one, _ in self._partial) else h.RUNNING
        return bool(settled)

    @property
    def has_parts(self) -> bool:
        return bool(self._partial)

    # --- both ----------------------------------------------------------------------------------------------------------

    def _begin(self, scope: Scope, started: h.UnwindStarted, error: BaseException, *, may_postpone: bool = False) -> None:
        """Ask the conditions and the order, record what they say, and fix the plan."""
        recorded = self.judging.recorded(started.call)
        may_postpone = may_postpone and is_mere_cancellation(error)
        for entry in scope.entries():
            if recorded is not None and entry.call in recorded.pending:
                entry.step("restored")  # an older history has one compensation for each call of a step
        not_begun = [entry for entry in scope.entries() if entry.state == REGISTERED]
        left_out = []
        for entry in not_begun:
            entry.postponed = None
            if may_postpone and _is_open(entry) and (recorded is None or entry.call not in recorded.pending):
                entry.postponed = error
            elif not self._is_needed(entry, error, recorded):
                left_out.append(entry)
            elif entry.cause is None:
                entry.cause = leading_error(error)
        started.pending.extend(entry.call for entry in not_begun if entry.unsettled)
        self._record(h.Event(unwind_started=started), started, scope, left_out, recorded)
        for entry in left_out:
            self._tell_left_out(entry, error)

    def _is_needed(self, entry: Entry, error: BaseException | None, recorded: Recorded | None) -> bool:
        """As the history has it; else as its condition says. What an unwind within this one holds is decided."""
        if recorded is not None and (recorded.whole or entry.call in recorded.skipped):
            return entry.call not in recorded.skipped
        return error is None or not _is_open(entry) or self.judging.is_needed(entry, error)

    def _record(
        self, event: h.Event, started: h.UnwindStarted | h.SettlingStarted, scope: Scope, left_out: Sequence[Entry],
        recorded: Recorded | None, wanted: Callable[[Entry], bool] = any_entry,
    ) -> None:  # fmt: skip
        """Ask for the start of an unwind, and fix its plan. `event` holds a copy of what is `started`."""
        for entry in left_out:
            entry.step("not due")
        order = recorded.order if recorded is not None else self.judging.order_of(scope, wanted)
        asked = event.unwind_started if isinstance(started, h.UnwindStarted) else event.settling_started
        asked.order.extend(order)
        asked.notes.extend(self.judging.take_new())
        self._tape.ask(event)
        scope.start(order, wanted)

    def _tell_left_out(self, entry: Entry, error: BaseException | None) -> None:
        what = type(leading_error(error)).__name__ if error is not None else "it"
        skipped = h.CompensationSkipped(call=entry.call, reason=f"its condition says no to {what}")
        self._tape.ask(h.Event(compensation_skipped=skipped))

    def _start(self, entries: list[Entry]) -> None:
        for entry in entries:
            moved = entry.step("schedule")
            assert moved, f"compensation {entry.call} can't be scheduled while {entry.state}"
            entry.is_kept_back = self._standing.is_paused
            self._tape.ask(h.Event(compensation_scheduled=h.CompensationScheduled(
                call=entry.call, name=entry.definition.name,
            )))  # fmt: skip
            self._tape.want(partial(attempt_of, entry))

    def effects(self) -> list[Effect]:
        """What runs now, for a process that takes over."""
        return [attempt_of(entry) for entry in self._stack.entries.values() if entry.state == RUNNING]

    def wants(self, fact: Any) -> bool:
        entry = self._stack.entries.get(fact.call)
        return entry is not None and entry.state == RUNNING and entry.attempt == fact.attempt

    def completed(self, fact: h.CompensationCompleted) -> None:
        self._step(fact.call, "completed")

    def stuck(self, fact: h.CompensationStuck) -> None:
        self._step(fact.call, "stuck")

    def attempt_failed(self, fact: h.CompensationAttemptFailed) -> None:
        entry = self._step(fact.call, "attempt failed")
        entry.attempt = fact.attempt + 1
        entry.not_before_ms, entry.is_kept_back = fact.retry_at_ms, self._standing.is_paused
        entry.interruptions += fact.interrupted
        entry.failing_since_ms = entry.failing_since_ms or self._tape.now_ms
        self._tape.want(partial(attempt_of, entry))

    def decided(self, fact: h.CompensationDecided) -> None:
        """An operator's word. One that does not fit the state is recorded and changes nothing."""
        entry = self._stack.entries.get(fact.call)
        verb = _VERBS.get(fact.verb)
        if entry is None or verb is None or not entry.planned:
            return
        was = entry.state
        if not entry.step(verb):
            return
        if verb == "retry":
            entry.attempt, entry.not_before_ms = entry.attempt + 1, 0
        elif was == RUNNING:
            self._tape.want(partial(CancelStep, entry.call))

    def _step(self, call: str, event: str) -> Entry:
        entry = self._stack.entries[call]
        before = entry.state
        if not entry.step(event):
            raise AssertionError(f"compensation {call} is {before}: it can't be {event}")
        return entry


def _is_open(entry: Entry) -> bool:
    """It has a condition, and no unwind holds it yet."""
    return entry.definition.when is not None and not entry.planned
