"""When something begins in one run: its timers, and its attempts, at once or when their back-off is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from durable_saga.clock import Clock
from durable_saga.replay import CancelStep, Effect, RunCompensation, RunStep
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


class Starts:
    """Owns those that wait for their time."""

    def __init__(self, attempts: Attempts, clock: Clock) -> None:
        self._attempts = attempts
        self._clock = clock
        self._delayed: dict[str, RunStep | RunCompensation] = {}

    def start_all(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, CancelStep):
                self._delayed.pop(effect.call, None)
                self._attempts.cancel(effect.call)
            else:
                self.start(effect)

    def start(self, effect: RunStep | RunCompensation) -> None:
        if effect.not_before_ms and effect.not_before_ms > self._clock.now_ms():
            self._delayed[effect.call] = effect
        else:
            self._attempts.start(effect)

    def due(self, now_ms: int) -> None:
        """Begin those whose time has come."""
        for call in [call for call, effect in self._delayed.items() if effect.not_before_ms <= now_ms]:
            self._attempts.start(self._delayed.pop(call))

    @property
    def next_ms(self) -> int:
        """When the first one is due, 0: none waits."""
        return min(effect.not_before_ms for effect in self._delayed.values()) if self._delayed else 0

    @property
    def is_bound(self) -> bool:
        """Another process could not tell that one of these never began, and would not make it."""
        return any(isinstance(effect, RunStep) and effect.definition.at_most_once for effect in self._delayed.values())
