"""The listing on Cassandra: one row for each run, by the day it started (parts.py), and one for each change that a monitor
looks at, by the day of the change. Written behind the commits.

Eventually consistent. A row is written soon after its head changed; what a server that died did not write is written when
the run's next hint comes up, since every run that is at work has one. A server's own listing shows its own changes.

A monitor reads changes in their order and looks only a few seconds back. So a change that is written late stands twice: at its
own time, and at the time of the writing, where a monitor that has gone on meets it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cassandra.query import UNSET_VALUE

from durable_saga_server.clock import Clock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Commit, Doing, Head, JournalError, Run
from durable_saga_server.journal.cassandra import schema
from durable_saga_server.journal.cassandra.heads import GLANCE, doing_of, head_columns, read_head
from durable_saga_server.journal.cassandra.parts import Parts
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.rules import after_commit, attributes_in, is_noteworthy, sub_state

log = logging.getLogger(__name__)
READS_AT_ONCE_MAX = 16
ROWS_TOGETHER_MAX = 32
CHANGES_WAITING_MAX = 100_000
ENDED_MAX = 50_000
"""Runs of which this process knows that their end is listed, the latest."""
DELAY_SECONDS = 0.2
BEGUN_SECONDS = 1.0
ID_BYTES = 16
CHANGE_LATE_MS = 2_000
"""A change that is written later than this is late. Less than the seconds that a monitor looks back."""
_Partition = tuple[str, int]


class Listing:
    """`began()` and `changed()` never wait; `settle()` waits until what was told before is written. Rows of one part that are
    due together are one write; a run that ends within BEGUN_SECONDS has one row written."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session, self._clock = session, clock
        self._begun: dict[Run, tuple[Head, float]] = {}
        self._changed: dict[Run, Head | None] = {}
        self._told: dict[Run, Doing] = {}  # of those that changed, what they do: their heads do not tell it
        self._ended: dict[Run, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._round_over = asyncio.Event()
        self._rounds = 0
        self._writing = False
        self.parts = Parts(session, clock)

    def began(self, head: Head) -> None:
        """A run was made with this head; it may end soon."""
        self._ended.pop(head.run, None)
        if self._has_room():
            self._begun[head.run] = head, time.monotonic()
            self._start()

    def changed(self, run: Run, commit: Commit | None = None) -> None:
        """By this commit of it, or in some way."""
        begun = self._begun.pop(run, None)
        self._ended.pop(run, None)
        if self._has_room():
            known = None if run in self._changed or begun is None or commit is None else _after(begun[0], commit)
            self._changed[run] = known
            if known is not None:
                self._told[run] = known.doing
            elif commit is not None and (commit.doing is not None or commit.status not in OPEN):
                self._told[run] = commit.doing or Doing()
            self._start()

    def told_build(self, run: Run, commit: Commit) -> None:
        """By its first commit. The row of a run that may end soon still waits."""
        if run not in self._begun:
            self.changed(run, commit)
            return
        head, since = self._begun[run]
        if head.owner:  # else it is read when its row is written
            self._begun[run] = _after(head, commit) or replace(head, owner=""), since

    def read(self, head: Head) -> None:
        """It was found so, and its row may be older. What is told of an open run may be newer than that."""
        self._begun.pop(head.run, None)
        if self._has_room():
            self._changed[head.run] = head if head.status not in OPEN or head.run not in self._changed else None
            self._start()

    def has_ended(self, run: Run) -> bool:
        """The row of its end was written by this process, and nothing has come to this run since."""
        return run in self._ended

    def _has_room(self) -> bool:
        return len(self._begun) + len(self._changed) < CHANGES_WAITING_MAX  # else its hint brings it back

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._write_behind(), name="listing")

    async def settle(self) -> None:
        rounds = self._rounds + (2 if self._writing else 1)
        while self._task is not None and self._rounds < rounds:
            self._wanted.set()
            await self._round_over.wait()

    async def _write_behind(self) -> None:
        try:
            while self._changed or self._begun:
                try:
                    async with asyncio.timeout(DELAY_SECONDS):
                        await self._wanted.wait()
                except TimeoutError:
                    pass  # what has come meanwhile is written together
                (rows, told), self._writing = self._take(all_begun=self._wanted.is_set()), True
                self._wanted.clear()
                await self._write(rows, told)
                self._end_round()
        finally:
            self._task = None
            self._end_round()

    def _take(self, *, all_begun: bool) -> tuple[dict[Run, Head | None], dict[Run, Doing]]:
        """What is due: changes, and what has begun a while ago."""
        rows, self._changed = self._changed, {}
        told, self._told = self._told, {}
        until = time.monotonic() - BEGUN_SECONDS
        for run, (head, since) in list(self._begun.items()):
            if since > until and not all_begun:
                break
            rows[run] = head if head.owner else None  # one without an owner may have got it
            del self._begun[run]
            told[run] = head.doing
        return rows, told

    def _end_round(self) -> None:
        self._writing = False
        self._rounds += 1
        self._round_over.set()
        self._round_over = asyncio.Event()

    async def _write(self, rows: Mapping[Run, Head | None], told: Mapping[Run, Doing]) -> None:
        heads = [head for head in rows.values() if head is not None]
        unknown = [run for run, head in rows.items() if head is None]
        for start in range(0, len(unknown), READS_AT_ONCE_MAX):
            heads += filter(None, await asyncio.gather(*map(self._read, unknown[start : start + READS_AT_ONCE_MAX])))
        placed: list[tuple[Head, int]] = []
        for head in heads:
            try:
                placed.append((head, await self.parts.of(head.run.namespace, head.started_ms)))
            except JournalError as error:
                log.warning("the listing row of %s is written later: %s", head.run.saga, error)
        partitions: dict[_Partition, list[Head]] = {}
        for start in range(0, len(placed), READS_AT_ONCE_MAX):
            group = placed[start : start + READS_AT_ONCE_MAX]
            found = await asyncio.gather(*(self._doing_of(head, part, told) for head, part in group))
            for (head, part), doing in zip(group, found, strict=True):
                if doing is not None:
                    partitions.setdefault((head.run.namespace, part), []).append(replace(head, doing=doing))
        for partition, several in partitions.items():
            for start in range(0, len(several), ROWS_TOGETHER_MAX):
                await self._put(partition, several[start : start + ROWS_TOGETHER_MAX])

    async def _read(self, run: Run) -> Head | None:
        try:
            return await read_head(self._session, GLANCE, run)
        except JournalError as error:
            log.warning("the listing row of %s is written later: %s", run.saga, error)
            return None

    async def _doing_of(self, head: Head, part: int, told: Mapping[Run, Doing]) -> Doing | None:
        """As it was told last. None: it can't be read now."""
        run = head.run
        if (doing := told.get(run)) is not None:
            return doing
        try:
            rows = await self._session.read("list_doing", run.namespace, part, head.started_ms, run.saga, run.run)
        except JournalError as error:
            log.warning("the listing row of %s is written later: %s", run.saga, error)
            return None
        return doing_of(rows[0]) if rows else Doing()

    async def _put(self, partition: _Partition, heads: Sequence[Head]) -> None:
        try:
            await self.parts.register(*partition)
            await self._session.write_together("list_put", [list_row(head, partition[1]) for head in heads])
            for head in heads:
                if is_noteworthy(head):
                    await self._put_change(head, self._clock.now_ms())
            self._ended.update((head.run, None) for head in heads if head.status not in OPEN)
            while len(self._ended) > ENDED_MAX:
                del self._ended[next(iter(self._ended))]
            await self.parts.wrote(*partition, len(heads))
        except JournalError as error:
            log.warning("the listing rows of %s and %d more are written later: %s", heads[0].run.saga, len(heads) - 1, error)

    async def _put_change(self, head: Head, now_ms: int) -> None:
        """First where a monitor still looks: a server that dies between the two writes leaves it to the next hint."""
        if now_ms > head.updated_ms + CHANGE_LATE_MS:
            if await self._session.read("change_known", *_change_key(head), head.updated_ms, head.run.saga, head.run.run):
                return
            late = replace(head, updated_ms=now_ms)
            await self._session.read("change_put_late", *_change_key(late), head.run.saga, head.run.run, *head_columns(late))
        await self._session.read("change_put", *_change_key(head), head.run.saga, head.run.run, *head_columns(head))

    async def purge(self, head: Head, now_ms: int) -> None:
        """The run goes: its rows are not seen any more, nor those that are on their way. Raises JournalUnavailable."""
        run, stamp = head.run, (now_ms + schema.LATE_WRITE_MS) * 1000
        part = await self.parts.of(run.namespace, head.started_ms)
        await self._session.read("list_purged", stamp, run.namespace, part, head.started_ms, run.saga, run.run)
        await self._session.read("day_summary_drop", stamp, run.namespace, part)
        await self._session.read("day_summary_drop", stamp, run.namespace, -part)
        if is_noteworthy(head):
            await self._session.read("change_drop", stamp, *_change_key(head), head.updated_ms, run.saga, run.run)

    async def drop_part(self, namespace: str, part: int, now_ms: int) -> None:
        """All of its runs are purged. Raises JournalUnavailable."""
        await self._session.read("day_drop", namespace, part)
        await self._session.read("list_drop_day", (now_ms + schema.LATE_WRITE_MS) * 1000, namespace, part)
        self.parts.forget(namespace, part)


def _after(begun: Head, commit: Commit) -> Head | None:
    """The head after this commit, where nothing that this server does not know of can lie between."""
    if commit.incarnation != begun.incarnation or commit.epoch != begun.epoch:
        return None
    return None if attributes_in(commit.events) else after_commit(begun, commit)


def list_row(head: Head, part: int) -> tuple[Any, ...]:
    """It bears the time of the head: what a slow server read before and writes now does not replace what is newer."""
    timestamp = head.updated_ms * 1000 + head.next_seq % 1000
    attributes = dict(head.attributes) or UNSET_VALUE
    return (
        head.run.namespace, part, head.run.saga, head.run.run, *head_columns(head), attributes, head.build or UNSET_VALUE,
        head.paused, bool(head.blocked), bool(head.paused), id_number(head.run.saga), sub_state(head), *head.doing, timestamp,
    )  # fmt: skip


def id_number(saga: str, filled_with: bytes = b"\0") -> int:
    """Ids in their order as numbers, by their first ID_BYTES bytes: an index of Cassandra 5 knows ranges of numbers alone."""
    return int.from_bytes(saga.encode()[:ID_BYTES].ljust(ID_BYTES, filled_with), "big")


def _change_key(head: Head) -> _Partition:
    return head.run.namespace, head.updated_ms // schema.LISTING_DAY_MS
