"""Runs a saga on the bare core: a list is the journal, a dict of counters the world, and a crash is a new core.

The next effect to finish is chosen by call id, never by arrival, so that a run with crashes can be compared with one
without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from durable_saga import SagaFunction, codec
from durable_saga.errors import failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import CancelStep, Core, Effect, RunStep
from durable_saga.retry import decide

START_MS = 1_700_000_000_000
TURNS_MAX = 5_000


@dataclass
class Driver:
    """`crash_at`: numbers of commits which are written, then the process dies before it starts an effect.
    `lose_at`: numbers of commits which never reach the journal, then the process dies."""

    saga: SagaFunction[..., Any]
    args: tuple[Any, ...] = ()
    crash_at: Collection[int] = ()
    lose_at: Collection[int] = ()
    cancel_after: int | None = None
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
        for turn in range(TURNS_MAX):
            if not self._commit() or self.core.ended:
                if self.core.ended and not self._unsent:
                    return self
                continue
            if turn == self.cancel_after:
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

    def _revive(self) -> None:
        if hasattr(self, "core"):
            self.core.discard()
        self.core = Core(self.saga.definition, h.RunKey(namespace="n", saga="s", run=1))
        self.core.replay(self.journal)
        self._waiting, self._unsent, self._held = {}, [], []
        self._take()

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
            return False
        return True

    def _feed(self, event: h.Event) -> None:
        self.core.feed(event, self.now_ms)
        self._take()

    def _perform(self, effect: Any) -> h.Event:
        step = isinstance(effect, RunStep)
        self.effects.append(("do" if step else "undo", effect.call))
        call, attempt = effect.call, effect.attempt
        try:
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
