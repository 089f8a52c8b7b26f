"""Reading the listing on Cassandra: a part at a time (parts.py), the newest first, filtered by its storage-attached indexes.

A read stays in one partition, is given a limit, and names one status: Cassandra 5 has no index for a list of them, so each
status is a read of its own. What a read returns is wanted, but for purged runs, in the order of the listing, so a page costs
one read of a part, or of few; a page looks at PARTS_PER_PAGE_MAX parts at most and may be short. It begins behind a row, by its
key, so what is started meanwhile does not move it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Filter, Head, Listed, Run, Standings
from durable_saga_server.journal.cassandra import schema
from durable_saga_server.journal.cassandra.heads import doing_of, head_of
from durable_saga_server.journal.cassandra.listing import id_number
from durable_saga_server.journal.cassandra.parts import DAYS_MAX, begins_ms, day_of
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.rules import (
    StandingKind,
    page_token,
    page_token_before,
    passes,
    read_page_token,
    standings_of,
)

PARTS_PER_PAGE_MAX = 128
PARTS_AT_ONCE_MAX = 8
STANDINGS_ROWS_MAX = 10_000
"""Rows that are counted for each of trouble and waiting; beyond it the counts are what there is at least."""
TROUBLE_MAX = 9
END_OF_TIME_MS = 2**53
_SELECT = (
    f"SELECT saga, run, {schema.HEAD_COLUMNS}, attributes, build, paused, {schema.DOING_COLUMNS} FROM listing"
    " WHERE namespace = ? AND day = ?"
)
_Position = tuple[int, str, int]


async def read_page(session: Session, wanted: Filter, limit: int, page: str) -> Listed:
    """Raises ValueError for a page token of somebody else's, JournalUnavailable."""
    after = read_page_token(page) if page else None
    parts = await _parts(session, wanted, after)
    heads: list[Head] = []
    for several in _groups(parts[:PARTS_PER_PAGE_MAX]):
        reads = (_read_part(session, wanted, part, after, limit + 1 - len(heads)) for part in several)
        for found in await asyncio.gather(*reads):
            heads += found
        if len(heads) > limit:
            return Listed(heads[:limit], page_token(heads[limit - 1]))
    if len(parts) > PARTS_PER_PAGE_MAX:
        return Listed(heads, page_token_before(begins_ms(parts[PARTS_PER_PAGE_MAX - 1])))
    return Listed(heads)


async def read_standings(session: Session, namespace: str) -> Standings:
    """Trouble apart from what only waits, so that neither takes the other's room; the newest parts first."""
    parts = await _parts(session, Filter(namespace), None)
    counted, at_least = Counter[StandingKind](), len(parts) > PARTS_PER_PAGE_MAX
    for first, last in ((1, TROUBLE_MAX), (TROUBLE_MAX + 1, 99)):
        left = STANDINGS_ROWS_MAX
        for several in _groups(parts[:PARTS_PER_PAGE_MAX]):
            reads = (session.read("standings", namespace, part, first, last, left + 1) for part in several)
            rows = [row for found in await asyncio.gather(*reads) for row in found]
            at_least, left = at_least or len(rows) > left, left - len(rows)
            for saga_type, status, state, name, failure_type in rows:
                if status in OPEN:
                    counted[saga_type, state, name or "", failure_type or ""] += 1
            if left <= 0:
                break
    return Standings(standings_of(counted), at_least)


async def _parts(session: Session, wanted: Filter, after: _Position | None) -> Sequence[int]:
    """In which there are rows, from the newest; one more than a page looks at."""
    until_ms = min(wanted.started_before_ms or END_OF_TIME_MS, wanted.ended_before_ms or END_OF_TIME_MS) - 1
    if after is not None:
        until_ms = min(until_ms, after[0])
    first, last = wanted.started_after_ms // schema.LISTING_DAY_MS, until_ms // schema.LISTING_DAY_MS
    ranges = (first, last), (max(first * schema.LISTING_DAY_MS, DAYS_MAX), until_ms)
    reads = (session.read("days_between", wanted.namespace, *one, PARTS_PER_PAGE_MAX + 1) for one in ranges)
    found = [part for rows in await asyncio.gather(*reads) for (part,) in rows]
    return sorted(found, key=begins_ms, reverse=True)[: PARTS_PER_PAGE_MAX + 1]


def _groups(parts: Sequence[int]) -> Iterator[Sequence[int]]:
    """The first alone, since it often has enough; then more and more at a time."""
    start, width = 0, 1
    while start < len(parts):
        yield parts[start : start + width]
        start, width = start + width, min(width * 2, PARTS_AT_ONCE_MAX)


async def _read_part(session: Session, wanted: Filter, part: int, after: _Position | None, limit: int) -> list[Head]:
    """The first rows of a part behind a position; those of purged runs are passed over."""
    heads: list[Head] = []
    while True:
        found = await _read_rows(session, wanted, part, after, limit)
        heads += [head for head in found if head.status != schema.PURGED and passes(head, wanted)]
        if len(found) < limit or len(heads) >= limit:
            return heads[:limit]
        after = (found[-1].started_ms, found[-1].run.saga, found[-1].run.run)


async def _read_rows(session: Session, wanted: Filter, part: int, after: _Position | None, limit: int) -> list[Head]:
    from_ms = max(begins_ms(part), wanted.started_after_ms)
    until_ms = min((day_of(part) + 1) * schema.LISTING_DAY_MS, wanted.started_before_ms or END_OF_TIME_MS)
    ranges: list[tuple[str, tuple[Any, ...]]] = []
    if after is not None:
        if from_ms <= after[0] < until_ms:
            ranges.append((" AND started_ms = ? AND (saga, run) > (?, ?)", after))
        until_ms = min(until_ms, after[0])
    ranges.append((" AND started_ms >= ? AND started_ms < ?", (from_ms, until_ms)))
    reads = []
    for text, values in ranges:
        for more, more_values in _conditions(wanted):
            bound = (wanted.namespace, part, *values, *more_values, limit)
            reads.append(session.select(f"{_SELECT}{text}{more} LIMIT ?", *bound))
    rows = [row for found in await asyncio.gather(*reads) for row in found]
    heads = [_head_of(wanted.namespace, row) for row in rows]
    return sorted(heads, key=lambda one: (-one.started_ms, one.run.saga, one.run.run))[:limit]


def _head_of(namespace: str, row: Sequence[Any]) -> Head:
    attributes, build, paused, *doing = row[-9:]
    return head_of(Run(namespace, row[0], row[1]), row[2:-9], attributes, build, paused, doing=doing_of(doing))


def _conditions(wanted: Filter) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What an index answers, once for each status."""
    text, values = "", list[Any]()
    if wanted.saga_type:
        text, values = text + " AND saga_type = ?", [*values, wanted.saga_type]
    if wanted.build:
        text, values = text + " AND build = ?", [*values, wanted.build]
    text += " AND is_blocked = true" * wanted.blocked + " AND is_paused = true" * wanted.paused
    for name, value in wanted.attributes:
        text, values = text + " AND attributes[?] = ?", [*values, name, value]
    if wanted.failure_type:
        text, values = text + " AND failure_type = ?", [*values, wanted.failure_type]
    if wanted.ended_after_ms or wanted.ended_before_ms:
        ended = max(wanted.ended_after_ms, 1), wanted.ended_before_ms or END_OF_TIME_MS
        text, values = text + " AND ended_ms >= ? AND ended_ms < ?", [*values, *ended]
    if wanted.id_prefix:
        of_prefix = id_number(wanted.id_prefix), id_number(wanted.id_prefix, b"\xff")
        text, values = text + " AND id_number >= ? AND id_number <= ?", [*values, *of_prefix]
    states = sorted(wanted.sub_states)
    statuses = sorted(wanted.statuses or (OPEN if 0 in wanted.sub_states else ()))
    for more in [f" AND sub_state = {int(state)}" for state in states] or [""]:
        yield from ((f"{text}{more} AND status = ?", (*values, status)) for status in statuses)
        if not statuses:
            yield text + more, tuple(values)
