"""One run of a saga as a pure machine: history in, commands out. No clock, no randomness, no network.

`replay()` walks through the committed history, then `feed()` takes one new fact at a time and runs the saga's code until it
is idle; `take()` hands out what is to be committed and what is to be started after that. The same history gives the same
commands, however it was cut into batches. The first error latches: a core that raised is dropped, and built again from
the committed history.

    FORWARD --main ends well, or continues in a new run--> ENDED; SETTLING --> ENDED where an effect is in doubt (docs/laws.md)
    FORWARD --main fails, and is to be held--> HELD (holding.py)
    FORWARD --main fails, is cancelled or timed out--> UNWINDING --> ENDED
    UNWINDING <--an operator's retry-- STUCK --an operator's skip or resolve--> ENDED
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any

from durable_saga.codec.decode import ASIDE_ABOVE_BYTES
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import (
    CompensationRequested,
    FutureEventKind,
    NonDeterminism,
    SagaTimedOut,
)
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.payloads import DETERMINISM_RULES
from durable_saga.replay import anyio_order
from durable_saga.replay.aside import Decode, is_to_be_decoded_aside, stretches
from durable_saga.replay.attributes import Attributes
from durable_saga.replay.calls import Calls
from durable_saga.replay.carrying import NOTHING_CARRIED, Carry
from durable_saga.replay.children import Children
from durable_saga.replay.commands import NOT_DECODED, Output
from durable_saga.replay.continuing import Continuing
from durable_saga.replay.definitions import NOTHING_KNOWN, Definitions
from durable_saga.replay.dice import Dice
from durable_saga.replay.ending import Ending
from durable_saga.replay.forward import Forward
from durable_saga.replay.guard import guarded
from durable_saga.replay.history import INTENTS, kind_of
from durable_saga.replay.holding import MESSAGES, Holding, taken_back
from durable_saga.replay.judging import Judging
from durable_saga.replay.keys import Declared, Keys
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.pausing import Pausing
from durable_saga.replay.phases import ENDED, FORWARD, HELD, REPLAY_AGAIN, SETTLING, UNWINDING
from durable_saga.replay.retrying import Retrying
from durable_saga.replay.scopes import Scopes
from durable_saga.replay.signals import Signals
from durable_saga.replay.standing import Standing
from durable_saga.replay.state import State
from durable_saga.replay.tape import Tape
from durable_saga.replay.unawaited import Unawaited
from durable_saga.replay.unwind import Scope, Stack
from durable_saga.replay.unwinding import Unwinding
from durable_saga.replay.versions import Versions
from durable_saga.replay.without_code import WithoutCode, is_from_journal

anyio_order.install()
_BEGIN = ("saga_started", "recover_requested")
"""Facts that come from elsewhere: what the code does with one that stands last, it does for the first time."""
_CAN_WAIT = frozenset(
    {
        "step_scheduled",
        "step_completed",
        "timer_fired",
        "step_attempt_failed",
        "step_cancelled",
        "state_changed",
        "attributes_set",
        "scope_opened",
        "step_skipped",
    }
)


class Core:
    """Puts the parts of one run together, and tells them its facts. The state of each is its own; what they share is the tape,
    where the run stands, the loop and the stack of compensations."""

    def __init__(
        self, definition: SagaDefinition, key: h.RunKey, *, has_step_timeout: bool = False, version: int = 0,
        definitions: Definitions = NOTHING_KNOWN, why: str = "", carry: Carry = NOTHING_CARRIED,
    ) -> None:  # fmt: skip
        """`has_step_timeout`: who runs its steps ends those that have no time-out of their own. `version`: at which it begins,
        if it has not begun; 0: that of the definition. `why`: what is wrong with its code, of which nothing runs then;
        `definitions` are for that, and for a history that says so. `carry` sets what a start or message carries."""
        self.definition, self.key, self.has_step_timeout = definition, key, has_step_timeout
        self.is_repeating, self._timeout_ms, self.carry = False, 0, carry
        self.tape, self.standing, self.dice = tape, standing, dice = Tape(), Standing(), Dice()
        self.history, self.versions = tape.history, (versions := Versions(definition, tape.history, version))
        self.loop = loop = SagaLoop(self, key.saga, tape, standing, carry)  # type: ignore[abstract]  # what it lacks are refusals
        order, parallel = definition.compensation_order, definition.compensation_parallel
        self.stack = stack = Stack(Scope("", definition.name, order, parallel))
        self.state, self.attributes, self.keys = State(tape, loop), Attributes(tape), Keys(tape)
        self.declared, self.unawaited = Declared(self.keys, self.attributes), Unawaited()
        self.holding = holding = Holding(tape, standing, stack)
        self.unwinding = unwinding = Unwinding(tape, standing, loop, stack, Judging(tape.history, standing, stack, dice))
        self.calls = calls = Calls(definition, tape, standing, loop, stack, holding, unwinding, self.unawaited)
        calls.has_step_timeout = has_step_timeout
        self.scopes = Scopes(tape, standing, loop, stack, self.unwinding, versions)
        self.signals = signals = Signals(definition, tape, standing, loop, self.scopes)
        self.children = Children(standing, loop, self.scopes, self.state, signals, self.declared, self.unawaited)
        self.pausing, self.retrying = Pausing(tape, standing, stack, calls), Retrying(tape, stack, calls)
        self.continuing = Continuing(definition, standing, stack, calls, signals)
        ending = Ending(definition, tape, standing, calls, self.state, self.attributes, self.keys, signals, holding, unwinding)
        self.ending, self._definitions = ending, definitions
        self.without_code: WithoutCode | None = None
        self.forward: Forward | WithoutCode = Forward(
            definition, tape, standing, loop, self.declared, self.unawaited, signals, unwinding, ending
        )  # fmt: skip
        if why:
            self._leave_code_out(why)

    def _leave_code_out(self, why: str) -> None:
        self.forward = self.without_code = WithoutCode(
            self.definition, self._definitions, why, lambda kind, body: _FACTS[kind](self, body), self.tape, self.standing,
            self.stack, self.holding, self.state, self.keys, self.attributes, self.unwinding, self.ending,
        )  # fmt: skip

    # --- what the worker calls ---------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self.standing.phase == ENDED

    @property
    def status(self) -> h.Status:
        return self.standing.status

    @property
    def next_timer_ms(self) -> int:
        """When the earliest timer of the saga's code is due, 0: none, or its clock stands."""
        return self.loop.next_timer_ms() if self.standing.phase == FORWARD and not self.tape.clock_stands else 0

    @property
    def deadline_ms(self) -> int:
        """When the saga as a whole times out, 0: never, or its clock stands."""
        deadline_ms = self.standing.deadline_ms
        return deadline_ms + self.tape.stood_ms if deadline_ms and not self.tape.clock_stands else 0

    @property
    def past_pivot(self) -> bool:
        """It only goes forward: a step that fails is tried again, whatever its policy."""
        return self.standing.past_pivot

    @property
    def leaves_messages(self) -> bool:
        """What comes now is for whoever goes on with the saga: its next run, or its next replay."""
        return self.standing.status == h.CONTINUED or self.standing.phase == REPLAY_AGAIN

    def replay(self, events: Sequence[h.Event]) -> None:
        """Walk through the committed history. Call once, first. Raises NonDeterminism, FutureEventKind, DecodeError."""
        for _ in self.replaying(events):
            pass

    def replaying(self, events: Sequence[h.Event]) -> Generator[Decode, tuple[Any] | None]:
        """As replay(), but it gives way before each large value, so that it can be decoded elsewhere: send it back, alone in a
        tuple, or None."""
        if self.without_code is None and (found := next(filter(is_from_journal, events), None)) is not None:
            self._leave_code_out(found.unwind_started.why)
        self.history.replay(events)
        self.versions.replay(events)
        self.declared.replay(events)
        back = taken_back(events)
        new = events[-1].seq if kind_of(events[-1]) in _BEGIN else -1
        for stretch in stretches(events):
            if stretch[0].seq not in back and (decode := to_decode(self, stretch[0])) is not None:
                self.tape.given = sent[0] if (sent := (yield decode)) is not None else NOT_DECODED
            with self.forward.told_why_it_cannot_start(), guarded(self), self.loop.entered():
                for event in stretch:
                    self.is_repeating = (seq := event.seq) != new
                    self._replay_one(event, seq, taken_back=seq in back)
        if self.without_code is not None and self.standing.phase == FORWARD:
            with guarded(self), self.loop.entered():
                self._go_on()
        self.is_repeating = False
        self.history.finish_replay(self.tape.now_ms)
        self.declared.replayed()
        self.tape.effects = [*self.pausing.effects(), *self.calls.effects(), *self.unwinding.effects()]

    def feed(self, event: h.Event, now_ms: int, result: Any = NOT_DECODED) -> bool:
        """Take one new fact and run until idle. `result`: of a completed step, a copy that nobody else has. False: the fact is
        of no interest any more and was not recorded."""
        kind = kind_of(event)
        if not self._wants(kind, getattr(event, kind)):
            return False
        due_ms = event.timer_fired.due_ms if kind == "timer_fired" else 0
        if kind == "recover_requested":
            self.holding.complete(event)
        self.history.append(event, max(now_ms, self.tape.now_ms, due_ms))
        self.tape.given = result
        with self.loop.entered(), guarded(self):
            self._apply(event, kind)
        return True

    def take(self) -> Output:
        """What came up since the last call."""
        standing = self.standing
        events, size, effects, urgent = self.tape.take()
        again, must_commit = standing.phase == REPLAY_AGAIN, urgent or any(map(_is_urgent, events))
        return Output(events, effects, size, standing.status, self.next_timer_ms, again, must_commit)

    def discard(self) -> str:
        """Drop the run from memory; its code asks for nothing any more. Tells where it went on all the same, or ""."""
        self.is_repeating = True
        self.unawaited.drop()
        with guarded(self):
            return self.loop.discard()

    def now(self) -> float:
        """Unix time in seconds, as the saga sees it."""
        return self.tape.now_ms / 1000

    def log_context(self) -> dict[str, Any]:
        """What tells this run from others in a log."""
        return {"saga": self.key.saga, "run": self.key.run, "saga_type": self.definition.name}

    # --- facts -----------------------------------------------------------------------------------------------------

    def _wants(self, kind: str, fact: Any) -> bool:
        phase = self.standing.phase
        if phase in (ENDED, REPLAY_AGAIN):
            return False
        if kind in ("recover_requested", "retry_requested"):
            return phase == HELD if kind == "recover_requested" else self.retrying.has_any
        if kind.startswith("step_"):
            return self.calls.wants(kind, fact)
        if kind.startswith("compensation_") and kind != "compensation_decided":
            return self.unwinding.wants(fact)
        return kind != "saga_timed_out" or (self.standing.stop is None and not self.standing.past_pivot)

    def _apply(self, event: h.Event, kind: str, *, run: bool = True) -> None:
        """Tell the code one fact, the last of the history so far, and run it until it is idle."""
        tape, standing = self.tape, self.standing
        assert event.time_ms >= tape.now_ms, f"event {event.seq} is earlier than the one before it"
        tape.now_ms, tape.takes_back = event.time_ms, not run
        tape.activation += 1
        tape.back_to = tape.history.next_seq - (kind == "step_failed")
        _FACTS[kind](self, getattr(event, kind))
        if not run:
            return  # what the code does with it, it does when it is recovered
        if tape.history.is_large and standing.phase == FORWARD and (over := tape.history.over_limit()) is not None:
            standing.interrupt(over)
        self._go_on()

    def _go_on(self) -> None:
        """Until its code is idle."""
        standing, loop = self.standing, self.loop
        if standing.phase == FORWARD:
            loop.run_until_idle()
            while self.unwinding.go_on_partially():
                loop.run_until_idle()
            self.state.flush()
            self.forward.settle()
        if standing.phase in (UNWINDING, SETTLING):
            self.unwinding.go_on()

    def _started(self, fact: h.SagaStarted) -> None:
        self.loop.rules = _known(fact.rules)
        if self.without_code is None:
            self.versions.check(self.definition)
        self.dice.begin(fact.seed, fact.rules)
        self.standing.started_ms = self.tape.now_ms
        self._timeout_ms = fact.timeout_ms or self.definition.timeout_ms or fact.default_timeout_ms
        self.keys.start(fact.keys)
        self.attributes.committed(fact.attributes)
        if fact.HasField("pause"):
            self.pausing.pause(fact.pause)
        self._set_deadline()
        self.forward.start(fact)

    def _set_deadline(self) -> None:
        """A saga that is recovered has its whole time again."""
        if self._timeout_ms and not self.standing.past_pivot:
            self.standing.deadline_ms = self.tape.clock_ms + self._timeout_ms

    def _cancel_requested(self, fact: h.CancelRequested) -> None:
        self._stop_for(asyncio.CancelledError(fact.reason or "cancelled"), cancels=True)

    def _compensate_requested(self, fact: h.CompensateRequested) -> None:
        self._stop_for(CompensationRequested(fact.reason or "compensation was asked for"), cancels=False)

    def _recover_requested(self, _: h.RecoverRequested) -> None:
        if self.tape.is_replaying:
            self.holding.again(self.calls.pending)
            self._set_deadline()
        else:
            self.standing.phase, self.standing.status = REPLAY_AGAIN, h.RUNNING

    def _stop_for(self, reason: BaseException, *, cancels: bool) -> None:
        """Unwind, unless the saga is past its pivot: then it only goes forward, and the request is no more than recorded."""
        standing = self.standing
        if standing.past_pivot:
            return
        if standing.phase == FORWARD:
            standing.interrupt(reason, cancels=cancels, asked_for=True)
        elif standing.phase == HELD:
            self.ending.unwind_held(reason, cancels=cancels)

    def _timed_out(self, _: h.SagaTimedOut) -> None:
        if self.standing.phase == FORWARD:
            self.standing.interrupt(SagaTimedOut(f"saga {self.key.saga} took longer than its timeout"), asked_for=True)

    # --- replay ----------------------------------------------------------------------------------------------------

    def _replay_one(self, event: h.Event, seq: int, *, taken_back: bool) -> None:
        assert seq == self.history.next_seq, f"event {seq} where event {self.history.next_seq} was expected"
        kind = event.WhichOneof("kind") or kind_of(event)
        if self.without_code is not None and self.without_code.fold(event, kind, taken_back=taken_back):
            if kind == "scope_opened":
                self.versions.began(event.scope_opened)
            return
        if taken_back and kind not in MESSAGES:
            self.history.passed(event)
            self.holding.take_back(event)
        elif kind in INTENTS:
            self.history.match(event, kind, body := getattr(event, kind), self.forward.idle_at)
            if (committed := _COMMITTED.get(kind)) is not None:
                committed(self, body)
            self.history.passed(event)
        else:
            if kind != "recover_requested" and not taken_back:
                self.history.expect_matched(event)
            self.history.passed(event)
            self._apply(event, kind, run=not taken_back)


def to_decode(core: Core, event: h.Event) -> Decode | None:
    """What gives the large value of this event, where one place decodes it."""
    if event.HasField("signal_received"):  # one that has just come tells no `large_bytes` yet
        is_large = len(event.signal_received.input.data) > ASIDE_ABOVE_BYTES
        return core.signals.decode(event.signal_received) if is_large else None
    if not is_to_be_decoded_aside(event):
        return None
    return core.forward.decode(event.saga_started) if event.seq == 0 else core.calls.decode(event.step_completed)


def _known(rules: int) -> int:
    if rules > DETERMINISM_RULES:
        raise FutureEventKind(
            f"the run was started under rules {rules} of determinism, and this version of durable-saga knows rules up to"
            f" {DETERMINISM_RULES}: upgrade this worker"
        )
    return rules


def _timer_fired(core: Core, fact: h.TimerFired) -> None:
    if core.standing.phase != FORWARD:
        return
    due_ms = core.loop.next_timer_ms()
    if due_ms != fact.due_ms:
        raise NonDeterminism(f"timer due at {fact.due_ms} ms", f"timer due at {due_ms} ms", core.forward.idle_at())
    core.loop.fire_timers(due_ms)


def _registered(core: Core, body: h.CompensationRegistered) -> None:
    entry = core.stack.entries[body.call]
    entry.data, entry.defaults = body.input.data, body.defaults.data


def _is_urgent(event: h.Event) -> bool:
    """Whether it must be committed now; the rest travels with a later commit."""
    kind = kind_of(event)
    if kind == "step_scheduled":
        return not event.step_scheduled.no_effect
    return kind not in _CAN_WAIT


_COMMITTED: dict[str, Callable[[Core, Any], None]] = {
    "step_scheduled": lambda core, body: core.calls.committed(body),
    "compensation_registered": _registered,
    "attributes_set": lambda core, body: core.attributes.committed(body.attributes),
}
"""An intent was committed by somebody: its arguments are the committed ones."""
_FACTS: dict[str, Callable[[Core, Any], None]] = {
    "saga_started": Core._started,
    "step_completed": lambda core, fact: core.calls.completed(fact),
    "step_attempt_failed": lambda core, fact: core.calls.attempt_failed(fact),
    "step_failed": lambda core, fact: core.calls.failed(fact),
    "timer_fired": _timer_fired,
    "signal_received": lambda core, fact: core.signals.received(fact),
    "cancel_requested": Core._cancel_requested,
    "saga_timed_out": Core._timed_out,
    "compensate_requested": Core._compensate_requested,
    "recover_requested": Core._recover_requested,
    "compensation_completed": lambda core, fact: core.unwinding.completed(fact),
    "compensation_attempt_failed": lambda core, fact: core.unwinding.attempt_failed(fact),
    "compensation_stuck": lambda core, fact: core.unwinding.stuck(fact),
    "compensation_decided": lambda core, fact: core.unwinding.decided(fact),
    "pause_requested": lambda core, fact: core.pausing.pause(fact),
    "resume_requested": lambda core, fact: core.pausing.resume(fact),
    "retry_requested": lambda core, _: core.retrying.now(),
    "saga_terminated": lambda core, _: core.ending.terminate(),
    "stopped_before_start": lambda core, fact: core.ending.terminate(fact.status),
}
