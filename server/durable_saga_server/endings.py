"""What is left to do for a run that is not open: found by its hints, done again until it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.journal import Head, Journal, Run


class Endings:
    """`hint` writes one."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, hint: Callable[[Run, int], Awaitable[None]]) -> None:
        self._journal = journal
        self._clock = clock
        self._config = config
        self._hint = hint

    async def look(self, run: Run, head: Head | None) -> None:
        """A hint named a run that is not there or has ended. Raises JournalError: it is looked at again."""
        if head is None:
            await self._drop_orphans(run)

    async def _drop_orphans(self, run: Run) -> None:
        """A start that wrote its large values and never came about; one that may still be under way is left alone."""
        now_ms = self._clock.now_ms()
        if await self._journal.drop_chunks(run, now_ms - self._config.orphan_chunks_ms):
            await self._hint(run, now_ms + self._config.orphan_chunks_ms)
