"""Who waits here for a saga to change its status: each is woken when this server has written a change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import Run


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits for the end of a saga; `end` once this server has committed it."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    end: tuple[Run, h.Event] | None = None


class Waiters:
    def __init__(self) -> None:
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

    def notify(self, run: Run, end: h.Event | None = None) -> None:
        """The run changed its status: wake those who wait for it. `end`: the event with which it was completed."""
        for waiter in list(self._waiting.get((run.namespace, run.saga), ())):
            waiter.end = (run, end) if end is not None else waiter.end
            waiter.event.set()
