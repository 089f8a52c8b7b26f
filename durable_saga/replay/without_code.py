"""A run whose code can't go on, undone from its journal alone (docs/unwinding-from-the-journal.md).

It stands in the place of the forward part (`forward.py`): it folds the history up to the unwind of the whole saga, begins that
unwind where a stop is asked for, and runs no code of the saga. What follows is the ordinary unwind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from durable_saga.definition.definition import SagaDefinition
from durable_saga.failures.failures import rebuild_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.attributes import Attributes
from durable_saga.replay.definitions import Definitions
from durable_saga.replay.ending import Ending
from durable_saga.replay.history import INTENTS
from durable_saga.replay.holding import Holding
from durable_saga.replay.keys import Keys
from durable_saga.replay.phases import ENDED, FORWARD, HELD, UNWINDING
from durable_saga.replay.rebuilding import Rebuilding
from durable_saga.replay.standing import Standing
from durable_saga.replay.state import State
from durable_saga.replay.tape import Tape
from durable_saga.replay.unwind import Stack
from durable_saga.replay.unwinding import Unwinding

_TOLD = frozenset({
    "saga_started", "cancel_requested", "compensate_requested", "saga_timed_out", "recover_requested", "saga_terminated",
    "stopped_before_start",
    "compensation_completed", "compensation_attempt_failed", "compensation_stuck", "compensation_decided", "pause_requested",
    "resume_requested", "retry_requested",
})  # fmt: skip
"""Facts that do in the fold what they always do. Of the others, the code alone would have made something."""
Tell = Callable[[str, Any], None]


class WithoutCode:
    """`why`: what is wrong with the code. `tell` gives a fact to the parts of the run. `settles`: its code was done, and what
    was in doubt was being undone: it can't be stopped any more."""

    def __init__(
        self, definition: SagaDefinition, definitions: Definitions, why: str, tell: Tell, tape: Tape, standing: Standing,
        stack: Stack, holding: Holding, state: State, keys: Keys, attributes: Attributes, unwinding: Unwinding, ending: Ending,
    ) -> None:  # fmt: skip
        self._tell, self._tape, self._standing, self._holding, self._state = tell, tape, standing, holding, state
        self._keys, self._attributes, self._unwinding, self._ending = keys, attributes, unwinding, ending
        self._rebuilding = Rebuilding(definition, definitions, stack)
        self.cannot_start: Exception | None = None
        self.settles = False
        standing.without_code, unwinding.why = True, why

    # --- in the place of Forward ---------------------------------------------------------------------------------------

    def start(self, fact: h.SagaStarted) -> None:
        self._rebuilding.started(fact)

    def decode(self, fact: h.SagaStarted) -> None:
        """Nothing of it is needed now."""

    @contextmanager
    def told_why_it_cannot_start(self) -> Iterator[None]:
        yield

    def idle_at(self) -> str:
        return "the unwind from the journal"

    def settle(self) -> None:
        """Where a stop is asked for, begin the unwind. What is under way is cut off, and in doubt."""
        stop = self._standing.stop
        if stop is None or self.settles:
            return
        for call in list(self._rebuilding.open):
            cancelled = h.StepCancelled(call=call)
            self._tape.ask(h.Event(step_cancelled=cancelled))
            self._rebuilding.fold("step_cancelled", cancelled)
        for note in self._rebuilding.notes:
            self._unwinding.judging.note(note)
        self._ending.fail(stop)

    # --- for who has the run -------------------------------------------------------------------------------------------

    @property
    def can_be_undone(self) -> bool:
        return not (self._standing.past_pivot or self.settles or self._standing.phase == ENDED)

    @property
    def knows_any(self) -> bool:
        """Any of what is to be called was found; also where there is nothing to be called."""
        return self._rebuilding.found > 0 or not self._rebuilding.missing

    def is_being_undone(self, now_ms: int) -> bool:
        """A stop stands in its history, or is due."""
        standing = self._standing
        is_due = 0 < standing.deadline_ms <= now_ms - self._tape.stood_ms and not self._tape.clock_stands
        return self.can_be_undone and (standing.stop is not None or standing.phase == UNWINDING or is_due)

    # --- the history -----------------------------------------------------------------------------------------------------

    def fold(self, event: h.Event, kind: str, *, taken_back: bool) -> bool:
        """Take one event of the forward part. False: it is no longer that, and is replayed as always."""
        standing, body = self._standing, getattr(event, kind)
        if standing.phase not in (FORWARD, HELD):
            return False
        if kind == "unwind_started" and not body.call and not taken_back:
            error = standing.stop or self._holding.error or rebuild_exception(body.failure, step="", call="")
            self._ending.unwind(body.failure, error, cancels=body.cancelled)
            self._unwinding.go_on()
            return False
        self._tape.history.passed(event)
        if kind not in INTENTS:
            self._tape.now_ms = event.time_ms
            self._tape.activation += 1
        if taken_back:
            return True
        if kind in _TOLD:
            self._tell(kind, body)
            if standing.phase == UNWINDING:  # it was held, and then a stop was asked for
                self._unwinding.go_on()
        elif (one := _FOLDS.get(kind)) is not None:
            one(self, body)
        else:
            self._rebuilding.fold(kind, body)
        return True

    def _pivot_passed(self, _: h.PivotPassed) -> None:
        self._standing.past_pivot, self._standing.deadline_ms = True, 0

    def _held(self, body: h.SagaHeld) -> None:
        self._holding.was_held(body)

    def _settling_started(self, _: h.SettlingStarted) -> None:
        self.settles = True

    def _state_changed(self, body: h.StateChanged) -> None:
        self._state.committed(body.changes)

    def _key_declared(self, body: h.KeyDeclared) -> None:
        self._keys.start([body.key])

    def _attributes_set(self, body: h.AttributesSet) -> None:
        self._attributes.committed(body.attributes)

    def _ended(self, body: h.SagaEnded) -> None:
        self._standing.phase, self._standing.status = ENDED, body.status


_FOLDS: Mapping[str, Callable[[WithoutCode, Any], None]] = {
    "pivot_passed": WithoutCode._pivot_passed,
    "saga_held": WithoutCode._held,
    "settling_started": WithoutCode._settling_started,
    "state_changed": WithoutCode._state_changed,
    "key_declared": WithoutCode._key_declared,
    "attributes_set": WithoutCode._attributes_set,
    "saga_ended": WithoutCode._ended,
}


def is_from_journal(event: h.Event) -> bool:
    """From here on no code of the saga has run, and none runs."""
    return event.HasField("unwind_started") and event.unwind_started.from_journal
