"""What is found by other ways than a run's name, on Cassandra: the listing, correlation keys, changes, tallies.

Tallies are counted from the rows of the listing, a day at a time. A day on which nothing is open any more is counted once
and its summary is kept beside the day, so that a count reads the days that are still at work and no others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from durable_saga_server.clock import Clock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Filter, Head, Listed, Run, Tally
from durable_saga_server.journal.cassandra import schema
from durable_saga_server.journal.cassandra.heads import head_of
from durable_saga_server.journal.cassandra.listing import Listing
from durable_saga_server.journal.cassandra.pages import read_page
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.rules import cut_changes

SETTLED_AFTER_MS = 3_600_000
"""How long after its end a day is still counted anew: rows of the listing come late."""


class CassandraIndex:
    def __init__(self, session: Session, listing: Listing, clock: Clock) -> None:
        self._session = session
        self._listing = listing
        self._clock = clock

    # --- the listing -----------------------------------------------------------------------------------------------------

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        await self._listing.settle()
        return await read_page(self._session, filter, limit, page)

    def list_again(self, run: Run) -> None:
        self._listing.changed(run)

    # --- correlation keys ------------------------------------------------------------------------------------------------

    async def declare(self, run: Run, keys: Sequence[str]) -> None:
        """Before the commit that declares them, as a hint is."""
        now_us = self._clock.now_ms() * 1000
        for key in keys:
            await self._session.read("key_put", run.namespace, key, run.saga, run.run, now_us)

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        return [Run(namespace, saga, run) for saga, run in await self._session.read("keyed", namespace, key, limit)]

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        await self._session.read("key_drop", before_ms * 1000 - 1, namespace, key, run.saga, run.run)

    # --- changes -----------------------------------------------------------------------------------------------------------

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        """From the day of `after_ms` on, at most as far back as changes are kept."""
        now_ms = self._clock.now_ms()
        await self._listing.settle()
        oldest_ms = now_ms - schema.CHANGES_KEPT_SECONDS * 1000
        found: dict[Run, Head] = {}
        for day in range(max(after_ms, oldest_ms) // schema.LISTING_DAY_MS, now_ms // schema.LISTING_DAY_MS + 1):
            for row in await self._session.read("changes", namespace, day, after_ms, limit + 1):
                head = head_of(Run(namespace, row[0], row[1]), row[2:])
                found[head.run] = head
            if len(found) > limit:
                break
        return cut_changes(sorted(found.values(), key=lambda one: (one.updated_ms, one.run.saga, one.run.run)), limit)

    # --- tallies -----------------------------------------------------------------------------------------------------------

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        now_ms = self._clock.now_ms()
        await self._listing.settle()
        total: Counter[tuple[str, int]] = Counter()
        summaries = dict(await self._session.read("day_summaries", namespace))
        for (day,) in await self._session.read("days", namespace):
            total += _read(summaries[day]) if day in summaries else await self._count(namespace, day, now_ms)
        return sorted(Tally(saga_type, status, count) for (saga_type, status), count in total.items())

    async def _count(self, namespace: str, day: int, now_ms: int) -> Counter[tuple[str, int]]:
        rows = await self._session.read("count_day", namespace, day)
        counted = Counter((row[0], row[1]) for row in rows if row[1] != schema.PURGED)
        is_over = now_ms > (day + 1) * schema.LISTING_DAY_MS + SETTLED_AFTER_MS
        if is_over and rows and not counted:
            await self._listing.drop_day(namespace, day, now_ms)
        elif is_over and not any(status in OPEN for _, status in counted):
            await self._session.read("day_summary_put", namespace, day, _write(counted))
        return counted


def _read(summary: str) -> Counter[tuple[str, int]]:
    return Counter({(saga_type, status): count for saga_type, status, count in json.loads(summary)})


def _write(counted: Counter[tuple[str, int]]) -> str:
    return json.dumps([[saga_type, status, count] for (saga_type, status), count in counted.items()])
