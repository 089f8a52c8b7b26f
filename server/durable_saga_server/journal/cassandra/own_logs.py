"""The logs that this process writes: one at a time, the earlier ones until nothing in them counts; and those of the dead.

A log is bounded by its size and its age. Runs that are at work go into the next one with their next commit, the others are
moved out. A log that no head names goes as a whole. That of a process that has not been heard of for DEAD_MS is closed before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from durable_saga_server.clock import Clock, Ids, RandomIds
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, JournalError, Run
from durable_saga_server.journal.cassandra.log import Log, Term, open_log
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.tending import tend

log = logging.getLogger(__name__)
TEND_SECONDS = 30.0
DEAD_MS = 86_400_000
"""A log whose process has not said for so long that it uses it is nobody's. A process that was only paused opens another."""
DEAD_LOOKS_SECONDS = 3_600.0
LEAVE_AT_ONCE_MAX = 16
MoveOut = Callable[[Run, str], Awaitable[bool]]


class OwnLogs:
    """`writes`: new rows go into logs, each with a name of its own from `ids`. `move_out(run, log)` tells whether a run's head
    names a log no more, and sees to it."""

    def __init__(self, session: Session, clock: Clock, *, writes: bool, ids: Ids | None = None) -> None:
        self._session, self._clock, self._ids = session, clock, ids or RandomIds()
        self.writes = writes
        self.current: Log | None = None
        self._all: dict[str, Log] = {}
        self._task: asyncio.Task[None] | None = None
        self.move_out: MoveOut | None = None
        self._looked = 0.0

    async def start(self) -> None:
        """Once more too, after a start of the server that did not come to its end. Raises JournalUnavailable."""
        if self.writes and self._task is None:
            await self._open()
            self._task = tend("logs", self._look_after, self._clock)

    async def close(self) -> None:
        """After the last commit. What stands in the logs is taken from there by whoever goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for one in self._all.values():
            await one.close()

    def of(self, name: str) -> Log | None:
        return self._all.get(name) if name else None

    def name_for(self, head: Head) -> str:
        """Into which log a run goes with a conditional write after which this is its head; "" for none."""
        if self.current is None or self.current.is_closed or not head.owner or head.status not in OPEN:
            return ""
        return self.current.name

    def left(self, name: str, term: Term) -> None:
        """The run's head names this log no more, or another term of it."""
        one = self._all.get(name)
        if one is not None:
            one.terms.pop(term, None)

    async def _open(self) -> None:
        one = await open_log(self._session, self._ids.new().hex(), self._clock.now_ms())
        self._all[one.name] = one
        self.current = one

    async def _look_after(self) -> None:
        await self._clock.sleep(TEND_SECONDS)
        try:
            await self.look_after()
        except JournalError as error:
            log.warning("the logs on Cassandra are looked after later: %s", error)

    async def look_after(self) -> None:
        """Turn the log if it is full, move runs out of the old ones, drop what is empty. Raises JournalUnavailable."""
        now_ms = self._clock.now_ms()
        if self.current is None or self.current.is_closed or self.current.is_full(now_ms):
            await self._open()
        for one in list(self._all.values()):
            if one is self.current:
                await self._session.read("log_known", one.name, now_ms)
            else:
                await self._leave(one)
                if not one.terms:
                    await self._drop(one)
        loop = asyncio.get_running_loop()
        if loop.time() > self._looked + DEAD_LOOKS_SECONDS or not self._looked:
            self._looked = loop.time()
            await self.collect(now_ms - DEAD_MS)

    async def _leave(self, one: Log) -> None:
        assert self.move_out is not None, "set by who holds the runs"
        terms = list(one.terms)
        for start in range(0, len(terms), LEAVE_AT_ONCE_MAX):
            some = terms[start : start + LEAVE_AT_ONCE_MAX]
            gone = await asyncio.gather(*(self.move_out(run, one.name) for run, _, _ in some))
            for term, is_gone in zip(some, gone, strict=True):
                if is_gone:
                    one.terms.pop(term, None)

    async def _drop(self, one: Log) -> None:
        """Nobody validates by its fence any more: a fence that is gone is not open."""
        await one.close()
        await self._session.read("fence_drop", one.name)
        await self._session.read("log_drop", one.name)
        await self._session.read("log_forget", one.name)
        del self._all[one.name]

    async def collect(self, before_ms: int) -> int:
        """Drop the logs of others that were not used since then; how many. Their fences stay, closed: one that was only paused
        must find its own so. Raises JournalUnavailable."""
        assert self.move_out is not None, "set by who holds the runs"
        dropped = 0
        for name, used_ms in await self._session.read("known_logs"):
            if name in self._all or used_ms > before_ms:
                continue
            await self._session.read("fence_close", name)
            runs = {Run(*row[:3]) for row in await self._session.read("log_terms", name)}
            if all([await self.move_out(run, name) for run in sorted(runs)]):
                await self._session.read("log_drop", name)
                await self._session.read("log_forget", name)
                dropped += 1
        return dropped
