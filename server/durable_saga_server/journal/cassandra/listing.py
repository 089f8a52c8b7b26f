"""The listing on Cassandra: one row for each run, by the day it started, and one for each change that a monitor looks at, by
the day of the change. Written behind the commits.

Eventually consistent. A row is written soon after its head changed; what a server that died did not write is written when
the run's next hint comes up, since every run that is at work has one. A server's own listing shows its own changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from cassandra.query import UNSET_VALUE

from durable_saga_server.journal import Head, JournalUnavailable, Run
from durable_saga_server.journal.cassandra import schema
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.rules import NOTEWORTHY

log = logging.getLogger(__name__)
WRITES_AT_ONCE_MAX = 16
CHANGES_WAITING_MAX = 100_000
DELAY_SECONDS = 0.2


class Listing:
    """`changed()` never waits; `settle()` waits until what was told before is written."""

    def __init__(self, session: Session, read_head: Callable[[Run], Awaitable[Head | None]]) -> None:
        self._session = session
        self._read_head = read_head
        self._changed: dict[Run, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._round_over = asyncio.Event()
        self._rounds = 0
        self._writing = False
        self._days: set[tuple[str, int]] = set()

    def changed(self, run: Run, *, began: bool = False) -> None:
        """A run that has just begun may end soon: its row is written a moment later, once."""
        if len(self._changed) >= CHANGES_WAITING_MAX:
            return  # its hint brings it back
        self._changed[run] = None
        if not began:
            self._wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._write_behind(), name="listing")

    async def settle(self) -> None:
        rounds = self._rounds + (2 if self._writing else 1)
        while self._task is not None and self._rounds < rounds:
            self._wanted.set()
            await self._round_over.wait()

    async def _write_behind(self) -> None:
        try:
            while self._changed:
                try:
                    async with asyncio.timeout(DELAY_SECONDS):
                        await self._wanted.wait()
                except TimeoutError:
                    pass  # nothing but beginnings
                self._wanted.clear()
                runs, self._changed, self._writing = list(self._changed), {}, True
                for start in range(0, len(runs), WRITES_AT_ONCE_MAX):
                    await asyncio.gather(*map(self._write, runs[start : start + WRITES_AT_ONCE_MAX]))
                self._end_round()
        finally:
            self._task = None
            self._end_round()

    def _end_round(self) -> None:
        self._writing = False
        self._rounds += 1
        self._round_over.set()
        self._round_over = asyncio.Event()

    async def _write(self, run: Run) -> None:
        try:
            head = await self._read_head(run)
            if head is None:
                return
            day = head.started_ms // schema.LISTING_DAY_MS
            if (run.namespace, day) not in self._days:
                await self._session.read("day_put", run.namespace, day)
                self._days.add((run.namespace, day))
            await self._session.read("list_put", *list_row(head))
            if head.status in NOTEWORTHY:
                change_day = head.updated_ms // schema.LISTING_DAY_MS
                await self._session.read("change_put", run.namespace, change_day, run.saga, run.run, *head_columns(head))
        except JournalUnavailable as error:
            log.warning("the listing row of %s is written later: %s", run.saga, error)

    async def purge(self, head: Head, now_ms: int) -> None:
        """The run goes: its rows are not seen any more, nor those that are on their way. Raises JournalUnavailable."""
        run, day, stamp = head.run, head.started_ms // schema.LISTING_DAY_MS, (now_ms + schema.LATE_WRITE_MS) * 1000
        await self._session.read("list_purged", stamp, run.namespace, day, head.started_ms, run.saga, run.run)
        await self._session.read("day_summary_drop", stamp, run.namespace, day)
        if head.status in NOTEWORTHY:
            change_day = head.updated_ms // schema.LISTING_DAY_MS
            await self._session.read("change_drop", stamp, run.namespace, change_day, head.updated_ms, run.saga, run.run)

    async def drop_day(self, namespace: str, day: int, now_ms: int) -> None:
        """All of its runs are purged. Raises JournalUnavailable."""
        await self._session.read("day_drop", namespace, day)
        await self._session.read("list_drop_day", (now_ms + schema.LATE_WRITE_MS) * 1000, namespace, day)
        self._days.discard((namespace, day))


def list_row(head: Head) -> tuple[Any, ...]:
    """It bears the time of the head: what a slow server read before and writes now does not replace what is newer."""
    day, timestamp = head.started_ms // schema.LISTING_DAY_MS, head.updated_ms * 1000 + head.next_seq % 1000
    attributes = dict(head.attributes) or UNSET_VALUE
    return head.run.namespace, day, head.run.saga, head.run.run, *head_columns(head), attributes, timestamp


def head_columns(head: Head) -> tuple[Any, ...]:
    return (
        head.saga_type, head.incarnation, head.status, head.owner, head.epoch, head.next_seq, head.last_commit,
        head.started_ms, head.updated_ms, head.ended_ms, head.wake_at_ms, head.blocked,
    )  # fmt: skip


def head_of(run: Run, row: Sequence[Any], attributes: Mapping[str, str] | None = None, newest: int = 0) -> Head:
    saga_type, incarnation, status, owner, epoch, next_seq, last_commit, started, updated, ended, wake, blocked = row
    return Head(
        run, incarnation, saga_type, status, owner or "", epoch, next_seq, last_commit, started, updated, ended, wake,
        blocked or "", newest, tuple(sorted((attributes or {}).items())),
    )  # fmt: skip
