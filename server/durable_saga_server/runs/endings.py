"""What is left to do for a run that is not open: found by its hints, done again until it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import Head, Run
from durable_saga_server.means import Means
from durable_saga_server.runs.chains import Chains
from durable_saga_server.runs.retention import Retention


class Endings:
    """`hint` makes sure that somebody looks at a run at a time; it raises JournalError."""

    def __init__(self, means: Means, chains: Chains, hint: Callable[[Run, int], Awaitable[None]]) -> None:
        self._journal = means.journal
        self._clock = means.clock
        self._config = means.config
        self._chains = chains
        self._hint = hint
        self._retention = Retention(means, chains, hint)

    async def look(self, run: Run, head: Head | None) -> None:
        """A hint named a run that is not there or has ended. Raises JournalError: it is looked at again."""
        if head is None:
            await self._retention.look_gone(run)
            await self._drop_orphans(run)
            return
        if head.status == h.CONTINUED:
            await self._chains.go_on(head)
        await self._retention.look(head)

    async def keep(self, run: Run, ended_ms: int) -> None:
        """It ended then, and only its retention is left to do. Raises JournalError."""
        await self._retention.keep(run, ended_ms)

    async def _drop_orphans(self, run: Run) -> None:
        """A start that wrote its large values and never came about; one that may still be under way is left alone."""
        now_ms = self._clock.now_ms()
        if await self._journal.chunks.drop(run, now_ms - self._config.orphan_chunks_ms):
            await self._hint(run, now_ms + self._config.orphan_chunks_ms)
