"""Runs a saga on the bare core: a list is the journal, a dict of counters the world, and a crash is a new core.

The next effect to finish is chosen by call id, never by arrival, so that a run with crashes can be compared with one
without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_saga import SagaFunction, codec
from durable_saga.errors import StepInterrupted, failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import CancelStep, Core, Effect, RunStep
from durable_saga.replay.history import INTENTS
from durable_saga.retry import decide

START_MS = 1_700_000_000_000
TURNS_MAX = 5_000


@dataclass
class Driver:
    """`crash_at`: numbers of commits which are written, then the process dies before it starts an effect.
    `lose_at`: numbers of commits which never reach the journal, then the process dies.
    `cancel_after`: the number of facts in the history after which a cancel arrives.
    `early` and `late` are names of signals: sent before the saga runs, and one each time when it waits for nothing else."""

    saga: SagaFunction[..., Any]
    args: tuple[Any, ...] = ()
    crash_at: Collection[int] = ()
    lose_at: Collection[int] = ()
    cancel_after: int | None = None
    early: Sequence[str] = ()
    late: Sequence[str] = ()
    journal: list[h.Event] = field(default_factory=list)
    effects: list[tuple[str, str]] = field(default_factory=list)
    commits: int = 0
    now_ms: int = START_MS
    core: Core = field(init=False)
    _waiting: dict[str, Effect] = field(default_factory=dict)
    _unsent: list[h.Event] = field(default_factory=list)
    _held: list[Effect] = field(default_factory=list)

    def run(self) -> Driver:
        data = codec.encode_call(self.args, {}, where="input")
        timeout_ms = self.saga.definition.timeout_ms
        started = h.SagaStarted(saga_type="t", input=p.Payload(data=data), timeout_ms=timeout_ms, seed=b"s" * 16)
        self.journal = [h.Event(seq=0, time_ms=START_MS, saga_started=started)]
        self._revive()
        for _ in range(TURNS_MAX):
            if not self._commit() or self.core.ended:
                if self.core.ended and not self._unsent:
                    return self
                continue
            if self._cancel_is_due():
                self._feed(h.Event(cancel_requested=h.CancelRequested(message_id="c", reason="test")))
            elif not self._advance():
                return self
        raise AssertionError(f"no end after {TURNS_MAX} turns; the history has {len(self.journal)} events")

    @property
    def status(self) -> str:
        return h.Status.Name(self.core.status)

    @property
    def kinds(self) -> list[str]:
        return [str(event.WhichOneof("kind")) for event in self.journal]

    def _cancel_is_due(self) -> bool:
        facts = sum(kind not in INTENTS for kind in self.kinds)
        return self.cancel_after is not None and facts > self.cancel_after and "cancel_requested" not in self.kinds

    def _send(self, place: int, name: str) -> bool:
        """A message of the inbox, unless the history holds it. The value is its place."""
        there = [
            event.signal_received.message_id for event in [*self.journal, *self._unsent] if event.HasField("signal_received")
        ]
        if str(place) in there:
            return False
        payload = p.Payload(data=codec.encode_call((place,), {}, where="signal"))
        self._feed(h.Event(signal_received=h.SignalReceived(message_id=str(place), name=name, input=payload)))
        return True

    def _revive(self) -> None:
        if hasattr(self, "core"):
            self.core.discard()
        self.core = Core(self.saga.definition, h.RunKey(namespace="n", saga="s", run=1))
        self.core.replay(self.journal)
        self._waiting, self._unsent, self._held = {}, [], []
        self._take()
        for place, name in enumerate(self.early):
            self._send(place, name)

    def _take(self) -> None:
        output = self.core.take()
        self._unsent += output.events
        self._held += output.effects
        self._urgent = output.must_commit or output.status not in (h.RUNNING, h.COMPENSATING)

    def _commit(self) -> bool:
        """Commit what waits; False when the process died with it."""
        if self._unsent:
            self.commits += 1
            if self.commits in self.lose_at:
                self._revive()
                return False
            self.journal += self._unsent
            self._unsent = []
            if self.commits in self.crash_at:
                self._revive()
                return False
        for effect in self._held:
            if isinstance(effect, CancelStep):
                self._waiting.pop(effect.call, None)
            else:
                self._waiting[effect.call] = effect
        self._held = []
        return True

    def _advance(self) -> bool:
        """Let one effect finish, or the earliest timer fire. False: nothing will happen by itself."""
        if self._waiting:
            effect = min(self._waiting.values(), key=_place)
            del self._waiting[effect.call]
            assert not isinstance(effect, CancelStep)
            self.now_ms = max(self.now_ms + 1, effect.not_before_ms)
            self._feed(self._perform(effect))
        elif due_ms := self.core.next_timer_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self._feed(h.Event(timer_fired=h.TimerFired(due_ms=due_ms)))
        else:
            places = enumerate(self.late, len(self.early))
            return any(self._send(place, name) for place, name in places)
        return True

    def _feed(self, event: h.Event) -> None:
        self.core.feed(event, self.now_ms)
        self._take()

    def _perform(self, effect: Any) -> h.Event:
        step = isinstance(effect, RunStep)
        call, attempt = effect.call, effect.attempt
        try:
            if step and effect.interrupted and effect.definition.at_most_once:
                raise StepInterrupted(call)
            self.effects.append(("do" if step else "undo", call))
            outcome = effect.definition.function(*effect.args, **effect.kwargs)
            result = asyncio.run(outcome) if asyncio.iscoroutine(outcome) else outcome
        except Exception as error:
            return self._failed(effect, error, step)
        if not step:
            return h.Event(compensation_completed=h.CompensationCompleted(call=call, attempt=attempt))
        payload = p.Payload(data=codec.encode(result, where="result"))
        return h.Event(step_completed=h.StepCompleted(call=call, result=payload, attempt=attempt))

    def _failed(self, effect: Any, error: Exception, step: bool) -> h.Event:
        failure = failure_from_exception(error)
        call, attempt = effect.call, effect.attempt
        delay_ms = decide(effect.definition.retry, attempt, error, 0.5)
        if delay_ms is not None:
            retry_at = self.now_ms + delay_ms
            if step:
                again = h.StepAttemptFailed(call=call, attempt=attempt, failure=failure, retry_at_ms=retry_at)
                return h.Event(step_attempt_failed=again)
            redo = h.CompensationAttemptFailed(call=call, attempt=attempt, failure=failure, retry_at_ms=retry_at)
            return h.Event(compensation_attempt_failed=redo)
        if step:
            return h.Event(step_failed=h.StepFailed(call=call, attempt=attempt, failure=failure))
        return h.Event(compensation_stuck=h.CompensationStuck(call=call, attempt=attempt, failure=failure))


def _place(effect: Any) -> tuple[int, list[int]]:
    return effect.not_before_ms, [int(part) for part in effect.call.split(".")]
