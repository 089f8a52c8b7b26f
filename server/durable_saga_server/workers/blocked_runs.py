"""Blocked runs of which this server does not know who refused them: another server was their home, or it was restarted. When
a worker connects, those that it may be able to continue are given to it once, however long their next try is put off.

They are found in the listing, the newest first, and the head decides. What is missed is tried at its time.
"""

from __future__ import annotations

import logging

from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Filter, Head, Journal, JournalError
from durable_saga_server.workers.dispatch import Dispatcher
from durable_saga_server.workers.sessions import Session

log = logging.getLogger(__name__)
BLOCKED_LOOKED_AT_MAX = 10_000
"""For one worker that connects."""
BLOCKED_PER_READ = 200
BLOCKED_WAITING_MAX = 1_000
"""Runs that wait for a worker: with more, no further ones are read for now."""
WAITING_SECONDS = 0.1


class BlockedRuns:
    def __init__(self, journal: Journal, clock: Clock, cell: Cell, dispatcher: Dispatcher) -> None:
        self._journal = journal
        self._clock = clock
        self._cell = cell
        self._dispatcher = dispatcher

    async def offer(self, session: Session) -> None:
        page, looked_at = "", 0
        try:
            while not session.closed and looked_at < BLOCKED_LOOKED_AT_MAX:
                found = await self._journal.index.listing(Filter(session.namespace, blocked=True), BLOCKED_PER_READ, page)
                looked_at += len(found.heads)
                for head in found.heads:
                    if session.can_run(head.run.namespace, head.saga_type) and self._is_ours(head):
                        await self._bring(head)
                if not (page := found.next_page):
                    return
                while sum(count for _, count in self._dispatcher.lengths()) > BLOCKED_WAITING_MAX and not session.closed:
                    await self._clock.sleep(WAITING_SECONDS)
        except JournalError as error:
            log.warning("the blocked sagas can't be read for worker %s, and are tried at their time: %s", session.name, error)

    def _is_ours(self, head: Head) -> bool:
        return self._cell.is_home(head.run) and head.run not in self._dispatcher.refusals.known()

    async def _bring(self, listed: Head) -> None:
        """Raises JournalError."""
        head = await self._journal.runs.head(listed.run)
        if head is not None and head.status in OPEN and head.blocked and not head.owner and self._is_ours(head):
            self._dispatcher.bring(head.run, head.saga_type, head.build)
