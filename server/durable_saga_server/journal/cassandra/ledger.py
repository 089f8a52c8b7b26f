"""The ledger in the keyspace of a journal. The audit log is cut by days and, within a day, into slots, so that no partition
grows with the load; rows expire by themselves."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence

from durable_saga_server.clock import Clock
from durable_saga_server.journal.cassandra.schema import AUDIT_DAY_MS, AUDIT_SLOTS
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.ledger import ROWS_LOOKED_AT_MAX, Entry, Page, TokenRow, Wanted, page_of, place_of, read_page

WRITES_AT_ONCE_MAX = 64
ROWS_PER_SLOT = 200


class CassandraLedger:
    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._days: dict[int, int] = {}
        """Those that are named in the table of days, and until when."""
        self._room = asyncio.Semaphore(WRITES_AT_ONCE_MAX)

    async def put_token(self, token: TokenRow) -> None:
        await self._session.read(
            "token_put", token.id, token.name, token.digest, token.rights, token.made_ms, token.made_by, token.expires_ms,
            token.revoked_ms,
        )  # fmt: skip

    async def tokens(self) -> Sequence[TokenRow]:
        return [TokenRow(*row) for row in await self._session.read("tokens")]

    async def append(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            day = entry.at_ms // AUDIT_DAY_MS
            if self._days.get(day, 0) < entry.until_ms:
                until_ms = entry.until_ms + AUDIT_DAY_MS  # it is written again when that day's later rows live longer
                await self._session.read("audit_day", day, self._seconds_left(until_ms))
                self._days[day] = until_ms
                if len(self._days) > 10:
                    del self._days[min(self._days)]
        await asyncio.gather(*(self._append(one) for one in entries))

    async def _append(self, entry: Entry) -> None:
        async with self._room:
            await self._session.read(
                "audit_put", entry.at_ms // AUDIT_DAY_MS, entry.id[-1] % AUDIT_SLOTS, entry.at_ms, entry.id, entry.namespace,
                entry.who, entry.verb, entry.saga, entry.entry, entry.until_ms, self._seconds_left(entry.until_ms),
            )  # fmt: skip

    def _seconds_left(self, until_ms: int) -> int:
        return max((until_ms - self._clock.now_ms()) // 1000, 1)

    async def entries(self, wanted: Wanted, limit: int, page: str, now_ms: int) -> Page:
        before = read_page(page) if page else (wanted.until_ms, b"")
        days = [row[0] for row in await self._session.read("audit_days")]
        newest, oldest = min(before[0], wanted.until_ms) // AUDIT_DAY_MS, wanted.since_ms // AUDIT_DAY_MS
        found: list[Entry] = []
        looked = 0
        for day in sorted((one for one in days if oldest <= one <= newest), reverse=True):
            while True:
                rows = await self._rows(day, before)
                looked += len(rows)
                found += [one for one in rows if wanted.fits(one) and one.until_ms > now_ms]
                if len(found) > limit:
                    return Page(found[:limit], page_of(found[limit - 1]))
                if not rows:
                    break
                before = place_of(rows[-1])
                if looked >= ROWS_LOOKED_AT_MAX:
                    return Page(found, page_of(rows[-1]))
        return Page(found)

    async def _rows(self, day: int, before: tuple[int, bytes]) -> list[Entry]:
        """The next ones of a day, of all its slots, newest first: as far down as every slot has told."""
        asked = [
            self._session.read("audit", day, slot, before[0], before[1], ROWS_PER_SLOT) for slot in range(AUDIT_SLOTS)
        ]  # fmt: skip
        slots = [[Entry(*row) for row in rows] for rows in await asyncio.gather(*asked)]
        whole = max((place_of(slot[-1]) for slot in slots if len(slot) == ROWS_PER_SLOT), default=(0, b""))
        merged = heapq.merge(*slots, key=place_of, reverse=True)
        return [one for one in merged if place_of(one) >= whole]

    async def drop_entries(self, now_ms: int) -> int:
        return 0
