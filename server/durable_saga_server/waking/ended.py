"""Runs whose end this server has seen a short while ago: the hints of their last minute lead to nothing, and cost no look.

A run that has ended stays as it is until it is purged; then its id may have another life. A hint that may belong to that one is
looked at as any other: one that is due later than a minute after the end, or when the retention may be over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from durable_saga.pb import history_pb2 as h
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.journal import Head, Journal, Run
from durable_saga_server.workers.dispatch import Dispatcher

Ended = Callable[[Run, Head | None], Awaitable[None]]
"""What follows from a run that is not there, or has ended."""
Keep = Callable[[Run, int], Awaitable[None]]
"""What is still to be done for a run that has ended then, when all else is done."""

ENDED_MAX = 50_000
CLOCKS_DIFFER_MS_MAX = 30_000
"""Between the server that purges a run and this one."""


class EndedRuns:
    """What follows from the end of each of them is done but for a hint when it is to be purged, or this process is at it."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, dispatcher: Dispatcher) -> None:
        self.ended: Ended | None = None
        self.keep: Keep | None = None
        self._journal, self._dispatcher = journal, dispatcher
        self._clock, self._config = clock, config
        self._ended: dict[Run, int] = {}

    def note(self, run: Run, ended_ms: int) -> None:
        """At the end of a run, or later. A run that was continued is none of these: its chain goes on."""
        if self._kept_ms() > 0:
            self._ended.pop(run, None)
            self._ended[run] = ended_ms
            while len(self._ended) > ENDED_MAX:
                self._ended.pop(next(iter(self._ended)))

    async def has_ended(self, head: Head) -> None:
        """All that follows from the end of a run, which was just read. Raises JournalError."""
        self._dispatcher.ended(head.run)
        self._journal.index.list_again(head)
        if self.ended is not None:
            await self.ended(head.run, head)
        if head.status != h.CONTINUED:
            self.note(head.run, head.ended_ms)

    async def leads_to_nothing(self, run: Run, due_ms: int) -> bool:
        """Known of a hint without a read. Raises JournalError."""
        ended_ms = self.of(run, due_ms)
        is_known = bool(ended_ms) and self._journal.index.is_listed(run)
        if is_known and self.keep is not None:
            await self.keep(run, ended_ms)
        return is_known

    def of(self, run: Run, due_ms: int) -> int:
        """When the run ended, if a hint that is due then leads to nothing; else 0."""
        ended_ms = self._ended.get(run, 0)
        return ended_ms if due_ms <= ended_ms + self._kept_ms() else 0

    def forget(self) -> None:
        """What no hint asks for any more."""
        until_ms = self._clock.now_ms() - self._kept_ms() - self._config.horizon_ms
        self._ended = {run: ended_ms for run, ended_ms in self._ended.items() if ended_ms > until_ms}

    def _kept_ms(self) -> int:
        """How long after its end the hints of a run are certain to be its own."""
        retention_ms = self._config.retention_ms
        most_ms = self._config.rehint_ms + self._config.hint_late_ms
        return min(most_ms, retention_ms - CLOCKS_DIFFER_MS_MAX) if retention_ms else most_ms
