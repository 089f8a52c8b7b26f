"""Wakes runs that nobody owns: timers, messages to parked runs, owners that died. Driven by the hints in the journal.

A hint says only when to look; the head decides. Each one that is looked at leads to nothing more to do, to a hand-out with
a later hint already written, or to that later hint alone; only then does the watermark pass it.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable

from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.dispatch import Dispatcher
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, Hint, Journal, JournalError, Run
from durable_saga_server.sessions import Sessions

log = logging.getLogger(__name__)
HINTS_PER_READ = 5_000
LOOKS_AT_ONCE_MAX = 64
_AGAIN_SECONDS = 1.0
Ended = Callable[[Run, Head | None], Awaitable[None]]


class Waker:
    """Owns the hints that are due soon."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, sessions: Sessions, dispatcher: Dispatcher) -> None:
        self.ended: Ended | None = None
        self._journal = journal
        self._clock = clock
        self._config = config
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._near: list[tuple[int, str, str, int]] = []
        self._known: set[tuple[int, str, str, int]] = set()
        self.sweep_ms = config.sweep_ms
        self._read_until_ms = 0
        self._started_ms = 0
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises JournalError."""
        self._started_ms = self._clock.now_ms()
        self._read_until_ms = await self._journal.watermark()
        await self._read()
        self._tasks = [
            asyncio.create_task(self._sweep(), name="hints-sweep"),
            asyncio.create_task(self._fire(), name="hints-fire"),
            asyncio.create_task(self._find_orphans(), name="hints-orphans"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def hint(self, run: Run, due_ms: int) -> None:
        """Make sure that somebody looks at the run at `due_ms`. Durable when it returns. Raises JournalError."""
        hint = Hint(due_ms, run)
        await self._journal.add_hint(hint)
        self.written(hint)

    def written(self, hint: Hint) -> None:
        """A hint was written: one that is due before the next sweep is kept in memory too."""
        if hint.due_ms <= self._read_until_ms:
            self._push(hint)

    def _push(self, hint: Hint) -> None:
        row = (hint.due_ms, hint.run.namespace, hint.run.saga, hint.run.run)
        if row not in self._known:
            self._known.add(row)
            heapq.heappush(self._near, row)
            if self._near[0] == row:
                self._changed.set()

    async def _read(self) -> None:
        until = self._clock.now_ms() + self._config.horizon_ms
        while self._read_until_ms < until:
            found = await self._journal.hints(self._read_until_ms, until, HINTS_PER_READ)
            self._read_until_ms = found[-1].due_ms if len(found) >= HINTS_PER_READ else until
            for hint in found:
                self._push(hint)

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(min(self.sweep_ms, self._config.horizon_ms // 2) / 1000)
            try:
                await self._read()
                done_until = (min(self._known)[0] if self._known else self._clock.now_ms()) - 1
                await self._journal.set_watermark(min(done_until, self._clock.now_ms() - self._config.horizon_ms))
            except JournalError as error:
                log.warning("hints can't be read: %s", error)

    async def _fire(self) -> None:
        while True:
            self._changed.clear()
            due: list[tuple[int, str, str, int]] = []
            while self._near and self._near[0][0] <= self._clock.now_ms() and len(due) < LOOKS_AT_ONCE_MAX:
                due.append(heapq.heappop(self._near))
            if due:
                await asyncio.gather(*(self._look(row) for row in due))
                continue
            seconds = (self._near[0][0] - self._clock.now_ms()) / 1000 if self._near else 60.0
            try:
                await asyncio.wait_for(self._changed.wait(), max(seconds, 0.001))
            except TimeoutError:
                pass  # the next hint is due

    async def _look(self, row: tuple[int, str, str, int]) -> None:
        run = Run(*row[1:])
        try:
            await self._decide(run)
        except JournalError as error:
            log.warning("%s can't be looked at: %s", run.saga, error)
            await self._clock.sleep(_AGAIN_SECONDS)
            heapq.heappush(self._near, row)  # it stays known, so the watermark stays behind it
            return
        self._known.discard(row)

    async def _decide(self, run: Run) -> None:
        head = await self._journal.head(run)
        if head is None or head.status not in OPEN:
            self._journal.list_again(run)
            if self.ended is not None:
                await self.ended(run, head)
            return
        now_ms = self._clock.now_ms()
        if self._sessions.owner(run) is not None:
            await self.hint(run, now_ms + self._config.rehint_ms)
        elif head.owner and now_ms < self._started_ms + self._config.lease_ms:
            await self.hint(run, self._started_ms + self._config.lease_ms)  # its worker may still come back to us
        elif head.owner or await self._can_go_on(head, now_ms):
            await self.hint(run, now_ms + self._config.rehint_ms)
            self._dispatcher.wake(run, head.saga_type)

    async def _can_go_on(self, head: Head, now_ms: int) -> bool:
        if head.wake_at_ms and head.wake_at_ms <= now_ms:
            return True
        return bool(await self._journal.inbox(head.run)) and not (head.blocked and head.wake_at_ms > now_ms)

    async def _find_orphans(self) -> None:
        """After a restart: runs whose owner did not come back within a lease, long before their hints are due."""
        await self._clock.sleep(self._config.lease_ms / 1000)
        seen: set[Run] = set()
        for row in sorted(self._known):
            run = Run(*row[1:])
            if run in seen or self._sessions.owner(run) is not None:
                continue
            seen.add(run)
            try:
                head = await self._journal.head(run)
            except JournalError:
                continue  # its hint is still there
            if head is not None and head.status in OPEN and head.owner and self._sessions.owner(run) is None:
                self._dispatcher.wake(run, head.saga_type)
