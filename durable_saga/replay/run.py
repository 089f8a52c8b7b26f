"""One run of a saga as a pure machine: history in, commands out. No clock, no randomness, no network.

`replay()` walks through the committed history, then `feed()` takes one new fact at a time and runs the saga's code until it
is idle; `take()` hands out what is to be committed and what is to be started after that. The same history gives the same
commands, however it was cut into batches. The first error latches: a core that raised is dropped, and built again from
the committed history.

    FORWARD --main ends well--> ENDED
    FORWARD --main fails, is cancelled or timed out--> UNWINDING --> ENDED
    UNWINDING <--an operator's retry-- STUCK --an operator's skip or resolve--> ENDED
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from durable_saga import codec
from durable_saga.definition import CompensationDefinition, SagaDefinition
from durable_saga.errors import (
    LimitExceeded,
    NonDeterminism,
    NotSerializable,
    SagaTimedOut,
    SwallowedCancellation,
    failure_from_exception,
)
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import anyio_order
from durable_saga.replay.calls import Calls, encode_registered
from durable_saga.replay.commands import Effect, Output
from durable_saga.replay.guard import guarded
from durable_saga.replay.history import INTENTS, History, kind_of
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.signals import Signals
from durable_saga.replay.unwind import Entry, Stack
from durable_saga.replay.unwinding import Unwinding

CANCELLATION_ROUNDS_MAX = 20
anyio_order.install()
FORWARD, UNWINDING, ENDED = "forward", "unwinding", "ended"
_CAN_WAIT = frozenset({"step_scheduled", "step_completed", "timer_fired", "step_attempt_failed", "step_cancelled"})


class Core:
    """Owns the loop, the pending calls, the compensations and the new history of one run."""

    def __init__(self, definition: SagaDefinition, key: h.RunKey) -> None:
        self.definition = definition
        self.key = key
        self.loop = SagaLoop(self)  # type: ignore[abstract]  # what it lacks is put in as refusals
        self.history = History()
        self.calls = Calls(self)
        self.stack = Stack(definition)
        self.signals = Signals(self)
        self.unwinding = Unwinding(self)
        self.effects: list[Effect] = []
        self.state: dict[str, Any] = {}
        self.random = random.Random()
        self.urgent = False
        self.activation = 0
        self.phase = FORWARD
        self.status: int = h.RUNNING
        self.deadline_ms = 0
        self._main: asyncio.Task[Any] | None = None
        self._stop: BaseException | None = None
        self._stop_cancels = False

    # --- what the worker calls ---------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self.phase == ENDED

    @property
    def next_timer_ms(self) -> int:
        """When the earliest timer of the saga's code is due, 0: none."""
        return self.loop.next_timer_ms() if self.phase == FORWARD else 0

    def replay(self, events: Sequence[h.Event]) -> None:
        """Walk through the committed history. Call once, first. Raises NonDeterminism, FutureEventKind, DecodeError."""
        self.history.replaying = True
        for event in events:
            assert event.seq == self.history.next_seq, f"event {event.seq} where {self.history.next_seq} was due"
            if kind_of(event) in INTENTS:
                self.history.match(event, self._idle_at())
                self._mark_committed(event)
                self.history.count(event)
            else:
                self.history.expect_matched(event)
                self.history.count(event)
                self._apply(event)
        self.history.finish_replay(self.loop.now_ms)
        self.effects = [*(call.effect() for call in self.calls.pending.values()), *self.unwinding.effects()]

    def feed(self, event: h.Event, now_ms: int) -> bool:
        """Take one new fact and run until idle. False: the fact is of no interest any more and was not recorded."""
        kind = kind_of(event)
        if not self._wants(kind, getattr(event, kind)):
            return False
        due_ms = event.timer_fired.due_ms if kind == "timer_fired" else 0
        self.history.append(event, max(now_ms, self.loop.now_ms, due_ms))
        self._apply(event)
        return True

    def take(self) -> Output:
        """What came up since the last call."""
        events, effects = self.history.added, self.effects
        self.history.added, self.effects = [], []
        urgent, self.urgent = self.urgent, False
        return Output(events, effects, self.status, self.next_timer_ms, urgent or any(map(_is_urgent, events)))

    def discard(self) -> None:
        """Drop the run from memory; its code asks for nothing any more."""
        with guarded(self):
            self.loop.discard()

    def now(self) -> float:
        """Unix time in seconds, as the saga sees it."""
        return self.loop.now_ms / 1000

    # --- what saga code reaches ----------------------------------------------------------------------------------------

    def ask(self, event: h.Event) -> None:
        self.history.intent(event, self.loop.now_ms)

    def check_cancelled(self) -> None:
        """A cancellation is delivered at every await: once asked for, nothing new can be begun."""
        if self._stop is not None and self.phase == FORWARD:
            raise asyncio.CancelledError(str(self._stop))

    def on_failure(self, definition: CompensationDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.check_cancelled()
        data = encode_registered(definition, args, kwargs)
        call = self.loop.scope().next()
        self.stack.register(Entry(call, definition, data, definition.signature))
        self.ask(h.Event(compensation_registered=h.CompensationRegistered(
            call=call, name=definition.name, input=p.Payload(data=data),
        )))  # fmt: skip

    def handler_done(self, task: asyncio.Task[Any]) -> None:
        """An error in a signal handler is an error of the saga."""
        if not task.cancelled() and (error := task.exception()) is not None and self._stop is None:
            self._interrupt(error, cancels=False)

    # --- facts -----------------------------------------------------------------------------------------------------

    def _wants(self, kind: str, fact: Any) -> bool:
        if self.phase == ENDED:
            return False
        if kind.startswith("step_"):
            pending = self.calls.pending.get(fact.call)
            return pending is not None and pending.attempt == fact.attempt
        if kind.startswith("compensation_") and kind != "compensation_decided":
            return self.unwinding.wants(fact)
        return kind != "saga_timed_out" or self._stop is None

    def _apply(self, event: h.Event) -> None:
        kind = kind_of(event)
        assert event.time_ms >= self.loop.now_ms, f"event {event.seq} goes back in time"
        self.loop.now_ms = event.time_ms
        self.activation += 1
        with guarded(self):
            _FACTS[kind](self, getattr(event, kind))
            if self.phase == FORWARD and (over := self.history.over_limit()) is not None:
                self._interrupt(over, cancels=False)
            if self.phase == FORWARD:
                self.loop.run_until_idle()
                self._settle()
            if self.phase == UNWINDING:
                self.unwinding.go_on()

    def _started(self, fact: h.SagaStarted) -> None:
        self.random.seed(fact.seed)
        if fact.timeout_ms:
            self.deadline_ms = self.loop.now_ms + fact.timeout_ms
        args, kwargs = codec.decode_call(fact.input.data, self.definition.signature)
        with self.loop.entered():
            task = self.loop.create_task(self.definition.function(*args, **kwargs), name=self.definition.name)
        task.scope = self.loop.root  # type: ignore[attr-defined]
        self.loop.root.count = 0
        self._main = task

    def _timer_fired(self, fact: h.TimerFired) -> None:
        if self.phase != FORWARD:
            return
        due_ms = self.loop.next_timer_ms()
        if due_ms != fact.due_ms:
            raise NonDeterminism(f"timer due at {fact.due_ms} ms", f"timer due at {due_ms} ms", self._idle_at())
        self.loop.fire_timers(due_ms)

    def _cancel_requested(self, fact: h.CancelRequested) -> None:
        if self.phase == FORWARD:
            self._interrupt(asyncio.CancelledError(fact.reason or "cancelled"), cancels=True)

    def _timed_out(self, _: h.SagaTimedOut) -> None:
        if self.phase == FORWARD:
            self._interrupt(SagaTimedOut(f"saga {self.key.saga} took longer than its timeout"), cancels=False)

    def _terminated(self, _: h.SagaTerminated) -> None:
        self.end(h.TERMINATED)

    def _interrupt(self, reason: BaseException, *, cancels: bool) -> None:
        if self._stop is None:
            self._stop, self._stop_cancels = reason, cancels
            if self._main is not None:
                with self.loop.entered():
                    self._main.cancel(str(reason))

    # --- the end of the forward part -------------------------------------------------------------------------------------

    def _settle(self) -> None:
        assert self._main is not None, "a history starts with saga_started"
        if not self._main.done() and self._stop is not None:
            self._cancel_all()
        if not self._main.done():
            if self._stop is None:
                return
            self._fail(SwallowedCancellation(f"the saga went on waiting after it was stopped ({self._stop})"))
            return
        self._cancel_all()
        error = asyncio.CancelledError() if self._main.cancelled() else self._main.exception()
        if self._stop is not None:
            self._fail(self._stop if error is None or isinstance(error, asyncio.CancelledError) else error)
        elif error is None:
            self._complete()
        else:
            self._fail(error)

    def _cancel_all(self) -> None:
        """Cancel every task that is left, again while they go on; bounded."""
        for _ in range(CANCELLATION_ROUNDS_MAX):
            if not self.loop.tasks:
                return
            with self.loop.entered():
                for task in list(self.loop.tasks.values()):
                    task.cancel()
            self.loop.run_until_idle()

    def _complete(self) -> None:
        self.calls.cancel_all()
        assert self._main is not None
        try:
            data = codec.encode(self._main.result(), where=f"result of saga {self.definition.name}")
        except (NotSerializable, LimitExceeded) as error:
            self._fail(error)
            return
        self.end(h.COMPLETED, result=data)

    def _fail(self, error: BaseException) -> None:
        self.calls.cancel_all()
        self.phase = UNWINDING
        self.unwinding.start(failure_from_exception(error), cancelled=self._stop_cancels)

    def end(self, status: int, *, result: bytes | None = None, failure: p.Failure | None = None) -> None:
        self.phase = ENDED
        self.status = status
        if status != h.TERMINATED:
            end = h.SagaEnded(status=h.Status.Name(status), failure=failure, unread=self.signals.unread())
            if result is not None:
                end.result.data = result
            self.ask(h.Event(saga_ended=end))

    # --- replay ----------------------------------------------------------------------------------------------------

    def _mark_committed(self, event: h.Event) -> None:
        """The intent was committed by somebody: its arguments are the committed ones."""
        if event.HasField("step_scheduled"):
            self.calls.committed(event.step_scheduled)
        elif event.HasField("compensation_registered"):
            body = event.compensation_registered
            self.stack.entries[body.call].data = body.input.data

    def _idle_at(self) -> str:
        """Where the saga's main coroutine waits, for messages."""
        if self._main is None or self._main.done():
            return "the end of the saga" if self._main is not None else "the start of the saga"
        frames = self._main.get_stack()
        place = next((f for f in reversed(frames) if "durable_saga." not in f.f_globals.get("__name__", "")), None)
        return f"{place.f_code.co_filename}:{place.f_lineno} in {place.f_code.co_qualname}" if place else "unknown"


def _is_urgent(event: h.Event) -> bool:
    """Whether it must be committed now; the rest travels with a later commit."""
    kind = kind_of(event)
    if kind == "step_scheduled":
        return not event.step_scheduled.no_effect
    return kind not in _CAN_WAIT


_FACTS: dict[str, Callable[[Core, Any], None]] = {
    "saga_started": Core._started,
    "step_completed": lambda core, fact: core.calls.completed(fact),
    "step_attempt_failed": lambda core, fact: core.calls.attempt_failed(fact),
    "step_failed": lambda core, fact: core.calls.failed(fact),
    "timer_fired": Core._timer_fired,
    "signal_received": lambda core, fact: core.signals.received(fact),
    "cancel_requested": Core._cancel_requested,
    "saga_timed_out": Core._timed_out,
    "compensation_completed": lambda core, fact: core.unwinding.completed(fact),
    "compensation_attempt_failed": lambda core, fact: core.unwinding.attempt_failed(fact),
    "compensation_stuck": lambda core, fact: core.unwinding.stuck(fact),
    "compensation_decided": lambda core, fact: core.unwinding.decided(fact),
    "saga_terminated": Core._terminated,
}
