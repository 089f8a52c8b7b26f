"""Wake hints on Cassandra: (shard, minute) partitions for what is due soon, (shard, day) partitions for what is due later.

Rows expire with their buckets and are never deleted one by one. A far hint is copied into its minute an hour ahead, as often
as it takes: the copies are the same row. A watermark of its own says up to where that was done. A new journal has all its
watermarks at once: without one, a server would read every minute of HINT_KEPT_SECONDS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from durable_saga_server.clock import Clock
from durable_saga_server.journal import FAR_AFTER_MS, SHARDS, Hint, Run
from durable_saga_server.journal.cassandra import schema
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.rules import cut_hints, hints_of

BUCKETS_AT_ONCE_MAX = 16
COPIES_AT_ONCE_MAX = 64
BEGIN_EARLIER_MS = 3_600_000
"""A new journal's watermarks: so far may the clocks of the first servers differ."""
TTL_SECONDS_MAX = 20 * 365 * 86_400
_Row = tuple[int, str, str, int]


class CassandraHints:
    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._room = asyncio.Semaphore(BUCKETS_AT_ONCE_MAX)

    async def begin(self, passed_ms: int) -> None:
        """A new journal: there are no hints before this time."""
        marks = [mark for shard in range(SHARDS) for mark in (shard, _far(shard))]
        await asyncio.gather(*(self.set_watermark(mark, passed_ms) for mark in marks))

    async def add(self, hint: Hint) -> None:
        if hint.due_ms - self._clock.now_ms() > FAR_AFTER_MS:
            day = hint.due_ms // schema.HINT_DAY_MS
            await self._put("add_far", hint.shard, day, (hint.due_ms, hint.run.namespace, hint.run.saga, hint.run.run))
        else:
            await self._put_near(hint.shard, (hint.due_ms, hint.run.namespace, hint.run.saga, hint.run.run))

    async def _put_near(self, shard: int, row: _Row) -> None:
        await self._put("add_near", shard, row[0] // schema.HINT_BUCKET_MS, row)

    async def _put(self, statement: str, shard: int, bucket: int, row: _Row) -> None:
        ttl = schema.HINT_KEPT_SECONDS + max(0, row[0] - self._clock.now_ms()) // 1000
        await self._session.read(statement, shard, bucket, *row, min(ttl, TTL_SECONDS_MAX))

    async def due(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        kept_since_ms = self._clock.now_ms() - schema.HINT_KEPT_SECONDS * 1000
        first, last = max(after_ms, kept_since_ms) // schema.HINT_BUCKET_MS, until_ms // schema.HINT_BUCKET_MS
        rows: list[_Row] = []
        for start in range(first, last + 1, BUCKETS_AT_ONCE_MAX):
            buckets = range(start, min(start + BUCKETS_AT_ONCE_MAX, last + 1))
            pages = await asyncio.gather(*(self._read_bucket(shard, one, after_ms, until_ms) for one in buckets))
            rows += [(row[0], row[1], row[2], row[3]) for page in pages for row in page]
            if len(rows) >= limit:
                break
        return hints_of(shard, cut_hints(sorted(rows), limit))

    async def _read_bucket(self, shard: int, bucket: int, after_ms: int, until_ms: int) -> list[tuple[Any, ...]]:
        async with self._room:  # of all shards: after a long pause this is much, and others want to write
            return await self._session.read("near", shard, bucket, after_ms, until_ms)

    async def bring_near(self, shard: int, until_ms: int) -> None:
        mark = _far(shard)
        after_ms = max(await self.watermark(mark), self._clock.now_ms() - schema.HINT_KEPT_SECONDS * 1000)
        for day in range(after_ms // schema.HINT_DAY_MS, until_ms // schema.HINT_DAY_MS + 1):
            rows = await self._session.read("far", shard, day, after_ms, until_ms)
            for start in range(0, len(rows), COPIES_AT_ONCE_MAX):
                copies = rows[start : start + COPIES_AT_ONCE_MAX]
                await asyncio.gather(*(self._put_near(shard, (row[0], row[1], row[2], row[3])) for row in copies))
        await self.set_watermark(mark, until_ms)

    async def watermark(self, shard: int) -> int:
        rows = await self._session.read("watermark", shard)
        return int(rows[0][0]) if rows else 0

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        if due_ms > await self.watermark(shard):
            await self._session.read("set_watermark", shard, due_ms)

    async def take_over_unsharded(self) -> None:
        """Schema version 2 had them in one table without shards."""
        rows = await self._session.run("SELECT due_ms, namespace, saga, run FROM hints")
        await self.begin(min((row[0] for row in rows), default=self._clock.now_ms()) - BEGIN_EARLIER_MS)
        for row in rows:
            await self.add(Hint(row[0], Run(row[1], row[2], row[3])))


def _far(shard: int) -> int:
    """The number under which the watermark of a shard's far hints is kept."""
    return -1 - shard
