"""Ended runs are purged `retention_ms` after their end (docs/retention.md). Driven by hints; the head decides.

A run's purge is done again until it is done: what fails raises JournalError, and the hint that led here comes up again.
Runs of a chain go in order, the first run last, so that a run that is gone never has one before it but the first.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durable_saga.pb import history_pb2 as h
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Fenced, Head, JournalUnavailable, Run, Unknown

if TYPE_CHECKING:
    from durable_saga_server.service import HistoryService

log = logging.getLogger(__name__)
PURGED_PER_LOOK_MAX = 50
_AGAIN_MS = 1_000


class Retention:
    """Every method raises JournalError."""

    def __init__(self, service: HistoryService) -> None:
        self._service = service

    async def look(self, head: Head) -> None:
        """A run that has ended: purge it if its time is over, else see to it that somebody looks at it then."""
        service, run = self._service, head.run
        if not service.config.retention_ms:
            return
        if run.run == 1 and head.status == h.CONTINUED:
            await self._end_chain(run)
        elif service.clock.now_ms() < (due_ms := self._due_ms(head)):
            await service.waker.hint(run, due_ms)
        elif run.run == 1:
            await self._purge(head)
        elif again_ms := await self._purge_in_order(head):
            await service.waker.hint(run, again_ms)

    async def look_gone(self, run: Run) -> None:
        """A run that is not there. It may be the last of a chain, purged by a write whose outcome nobody heard."""
        if self._service.config.retention_ms and run.run > 1:
            await self._end_chain(run._replace(run=1))

    async def _end_chain(self, first: Run) -> None:
        """The first run stays until the last is gone; its purge leads here, or its hint, which is there until that is done."""
        root = await self._service.journal.runs.head(first)
        if root is None or root.status != h.CONTINUED or root.newest < 2:
            return
        if await self._service.journal.runs.head(first._replace(run=root.newest)) is None:
            await self._purge(root)

    async def _purge_in_order(self, head: Head) -> int:
        """What is left before it, then the run itself. When to look again, 0: there is no more to do."""
        service, run = self._service, head.run
        first, is_last = run._replace(run=1), head.status != h.CONTINUED
        await service.chains.newest(run.namespace, run.saga)  # the first run names the newest then
        root = await service.journal.runs.head(first)
        if root is not None and root.newest < run.run + (not is_last):
            log.error("run %s of saga %s is not linked to its chain: it is kept", run.run, run.saga)
            return 0
        oldest = await self._oldest(run)
        until = min(run.run, oldest + PURGED_PER_LOOK_MAX)
        for number in range(oldest, until):
            before = await service.journal.runs.head(run._replace(run=number))
            if before is not None:
                if (due_ms := self._due_ms(before)) > service.clock.now_ms():
                    return due_ms
                await self._purge(before)
        if until < run.run:
            return service.clock.now_ms() + _AGAIN_MS
        await self._purge(head)
        if is_last:
            await self._end_chain(first)
        return 0

    def _due_ms(self, head: Head) -> int:
        """An open run has no business before an ended one: it is of another chain."""
        ended_ms = self._service.clock.now_ms() if head.status in OPEN else head.ended_ms
        return ended_ms + self._service.config.retention_ms

    async def _oldest(self, run: Run) -> int:
        """The number of the first run after run 1 that is there; at most that of `run`, which is."""
        gone, there = 1, run.run
        while there - gone > 1:
            middle = (gone + there) // 2
            if await self._service.journal.runs.head(run._replace(run=middle)) is None:
                gone = middle
            else:
                there = middle
        return there

    async def _purge(self, head: Head) -> None:
        """What is written in the middle between its end and now is neither its own nor that of a new run."""
        assert head.status not in OPEN, "only an ended run is purged"
        before_ms = (head.ended_ms + self._service.clock.now_ms()) // 2
        outcome = await self._service.journal.runs.purge(head.run, head.incarnation, before_ms)
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(f"nobody knows whether run {head.run.run} of {head.run.saga} was purged: {outcome.reason}")
        if isinstance(outcome, Fenced):
            log.info("run %s of %s was purged by another server", head.run.run, head.run.saga)
