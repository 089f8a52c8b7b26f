"""A world in which runs are paused and resumed at any place: attempts begin and end as dice say, and processes die.

Attempts go through `Starts`, as in a worker. What begins is held against the journal alone, by whoever asks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_saga import SagaFunction, codec
from durable_saga.definition.retry import Retry
from durable_saga.errors import StepInterrupted
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import DETERMINISM_RULES
from durable_saga.replay import Core, Effect, Pause, RunCompensation, RunStep
from durable_saga.replay.interruptions import tell_interruptions
from durable_saga.testing.driver import START_MS
from durable_saga.worker import outcomes
from durable_saga.worker.starts import Gate, Starts

Attempt = RunStep | RunCompensation
TURNS_MAX = 3_000
KEY = h.RunKey(namespace="n", saga="s", run=1)


def paused(journal: Sequence[h.Event]) -> bool:
    """What the journal says, and nothing else."""
    is_paused = False
    for event in journal:
        if event.HasField("pause_requested"):
            is_paused = True
        elif event.HasField("resume_requested"):
            is_paused = False
    return is_paused


@dataclass
class Attempts:
    """Stands in for those of a worker: what begins is begun by the world, which may take its time."""

    last: dict[str, Attempt] = field(default_factory=dict)
    begun: dict[str, Attempt] = field(default_factory=dict)

    def start(self, effect: Attempt) -> None:
        self.last[effect.call] = effect

    def cancel(self, call: str) -> None:
        self.last.pop(call, None)
        self.begun.pop(call, None)

    def take_back(self) -> list[Attempt]:
        found, self.last = list(self.last.values()), {}
        return found


@dataclass
class World:
    """`wrong` lists what began though the journal says that the run is paused, and what was taken for cut off though by the
    journal it can't have begun. `done`: attempts that have begun."""

    saga: SagaFunction[..., Any]
    args: tuple[Any, ...]
    dice: random.Random
    stop_clocks: bool = False
    cancels: bool = False
    pauses_max: int = 4
    retries: bool = False
    journal: list[h.Event] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    done: list[tuple[str, str, int]] = field(default_factory=list)
    time_ms: int = START_MS
    pauses: int = 0
    crashes: int = 0
    messages: int = 0
    exposed: set[str] = field(default_factory=set)
    core: Core = field(init=False)

    def now_ms(self) -> int:
        """It is the clock too."""
        return self.time_ms

    def run(self) -> World:
        data = codec.encode_call(self.args, {}, where="input")
        started = h.SagaStarted(saga_type="run_program", input=p.Payload(data=data), seed=b"s" * 16, rules=DETERMINISM_RULES)
        self.journal = [h.Event(seq=0, time_ms=START_MS, saga_started=started)]
        self._revive()
        for _ in range(TURNS_MAX):
            self.time_ms += self.dice.choice([0, 1, 20, 2_000])
            self._turn()
            if self.core.ended and not self._unsent:
                return self
        raise AssertionError(f"no end: {[event.WhichOneof('kind') for event in self.journal]}")

    # --- a process -----------------------------------------------------------------------------------------------------

    def _revive(self, *, interrupted: bool = False) -> None:
        if hasattr(self, "core"):
            self.core.discard()
        self.core = Core(self.saga.definition, KEY)
        self.core.replay(self.journal)
        self.attempts = Attempts()
        gate = Gate(lambda: self.core, lambda _: False)
        clock: Any = self
        attempts: Any = self.attempts
        self.starts = Starts(attempts, clock, gate)
        self._unsent: list[h.Event] = []
        self._held: list[Effect] = []
        tell_interruptions(self.core, self.time_ms, interrupted)
        self._take()

    def _take(self) -> None:
        output = self.core.take()
        self._unsent += output.events
        for effect in output.effects:
            if isinstance(effect, Pause):
                self.starts.pause(effect)
            elif isinstance(effect, RunStep) and not effect.definition.effect and not effect.interruptions:
                self.starts.start(effect)
            else:
                self._held.append(effect)

    def _feed(self, event: h.Event) -> None:
        self.core.feed(event, self.time_ms)
        self._take()

    # --- what happens next -----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        waiting, begun = list(self.attempts.last), list(self.attempts.begun)
        chances: list[str] = ["commit"] * 3 + ["begin"] * 3 * bool(waiting) + ["end"] * 3 * bool(begun)
        chances += ["timer"] * bool(self.core.next_timer_ms) + ["due", "crash", "message"]
        chances += ["retry"] * self.retries
        chances += ["pause"] * (self.pauses < self.pauses_max) + ["resume"] * 2 * self.core.standing.is_paused
        what = self.dice.choice(chances)
        if what == "commit":
            self._commit()
        elif what == "begin":
            self._begin(self.attempts.last.pop(self.dice.choice(waiting)))
        elif what == "end":
            self._end(self.attempts.begun.pop(self.dice.choice(begun)))
        elif what == "timer":
            due_ms = self.core.next_timer_ms
            self.time_ms = max(self.time_ms, due_ms)
            self._feed(h.Event(timer_fired=h.TimerFired(due_ms=due_ms)))
        elif what == "due":
            self.time_ms = max(self.time_ms, self.starts.next_ms)
            self.starts.due(self.time_ms)
        elif what == "crash" and self.crashes < 3:
            self.crashes += 1
            self._revive(interrupted=True)
        elif what in ("pause", "resume", "retry", "message"):
            self._message(what)

    def _message(self, what: str) -> None:
        self.messages += 1
        number = str(self.messages)
        if what == "pause":
            self.pauses += 1
            asked = h.PauseRequested(message_id=number, stop_clocks=self.stop_clocks)
            self._feed(h.Event(pause_requested=asked))
        elif what == "resume":
            self._feed(h.Event(resume_requested=h.ResumeRequested(message_id=number)))
        elif what == "retry":
            self._feed(h.Event(retry_requested=h.RetryRequested(message_id=number)))
        elif self.cancels and self.dice.random() < 0.05:
            self._feed(h.Event(cancel_requested=h.CancelRequested(message_id=number)))

    def _commit(self) -> None:
        self.journal += self._unsent
        if not paused(self.journal):
            self.exposed |= {event.step_scheduled.call for event in self.journal}
        held, self._unsent, self._held = self._held, [], []
        self.starts.start_all(held)

    def _begin(self, effect: Attempt) -> None:
        if paused(self.journal) and self._is_known(effect):
            self.wrong.append(f"{effect.call}, attempt {effect.attempt}, begins at event {len(self.journal)}")
        if isinstance(effect, RunStep) and effect.interrupted and effect.definition.at_most_once:
            if effect.call not in self.exposed:
                self.wrong.append(f"{effect.call} is taken for cut off at event {len(self.journal)}")
            self._end(effect, StepInterrupted(effect.call))
            return
        kind = "do" if isinstance(effect, RunStep) else "undo"
        self.done.append((kind, effect.call, effect.attempt))
        self.attempts.begun[effect.call] = effect

    def _is_known(self, effect: Attempt) -> bool:
        """A step without effects may begin before a pause that is fed in the meantime is committed, as its intent may."""
        return not (isinstance(effect, RunStep) and not effect.definition.effect)

    def _end(self, effect: Attempt, error: BaseException | None = None) -> None:
        value: Any = None
        try:
            value = None if error is not None else effect.definition.function(*effect.args, **effect.kwargs)
        except Exception as found:
            error = found
        around = outcomes.Circumstances(Retry(), self.time_ms, 0.5, self.core.past_pivot)
        self._feed(outcomes.ended(effect, value, error, lambda: around).event)
