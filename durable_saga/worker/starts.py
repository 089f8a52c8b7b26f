"""When something begins in one run: its timers, and its attempts, at once or after their back-off; in a pause nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from durable_saga.clock import Clock
from durable_saga.replay import CancelStep, Core, Effect, Pause, Resume, RetryNow, RunCompensation, RunStep
from durable_saga.worker.attempts import Attempts


def until(time_ms: int, now_ms: int) -> int:
    """In milliseconds, at least 1; 0: there is no such time."""
    return max(time_ms - now_ms, 1) if time_ms else 0


class Alarms:
    """The timers of one run; `clear()` takes them all back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set: list[asyncio.TimerHandle] = []

    def set(self, seconds: float, ring: Callable[[], None]) -> None:
        self._set.append(self._loop.call_later(seconds, ring))

    def clear(self) -> None:
        if self._set:
            for handle in self._set:
                handle.cancel()
            self._set.clear()


class Gate:
    """Whether something of a run may begin now. It is shut by a pause of the run until the resume is committed, and while
    its type is paused, which `is_type_paused` tells."""

    def __init__(self, core: Callable[[], Core], is_type_paused: Callable[[str], bool]) -> None:
        self._core, self._is_type_paused = core, is_type_paused
        self._pause = 0

    def take(self, effect: Pause | Resume) -> None:
        if isinstance(effect, Pause):
            self._pause = effect.number
        elif effect.number == self._pause:
            self._pause = 0

    @property
    def is_shut(self) -> bool:
        return self._pause > 0 or self._is_type_paused(self._core().definition.name)

    @property
    def is_shut_by_type(self) -> bool:
        """And by nothing else."""
        return self.is_shut and not self._pause

    def is_kept_back(self, call: str) -> bool:
        """The history proves that the attempt of this call has not begun."""
        return self._core().pausing.is_kept_back(call)


class Starts:
    """Owns those that wait for their time, or for the end of a pause."""

    def __init__(self, attempts: Attempts, clock: Clock, gate: Gate) -> None:
        self._attempts = attempts
        self._clock = clock
        self._gate = gate
        self._delayed: dict[str, RunStep | RunCompensation] = {}

    def start_all(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, CancelStep):
                self._delayed.pop(effect.call, None)
                self._attempts.cancel(effect.call)
            elif isinstance(effect, Resume):
                self._gate.take(effect)
                self.look_at_gate()
            elif isinstance(effect, RetryNow):
                self._retry(effect)
            elif not isinstance(effect, Pause):
                self.start(effect)

    def start(self, effect: RunStep | RunCompensation) -> None:
        if self._gate.is_shut or (effect.not_before_ms and effect.not_before_ms > self._clock.now_ms()):
            self._delayed[effect.call] = effect
        else:
            self._attempts.start(effect)

    def _retry(self, effect: RetryNow) -> None:
        """Those of them that still wait: one that has begun meanwhile does not begin twice."""
        for call, attempt in effect.attempts:
            if (waits := self._delayed.get(call)) is not None and waits.attempt == attempt:
                self._delayed[call] = replace(waits, not_before_ms=0)
        self.due(self._clock.now_ms())

    def due(self, now_ms: int) -> None:
        """Begin those whose time has come."""
        if not self._delayed or self._gate.is_shut:
            return
        for call in [call for call, effect in self._delayed.items() if effect.not_before_ms <= now_ms]:
            self._attempts.start(self._delayed.pop(call))

    def pause(self, effect: Pause) -> None:
        """At once."""
        self._gate.take(effect)
        self.look_at_gate()

    def look_at_gate(self) -> None:
        """It may be shut now, or open: what has not begun is taken back, or begins."""
        if self._gate.is_shut:
            self._delayed |= {effect.call: effect for effect in self._attempts.take_back()}
        else:
            self.due(self._clock.now_ms())

    @property
    def next_ms(self) -> int:
        """When the first one is due, 0: none waits for its time."""
        if not self._delayed or self._gate.is_shut:
            return 0
        return min(effect.not_before_ms for effect in self._delayed.values())

    @property
    def waits_for_type(self) -> bool:
        """It is for the end of the pause of its type alone, of which no message tells a run without a worker."""
        return bool(self._delayed) and self._gate.is_shut_by_type

    @property
    def is_bound(self) -> bool:
        """Another process could not tell that one of these never began, and would not make it."""
        return any(
            isinstance(effect, RunStep) and effect.definition.at_most_once and not self._gate.is_kept_back(effect.call)
            for effect in self._delayed.values()
        )
