"""A server that becomes the home of a shard looks at what can go on there long before the hints are due: at once at what has no
owner, or one whose process has ended on this machine, so that runs begin in the order of their starts whatever happened to the
queue of the server before; and at what is at work once its worker had time to tell that it has it. What can't be read now comes
later, by its hint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from durable_saga.pb.process_names import is_gone
from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, Journal, JournalError, Run
from durable_saga_server.waking.ended import EndedRuns
from durable_saga_server.workers.dispatch import Dispatcher

HELD_SECONDS_MAX = 5.0
"""For so long nothing is handed out while what waits is read."""
READS_AT_ONCE_MAX = 64


class Wakes(Protocol):
    over: EndedRuns

    def wake(self, head: Head) -> Awaitable[None]: ...

    def can_go_on(self, head: Head, now_ms: int) -> Awaitable[bool]: ...


class FirstLook:
    def __init__(
        self, journal: Journal, clock: Clock, config: Config, cell: Cell, dispatcher: Dispatcher, waker: Wakes
    ) -> None:  # fmt: skip
        self._journal = journal
        self._clock = clock
        self._config = config
        self._cell = cell
        self._dispatcher = dispatcher
        self._waker = waker

    async def over(self, known: Callable[[], Sequence[Run]]) -> None:
        """`known`: the runs of which a hint has not been looked at."""
        runs = known()
        with self._dispatcher.held(), suppress(TimeoutError):
            async with asyncio.timeout(HELD_SECONDS_MAX):
                for at in range(0, len(runs), READS_AT_ONCE_MAX):
                    await asyncio.gather(*map(self._bring, runs[at : at + READS_AT_ONCE_MAX]))
        await self._clock.sleep(self._config.lease_ms / 1000)
        for run in known():
            if self._dispatcher.sessions.owner(run) is None and not self._waker.over.of(run, 0):
                with suppress(JournalError):
                    await self._take_up(run)

    async def _bring(self, run: Run) -> None:
        with suppress(JournalError):
            head = await self._journal.runs.head(run)
            if head is not None and head.status not in OPEN:
                await self._waker.over.has_ended(head)
            if head is None or head.status not in OPEN or head.blocked:
                return
            if head.owner:
                is_due = self._dispatcher.sessions.owner_by(head) is None and is_gone(head.owner)
            else:
                is_due = 0 < head.wake_at_ms <= self._clock.now_ms()
            if is_due:
                await self._waker.wake(head)

    async def _take_up(self, run: Run) -> None:
        """Raises JournalError."""
        head = await self._journal.runs.head(run)
        if head is None or head.status not in OPEN or self._dispatcher.sessions.owner_by(head) is not None:
            return
        if head.owner and self._cell.with_worker(head.owner) is not None:
            return
        if head.owner or await self._waker.can_go_on(head, self._clock.now_ms()):
            await self._waker.wake(head)
