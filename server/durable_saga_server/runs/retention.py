"""Ended runs are purged `retention_ms` after their end (docs/retention.md). Driven by hints; the head decides.

A run's purge is done again until it is done: what fails raises JournalError, and the hint that led here comes up again.
Runs of a chain go in order, the first run last, so that a run that is gone never has one before it but the first.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.log_fields import about
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Fenced, Head, JournalUnavailable, Run, Unknown
from durable_saga_server.means import Means
from durable_saga_server.runs.chains import Chains

log = logging.getLogger(__name__)
PURGED_PER_LOOK_MAX = 50
_AGAIN_MS = 1_000


class Retention:
    """Every method raises JournalError. `hint` makes sure that somebody looks at a run at a time."""

    def __init__(self, means: Means, chains: Chains, hint: Callable[[Run, int], Awaitable[None]]) -> None:
        self._journal = means.journal
        self._clock = means.clock
        self._config = means.config
        self._chains = chains
        self._hint = hint

    async def look(self, head: Head) -> None:
        """A run that has ended: purge it if its time is over, else see to it that somebody looks at it then."""
        run = head.run
        if not self._config.retention_ms:
            return
        if run.run == 1 and (head.status == h.CONTINUED or head.newest > 1):
            await self._end_chain(run)
        elif self._clock.now_ms() < (due_ms := self._due_ms(head)):
            await self._hint(run, due_ms)
        elif run.run == 1:
            await self._purge(head)
        elif again_ms := await self._purge_in_order(head):
            await self._hint(run, again_ms)

    async def keep(self, run: Run, ended_ms: int) -> None:
        """As `look()` for a run that ended a short while ago and was not continued."""
        if self._config.retention_ms:
            await self._hint(run, ended_ms + self._config.retention_ms)

    async def look_gone(self, run: Run) -> None:
        """A run that is not there. It may be the last of a chain, purged by a write whose outcome nobody heard."""
        if self._config.retention_ms and run.run > 1:
            await self._end_chain(run._replace(run=1))

    async def _end_chain(self, first: Run) -> None:
        """The first run stays until the last is gone; its purge leads here, or its hint, which is there until that is done."""
        root = await self._journal.runs.head(first)
        if root is None or root.status in OPEN or root.newest < 2:
            return
        if await self._journal.runs.head(first._replace(run=root.newest)) is not None:
            return
        before = root.newest - 1  # the newest may have been named, and not made
        if before > 1 and await self._journal.runs.head(first._replace(run=before)) is not None:
            return
        if self._clock.now_ms() < (due_ms := self._due_ms(root)):
            await self._hint(first, due_ms)
        else:
            await self._purge(root)

    async def _purge_in_order(self, head: Head) -> int:
        """What is left before it, then the run itself. When to look again, 0: there is no more to do."""
        run = head.run
        first = run._replace(run=1)
        is_last = head.status != h.CONTINUED and await self._journal.runs.head(run._replace(run=run.run + 1)) is None
        await self._chains.newest(run.namespace, run.saga)  # the first run names the newest then
        root = await self._journal.runs.head(first)
        if root is not None and root.newest < run.run + (not is_last):
            log.error("run %s of saga %s is kept, because it is not linked to its chain", run.run, run.saga, extra=about(run))
            return 0
        oldest = await self._oldest(run)
        until = min(run.run, oldest + PURGED_PER_LOOK_MAX)
        for number in range(oldest, until):
            before = await self._journal.runs.head(run._replace(run=number))
            if before is not None:
                if (due_ms := self._due_ms(before)) > self._clock.now_ms():
                    return due_ms
                await self._purge(before)
        if until < run.run:
            return self._clock.now_ms() + _AGAIN_MS
        await self._purge(head)
        if is_last:
            await self._end_chain(first)
        return 0

    def _due_ms(self, head: Head) -> int:
        """An open run has no business before an ended one: it is of another chain."""
        ended_ms = self._clock.now_ms() if head.status in OPEN else head.ended_ms
        return ended_ms + self._config.retention_ms

    async def _oldest(self, run: Run) -> int:
        """The number of the first run after run 1 that is there; at most that of `run`, which is."""
        gone, there = 1, run.run
        while there - gone > 1:
            middle = (gone + there) // 2
            if await self._journal.runs.head(run._replace(run=middle)) is None:
                gone = middle
            else:
                there = middle
        return there

    async def _purge(self, head: Head) -> None:
        """What is written in the middle between its end and now is neither its own nor that of a new run."""
        assert head.status not in OPEN, "only an ended run is purged"
        before_ms = (head.ended_ms + self._clock.now_ms()) // 2
        outcome = await self._journal.runs.purge(head.run, head.incarnation, before_ms)
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(
                f"it is unknown whether run {head.run.run} of {head.run.saga} was purged: {outcome.reason}"
            )
        if isinstance(outcome, Fenced):
            log.info("run %s of saga %s was purged by another server", head.run.run, head.run.saga, extra=about(head.run))
