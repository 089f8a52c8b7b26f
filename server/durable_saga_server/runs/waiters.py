"""Who waits here for a saga to change its status: each is woken when this server has written a change. Who comes a moment after
a saga was completed gets its end without a read of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from durable_saga.pb import history_pb2 as h
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.journal import Run

ENDS_MAX = 1_000
ENDS_BYTES_MAX = 4 * 1024 * 1024
ENDS_KEPT_MS = 10_000


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits for the end of a saga; `end` once this server has committed it."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    end: tuple[Run, h.Event] | None = None


@dataclass(frozen=True, slots=True)
class _End:
    run: Run
    event: h.Event
    size: int
    until_ms: int


class Waiters:
    """What is completed stays so until it is purged, and by then its end is forgotten here; or until its id begins again, which
    `begun()` tells."""

    def __init__(self, clock: Clock, config: Config) -> None:
        self._clock = clock
        self._kept_ms = min(ENDS_KEPT_MS, config.retention_ms // 2) if config.retention_ms else ENDS_KEPT_MS
        self._ends: dict[tuple[str, str], _End] = {}
        self._ends_bytes = 0
        self._begun: dict[tuple[str, str], int] = {}
        self._waiting: dict[tuple[str, str], dict[Waiter, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def waiting(self, namespace: str, saga: str) -> Iterator[Waiter]:
        """One more, as long as the context lasts."""
        of, waiter = (namespace, saga), Waiter()
        self._waiting.setdefault(of, {})[waiter] = None
        self._count += 1
        try:
            yield waiter
        finally:
            self._count -= 1
            del self._waiting[of][waiter]
            if not self._waiting[of]:
                del self._waiting[of]

    def end_of(self, namespace: str, saga: str) -> tuple[Run, h.Event] | None:
        """The last run of a saga that was completed here a moment ago, and its last event."""
        end = self._ends.get((namespace, saga))
        return None if end is None or end.until_ms <= self._clock.now_ms() else (end.run, end.event)

    def begun(self, run: Run) -> None:
        """A saga begins again under its id, after its end: as this run. What comes late of an earlier one is no end of it."""
        of = (run.namespace, run.saga)
        self._drop(of)
        self._begun.pop(of, None)
        self._begun[of] = run.run
        if len(self._begun) > ENDS_MAX:
            del self._begun[next(iter(self._begun))]

    def _note(self, run: Run, event: h.Event) -> None:
        of, now_ms = (run.namespace, run.saga), self._clock.now_ms()
        self._drop(of)
        self._ends[of] = _End(run, event, event.ByteSize(), now_ms + self._kept_ms)
        self._ends_bytes += self._ends[of].size
        while self._ends:
            oldest, end = next(iter(self._ends.items()))
            if end.until_ms > now_ms and len(self._ends) <= ENDS_MAX and self._ends_bytes <= ENDS_BYTES_MAX:
                break
            self._drop(oldest)

    def _drop(self, of: tuple[str, str]) -> None:
        if (end := self._ends.pop(of, None)) is not None:
            self._ends_bytes -= end.size

    def notify(self, run: Run, end: h.Event | None = None) -> None:
        """The run changed its status: wake those who wait for it. `end`: the event with which it was completed."""
        if run.run < self._begun.get((run.namespace, run.saga), 0):
            return
        if end is not None:
            self._note(run, end)
        for waiter in list(self._waiting.get((run.namespace, run.saga), ())):
            waiter.end = (run, end) if end is not None else waiter.end
            waiter.event.set()
