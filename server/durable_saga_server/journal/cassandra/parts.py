"""Parts of the listing: the rows of a namespace and a day stand in one partition, or, on a day with many, in several, each with
those that were started from a time on.

A part is named by a number: the first of a day by the day, another one by the time in ms at which it begins, which is far
above every day. Both stand in `listing_days`. A server that has written PART_ROWS_MAX rows into a part opens the next one,
which begins ANNOUNCED_MS later; and no server writes the row of a run that was started more than half of this after the
server's last look at the parts. So all of them put a run into the same part, as long as their clocks agree within that half.
Where the write that opens a part was not answered and takes effect later than that, runs of these seconds may be listed twice.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from durable_saga_server.clock import Clock
from durable_saga_server.journal.cassandra.schema import LISTING_DAY_MS
from durable_saga_server.journal.cassandra.session import Session

log = logging.getLogger(__name__)
PART_ROWS_MAX = 100_000
"""Rows that one server writes into a part, at 150 bytes each, before it opens the next one."""
ANNOUNCED_MS = 60_000
"""Between the opening of a part and its beginning."""
PARTS_PER_DAY_MAX = LISTING_DAY_MS // ANNOUNCED_MS
DAYS_KNOWN_MAX = 1_000
"""Of all namespaces, whose parts a server keeps in memory."""
DAYS_MAX = 10**9
"""Numbers below are days, the others times."""


def begins_ms(part: int) -> int:
    return part if part >= DAYS_MAX else part * LISTING_DAY_MS


def day_of(part: int) -> int:
    return part // LISTING_DAY_MS if part >= DAYS_MAX else part


def ends_ms(part: int, parts: Sequence[int]) -> int:
    """`parts` hold at least the next one of its day, if there is one."""
    later = [begins_ms(one) for one in parts if begins_ms(one) > begins_ms(part)]
    return min([*later, (day_of(part) + 1) * LISTING_DAY_MS])


def part_of(started_ms: int, opened: Sequence[int]) -> int:
    """`opened` are parts of its day, without the first, in order."""
    at = bisect_right(opened, started_ms)
    return opened[at - 1] if at else started_ms // LISTING_DAY_MS


@dataclass(slots=True)
class _Known:
    """A day: `opened` are the parts but the first, as they were read; `rows` were written into the last one."""

    day: int
    read_ms: int
    opened: list[int]
    rows: int = 0
    is_registered: bool = False

    @property
    def last(self) -> int:
        return self.opened[-1] if self.opened else self.day


class Parts:
    """What this server knows of them. Every method raises JournalUnavailable."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session, self._clock = session, clock
        self._known: dict[tuple[str, int], _Known] = {}

    async def of(self, namespace: str, started_ms: int) -> int:
        """The part for a run that was started then."""
        return part_of(started_ms, (await self._look(namespace, started_ms)).opened)

    async def register(self, namespace: str, part: int) -> None:
        """Before its first row. Another one than the first of a day is there since it was opened."""
        known = await self._look(namespace, begins_ms(part))
        if not known.is_registered:
            await self._session.read("day_put", namespace, day_of(part))
            known.is_registered = True

    async def wrote(self, namespace: str, part: int, rows: int) -> None:
        """If these fill the part that is the last one, the next one is opened."""
        known = self._known.get((namespace, day_of(part)))
        if known is None or part != known.last:
            return
        known.rows += rows
        begins = self._clock.now_ms() + ANNOUNCED_MS
        if known.rows >= PART_ROWS_MAX and day_of(part) == begins // LISTING_DAY_MS:
            await self._open(namespace, part, begins)

    def forget(self, namespace: str, part: int) -> None:
        """Its rows are gone."""
        self._known.pop((namespace, day_of(part)), None)

    async def _open(self, namespace: str, last: int, begins: int) -> None:
        known = await self._look(namespace, begins)
        if last != known.last:
            return  # somebody else did
        self._known.pop((namespace, known.day), None)  # until it is certain that it is there
        await self._session.read("day_put", namespace, begins)
        self._known[namespace, known.day] = known
        known.opened.append(begins)
        known.rows = 0
        log.info("the listing of namespace %s goes on in another partition from %d on", namespace, begins)

    async def _look(self, namespace: str, started_ms: int) -> _Known:
        """Parts that may begin by then are known after it."""
        key = namespace, started_ms // LISTING_DAY_MS
        known = self._known.get(key)
        if known is not None and started_ms <= known.read_ms + ANNOUNCED_MS // 2:
            return known
        day, read_ms = key[1], self._clock.now_ms()
        first, last = max(day * LISTING_DAY_MS, DAYS_MAX), (day + 1) * LISTING_DAY_MS - 1
        rows = await self._session.read("days_between", namespace, first, last, PARTS_PER_DAY_MAX)
        opened = sorted(begins for (begins,) in rows)
        if known is None or opened != known.opened:
            known = _Known(day, read_ms, opened, 0, known is not None and known.is_registered)
        known.read_ms = read_ms
        self._known.pop(key, None)
        self._known[key] = known
        if len(self._known) > DAYS_KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return known
