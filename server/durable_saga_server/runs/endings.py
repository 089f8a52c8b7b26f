"""What is left to do for a run that is not open: found by its hints, done again until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import Head, Run
from durable_saga_server.runs.retention import Retention

if TYPE_CHECKING:
    from durable_saga_server.service import HistoryService


class Endings:
    def __init__(self, service: HistoryService) -> None:
        self._service = service
        self._retention = Retention(service)

    async def look(self, run: Run, head: Head | None) -> None:
        """A hint named a run that is not there or has ended. Raises JournalError: it is looked at again."""
        if head is None:
            await self._retention.look_gone(run)
            await self._drop_orphans(run)
            return
        if head.status == h.CONTINUED:
            await self._service.chains.go_on(head)
        await self._retention.look(head)

    async def _drop_orphans(self, run: Run) -> None:
        """A start that wrote its large values and never came about; one that may still be under way is left alone."""
        service = self._service
        now_ms = service.clock.now_ms()
        if await service.journal.chunks.drop(run, now_ms - service.config.orphan_chunks_ms):
            await service.waker.hint(run, now_ms + service.config.orphan_chunks_ms)
