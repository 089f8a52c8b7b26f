"""Runs one saga on the bare core: a list is its journal, time is virtual, and processes die where a test wants it.

A generator without I/O: it yields each attempt that is to be made and is sent its outcome. The next attempt to end is chosen
by call id, never by arrival, so that a run with crashes can be compared with one without; attempts are made one at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition
from durable_saga.definition.retry import Retry
from durable_saga.errors import StepInterrupted
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import DETERMINISM_RULES
from durable_saga.replay import CancelStep, Core, Effect, Pause, Resume, RetryNow, RunCompensation, RunStep
from durable_saga.replay.definitions import NOTHING_KNOWN, Definitions
from durable_saga.replay.history import INTENTS
from durable_saga.testing.faults import NO_FAULTS, Faults
from durable_saga.worker import outcomes
from durable_saga.worker.watched_core import WatchedCore

START_MS = 1_700_000_000_000
TURNS_MAX = 20_000
Attempt = RunStep | RunCompensation


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: with a value, or with an error. `final`: the error is not tried again."""

    value: Any = None
    error: BaseException | None = None
    final: bool = False
    died: bool = False
    """The process died before it could tell."""


@dataclass(frozen=True, slots=True)
class Message:
    """A signal or event for the saga: at a virtual time, or (0) when it waits for nothing else."""

    name: str
    args: tuple[Any, ...] = ()
    at_ms: int = 0


class Stalled(AssertionError):
    """The run does not come to an end: TURNS_MAX turns."""


def by_call(effect: Attempt) -> tuple[int, Any]:
    return effect.not_before_ms, [int(part) for part in effect.call.split(".")]


@dataclass
class Driver:
    """`effects` lists ("do" or "undo", call, name) of every attempt that was made. `processes` counts the lives. `order` says
    which of the waiting attempts is made next: the smallest; it begins with the time before which it is not due. `version`: of
    the saga's code, at which the run begins; 0: that of the definition. `definitions` and `why`: see Core."""

    definition: SagaDefinition
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    faults: Faults = NO_FAULTS
    early: Sequence[Message] = ()
    messages: Sequence[Message] = ()
    messages_before_timers: bool = True
    order: Callable[[Attempt], tuple[int, Any]] = by_call
    definitions: Definitions = NOTHING_KNOWN
    why: str = ""
    journal: list[h.Event] = field(default_factory=list)
    effects: list[tuple[str, str, str]] = field(default_factory=list)
    version: int = 0
    commits: int = 0
    processes: int = 0
    now_ms: int = START_MS
    core: Core = field(init=False)
    watched: WatchedCore = field(init=False)
    _waiting: dict[str, Attempt] = field(default_factory=dict)
    _unsent: list[h.Event] = field(default_factory=list)
    _held: list[Effect] = field(default_factory=list)
    _replay_again: bool = False

    def play(self) -> Generator[Attempt, Ended, None]:
        """Until the saga ends, is held or stuck, or waits for what does not come. Raises what the core raises, and Stalled."""
        data = codec.encode_call(
            self.args, self.kwargs, where=f"saga {self.definition.name}", signature=self.definition.signature,
            function=self.definition.function,
        )  # fmt: skip
        started = h.SagaStarted(
            saga_type=self.definition.name, input=p.Payload(data=data), timeout_ms=self.definition.timeout_ms,
            seed=b"s" * 16, rules=DETERMINISM_RULES,
        )  # fmt: skip
        self.journal = [h.Event(seq=0, time_ms=START_MS, saga_started=started)]
        self._revive()
        for _ in range(TURNS_MAX):
            if not self._commit() or self._unsent:
                continue
            if self.core.ended:
                return
            if self._replay_again:
                self._revive()
            elif self._cancel_is_due():
                self._feed(h.Event(cancel_requested=h.CancelRequested(message_id="cancel", reason="test")))
            elif self._waiting and not self.core.standing.is_paused:
                yield from self._attempt()
            elif not self._wait():
                return
        raise Stalled(f"the saga did not end within {TURNS_MAX} turns: the history has {len(self.journal)} events")

    @property
    def status(self) -> str:
        return h.Status.Name(self.core.status)

    @property
    def kinds(self) -> list[str]:
        return [str(event.WhichOneof("kind")) for event in self.journal]

    def take_over(self, journal: Sequence[h.Event]) -> None:
        """A run that has this history, instead of `play()` from its start. `go_on()` goes on."""
        self.journal, self.now_ms = list(journal), max(self.now_ms, journal[-1].time_ms)
        self._revive()

    def inject(self, event: h.Event) -> None:
        """A request from outside, before `play()` goes on: recover, compensate, an operator's decision."""
        self._feed(event)

    def go_on(self) -> Generator[Attempt, Ended, None]:
        """After `inject()`: the same as play(), from where the run stands."""
        for _ in range(TURNS_MAX):
            if not self._commit() or self._unsent:
                continue
            if self._replay_again:
                self._revive()
            elif self.core.ended:
                return
            elif self._waiting and not self.core.standing.is_paused:
                yield from self._attempt()
            elif not self._wait():
                return

    # --- a process -----------------------------------------------------------------------------------------------------

    def _revive(self) -> None:
        if hasattr(self, "core"):
            self.watched.discard()
        self.processes += 1
        key = h.RunKey(namespace="test", saga="saga", run=1)
        self.core = Core(self.definition, key, version=self.version, definitions=self.definitions, why=self.why)
        self.watched = WatchedCore(self.core)
        self.watched.replay(self.journal)
        self._waiting, self._unsent, self._held, self._replay_again = {}, [], [], False
        self._take()
        for place, message in enumerate(self.early):
            self._send(place, message)

    def _take(self) -> None:
        output = self.core.take()
        self._unsent += output.events
        self._held += output.effects
        self._replay_again |= output.replay_again

    def _commit(self) -> bool:
        """Commit what waits; False when the process died with it."""
        if self._unsent:
            self.commits += 1
            if self.commits in self.faults.lose_at:
                self._revive()
                return False
            self.journal += self._unsent
            self._unsent = []
            if self.commits in self.faults.crash_at:
                self._revive()
                return False
        for effect in self._held:
            if isinstance(effect, CancelStep):
                self._waiting.pop(effect.call, None)
            elif isinstance(effect, RetryNow):
                for call in dict(effect.attempts).keys() & self._waiting.keys():
                    self._waiting[call] = replace(self._waiting[call], not_before_ms=0)
            elif not isinstance(effect, Pause | Resume):
                self._waiting[effect.call] = effect
        self._held = []
        return True

    def _feed(self, event: h.Event) -> None:
        self.watched.feed(event, self.now_ms)
        self._take()

    # --- what happens next -----------------------------------------------------------------------------------------------

    def _attempt(self) -> Generator[Attempt, Ended, None]:
        effect = min(self._waiting.values(), key=self.order)
        due = self._next_message()
        if self._timer_comes_first(effect.not_before_ms) or (due and due.at_ms and due.at_ms < effect.not_before_ms):
            self._wait()
            return
        del self._waiting[effect.call]
        self.now_ms = max(self.now_ms + 1, effect.not_before_ms)
        if isinstance(effect, RunStep) and effect.interrupted and effect.definition.at_most_once:
            self._feed(self._outcome(effect, Ended(error=StepInterrupted(effect.definition.name))))
            return
        kind = "do" if isinstance(effect, RunStep) else "undo"
        self.effects.append((kind, effect.call, effect.definition.name))
        ended = yield effect
        if ended.died:
            self._revive()
        else:
            self._feed(self._outcome(effect, ended))

    def _timer_comes_first(self, at_ms: int) -> bool:
        """A back-off may be longer than what the saga's code waits for; an attempt itself takes no virtual time."""
        times = [ms for ms in (self.core.next_timer_ms, self.core.deadline_ms) if ms]
        return bool(times) and at_ms > min(times)

    def _wait(self) -> bool:
        """Nothing runs: a message, or the earliest timer. False: nothing will happen by itself."""
        timers = [ms for ms in (self.core.next_timer_ms, self.core.deadline_ms) if ms]
        message = self._next_message()
        if message is not None and (not timers or self._comes_first(message, min(timers))):
            self.now_ms = max(self.now_ms, message.at_ms)
            return self._send(len(self.early) + self._sent(), message)
        if not timers:
            return False
        self.now_ms = max(self.now_ms, min(timers))
        if self.core.next_timer_ms == min(timers):
            self._feed(h.Event(timer_fired=h.TimerFired(due_ms=min(timers))))
        else:
            self.core.standing.deadline_ms = 0
            self._feed(h.Event(saga_timed_out=h.SagaTimedOut()))
        return True

    def _comes_first(self, message: Message, timer_ms: int) -> bool:
        return message.at_ms <= timer_ms if message.at_ms else self.messages_before_timers

    def _sent(self) -> int:
        received = {e.signal_received.message_id for e in [*self.journal, *self._unsent] if e.HasField("signal_received")}
        return sum(str(len(self.early) + place) in received for place in range(len(self.messages)))

    def _next_message(self) -> Message | None:
        if not self.messages:
            return None
        sent = self._sent()
        return self.messages[sent] if sent < len(self.messages) else None

    def _send(self, place: int, message: Message) -> bool:
        """A message of the inbox, unless the history holds it."""
        there = [event for event in [*self.journal, *self._unsent] if event.HasField("signal_received")]
        if self.core.ended or str(place) in {event.signal_received.message_id for event in there}:
            return False
        payload = p.Payload(data=codec.encode_message(message.args, where=f"event {message.name}"))
        received = h.SignalReceived(message_id=str(place), name=message.name, input=payload)
        self._feed(h.Event(signal_received=received))
        return True

    def _cancel_is_due(self) -> bool:
        if self.faults.cancel_after is None or "cancel_requested" in self.kinds:
            return False
        return sum(kind not in INTENTS for kind in self.kinds) > self.faults.cancel_after

    # --- outcomes --------------------------------------------------------------------------------------------------------

    def _outcome(self, effect: Attempt, ended: Ended) -> h.Event:
        return outcomes.ended(effect, ended.value, ended.error, lambda: self._around(effect, ended)).event

    def _around(self, effect: Attempt, ended: Ended) -> outcomes.Circumstances:
        dice = random.Random(effect.call).random()
        return outcomes.Circumstances(Retry(), self.now_ms, dice, self.core.past_pivot, ended.final)
