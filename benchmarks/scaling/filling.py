"""Parked sagas in bulk: copies of one that was really started and parked.

SQLite is filled through the interface of the journal. On Cassandra that would be two conditional writes for each; there the
same rows are written by plain statements, those of one partition together.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from durable_saga_server.journal import Commit, Committed, Created, Head, Hint, Run
from durable_saga_server.journal.open import open_journal

from durable_saga.pb import history_pb2 as h

CHUNK = 1_000
ROWS_PER_BATCH = 50
STATEMENTS_AT_ONCE = 64
HINT_TTL_SECONDS = 30 * 86_400


def copies(head: Head, numbers: range) -> Iterator[Head]:
    """Started one a millisecond, each with a name of its own."""
    for number in numbers:
        yield replace(
            head,
            run=Run(head.run.namespace, f"parked-{number}"),
            incarnation=uuid.uuid4().bytes,
            last_commit=uuid.uuid4().bytes,
            started_ms=head.started_ms - number,
            wake_at_ms=head.wake_at_ms + number,
        )


async def fill(url: str, saga: str, numbers: range, say: Callable[[str], None]) -> None:
    """Write so many copies of this parked saga."""
    journal: Any = open_journal(url, strict=False)
    await journal.initialize()
    try:
        head = await journal.runs.head(Run("default", saga))
        assert head is not None, "it was started"
        assert not head.owner, "it is parked"
        events = list(await journal.runs.events(head.run, 0, 1_000))
        rows: Any = ThroughInterface(journal)
        if url.startswith("cassandra"):
            rows = CassandraRows(journal._session)
        await rows.prepare()
        for first in range(numbers.start, numbers.stop, CHUNK):
            some = list(copies(head, range(first, min(first + CHUNK, numbers.stop))))
            await rows.write(some, events)
            say(f"{first + len(some):,} of {numbers.stop:,} parked")
    finally:
        await journal.close()


class ThroughInterface:
    def __init__(self, journal: Any) -> None:
        self._journal = journal

    async def prepare(self) -> None: ...

    async def write(self, heads: Sequence[Head], events: Sequence[h.Event]) -> None:
        made = await asyncio.gather(
            *(self._journal.runs.create(replace(one, next_seq=1), events[0], Hint(one.wake_at_ms, one.run)) for one in heads)
        )
        assert all(isinstance(one, Created) for one in made), "their names are new"
        outcomes = await self._journal.runs.commit_many(
            [
                Commit(
                    one.run, one.incarnation, one.epoch, one.last_commit, 1, events[1:], one.status, one.updated_ms,
                    one.wake_at_ms, release=True,
                )
                for one in heads
            ]
        )  # fmt: skip
        assert all(isinstance(one, Committed) for one in outcomes), "nobody else writes them"


class CassandraRows:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._head: Any = None

    async def prepare(self) -> None:
        from durable_saga_server.journal.cassandra.schema import STATEMENTS

        text = STATEMENTS["create_head"].removesuffix(" IF NOT EXISTS")
        self._head = await asyncio.to_thread(self._session._session.prepare, self._session._qualified(text))

    async def write(self, heads: Sequence[Head], events: Sequence[h.Event]) -> None:
        room = asyncio.Semaphore(STATEMENTS_AT_ONCE)

        async def send(rows: list[tuple[Any, tuple[Any, ...]]]) -> None:
            from cassandra.cluster import EXEC_PROFILE_DEFAULT
            from cassandra.query import BatchStatement, BatchType

            batch = BatchStatement(BatchType.UNLOGGED)
            for statement, values in rows:
                batch.add(statement, values)
            async with room:
                await self._session._send(batch, EXEC_PROFILE_DEFAULT)

        written = [(event.seq, event.SerializeToString()) for event in events]
        await asyncio.gather(*(send(batch) for batch in self._batches(heads, written)))

    def _batches(self, heads: Sequence[Head], events: list[tuple[int, bytes]]) -> Iterator[list[tuple[Any, tuple[Any, ...]]]]:
        """Rows of one partition each: a run; hints of a shard and day; rows of a day's listing."""
        from durable_saga_server.journal.cassandra.heads import head_columns
        from durable_saga_server.journal.cassandra.listing import list_row
        from durable_saga_server.journal.cassandra.schema import HINT_DAY_MS, LISTING_DAY_MS

        prepared = self._session._prepared
        together: dict[tuple[Any, ...], list[tuple[Any, tuple[Any, ...]]]] = defaultdict(list)
        for head in heads:
            run = (head.run.namespace, head.run.saga, head.run.run)
            rows = [(prepared["event"], (*run, seq, event)) for seq, event in events]
            yield [(self._head, (*run, *head_columns(head))), *rows]
            place = Hint(head.wake_at_ms, head.run).shard, head.wake_at_ms // HINT_DAY_MS
            hint = (*place, head.wake_at_ms, *run, HINT_TTL_SECONDS)
            together["hint", *place].append((prepared["add_far"], hint))
            day = head.started_ms // LISTING_DAY_MS
            together["listing", day].append((prepared["list_put"], list_row(head, day)))
        for batch in together.values():
            for first in range(0, len(batch), ROWS_PER_BATCH):
                yield batch[first : first + ROWS_PER_BATCH]


async def partitions(url: str) -> dict[str, dict[str, int]]:
    """Of a Cassandra keyspace: MiB of each table on disk, and of its largest partition. What is only in memory is not in it."""
    journal: Any = open_journal(url, strict=False)
    await journal._session.open()
    keyspace, found = journal._keyspace, defaultdict[str, dict[str, int]](dict)
    for view, word in (("disk_usage", "all"), ("max_partition_size", "largest")):
        where = f"WHERE keyspace_name = '{keyspace}' ALLOW FILTERING"
        for table, size in await journal._session.run(f"SELECT table_name, mebibytes FROM system_views.{view} {where}"):
            if size:
                found[table][word] = size
    await journal._session.close()
    return found
