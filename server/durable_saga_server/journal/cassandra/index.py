"""What is found by other ways than a run's name, on Cassandra: the listing, correlation keys, changes, tallies.

Tallies are counted from the rows of the listing, a part of a day at a time. A part that is over has a summary beside it: for
good if nothing in it is open any more, else for PASSING_SECONDS, with the names of its open runs, which are looked up. So a
count reads the parts that were begun lately, and no others as a whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from durable_saga_server.clock import Clock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Filter, Head, Listed, Run, Standings, Tally
from durable_saga_server.journal.cassandra import schema
from durable_saga_server.journal.cassandra.heads import head_of
from durable_saga_server.journal.cassandra.listing import Listing
from durable_saga_server.journal.cassandra.pages import read_page, read_standings
from durable_saga_server.journal.cassandra.parts import DAYS_MAX, ends_ms
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.rules import TallyKind, cut_changes, tallies_of

SETTLED_AFTER_MS = 3_600_000
"""How long after its end a part gets no summary for good: rows of the listing come late."""
PASSING_AFTER_MS = 120_000
"""How long after its end a part gets none that passes."""
PASSING_SECONDS = 3_600
OPEN_IN_SUMMARY_MAX = 1_000
"""Open runs of a part that has a summary; one with more is counted anew each time."""
OPEN_PER_READ = 100
_Counted = Counter[TallyKind]
_Key = tuple[int, str, int]


class CassandraIndex:
    def __init__(self, session: Session, listing: Listing, clock: Clock) -> None:
        self._session = session
        self._listing = listing
        self._clock = clock

    # --- the listing -----------------------------------------------------------------------------------------------------

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        await self._listing.settle()
        return await read_page(self._session, filter, limit, page)

    async def standings(self, namespace: str) -> Standings:
        await self._listing.settle()
        return await read_standings(self._session, namespace)

    def list_again(self, head: Head) -> None:
        self._listing.read(head)

    def is_listed(self, run: Run) -> bool:
        return self._listing.has_ended(run)

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
        total: _Counted = Counter()
        summaries = dict(await self._session.read("day_summaries", namespace))
        parts = [part for (part,) in await self._session.read("days", namespace)]
        for part in parts:
            if part in summaries:
                total += _read(json.loads(summaries[part]))
            elif -part in summaries and part:
                total += await self._of_passing(namespace, part, summaries[-part])
            else:
                total += await self._count(namespace, part, now_ms - ends_ms(part, parts))
        return tallies_of(total)

    async def _count(self, namespace: str, part: int, over_ms: int) -> _Counted:
        """`over_ms` is how long the part has been over."""
        read_us = self._clock.now_ms() * 1000
        rows = await self._session.read("count_part", namespace, part)
        counted = _counted(rows)
        is_open = [row[5:] for row in rows if row[1] in OPEN]
        if over_ms > SETTLED_AFTER_MS and not counted and (rows or part >= DAYS_MAX):
            await self._listing.drop_part(namespace, part, self._clock.now_ms())
        elif over_ms > SETTLED_AFTER_MS and not is_open:
            await self._session.read("day_summary_put", namespace, part, json.dumps(_written(counted)), read_us)
        elif over_ms > PASSING_AFTER_MS and part and len(is_open) <= OPEN_IN_SUMMARY_MAX:
            ended = Counter({of: count for of, count in counted.items() if of[1] not in OPEN})
            passing = json.dumps({"ended": _written(ended), "open": is_open})
            await self._session.read("day_summary_pass", namespace, -part, passing, read_us, PASSING_SECONDS)
        return counted

    async def _of_passing(self, namespace: str, part: int, summary: str) -> _Counted:
        """Of what was open when it was written, some may have ended."""
        known = json.loads(summary)
        counted = _read(known["ended"])
        keys: list[_Key] = [(started_ms, saga, run) for started_ms, saga, run in known["open"]]
        for at in range(0, len(keys), OPEN_PER_READ):
            rows = await self._session.read("count_some", namespace, part, keys[at : at + OPEN_PER_READ])
            counted += _counted(rows)
        return counted


def _counted(rows: Iterable[Sequence[Any]]) -> _Counted:
    """Of rows that begin with schema.TALLIED."""
    found: _Counted = Counter()
    for saga_type, status, build, is_blocked, is_paused, *_ in rows:
        if status in OPEN:
            found[saga_type, status, build or "", bool(is_blocked), bool(is_paused)] += 1
        elif status != schema.PURGED:
            found[saga_type, status, "", False, False] += 1
    return found


def _read(ended: Sequence[tuple[str, int, int]]) -> _Counted:
    return Counter({(saga_type, status, "", False, False): count for saga_type, status, count in ended})


def _written(ended: _Counted) -> list[tuple[str, int, int]]:
    return [(kind[0], kind[1], count) for kind, count in ended.items()]
