"""What is found by other ways than a run's name, in SQLite: the listing, correlation keys, changes, tallies."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga_server.journal import Filter, Head, Listed, Run, Standing, Standings, Tally
from durable_saga_server.journal.rules import cut_changes, tallies_of
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_pages import read_page
from durable_saga_server.journal.sqlite_rows import HEAD_COLUMNS, NOTEWORTHY, head_of, read_head


class SqliteIndex:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        return await self._hands.read(lambda db: read_page(db, filter, limit, page))

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        select = "SELECT namespace, saga, run FROM keys WHERE namespace = ? AND key = ? ORDER BY saga, run LIMIT ?"
        return await self._hands.read(lambda db: [Run(*row) for row in db.execute(select, (namespace, key, limit))])

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        def write(db: sqlite3.Connection) -> None:
            head = read_head(db, run)
            if head is None or head.started_ms < before_ms:
                where = "namespace = ? AND key = ? AND saga = ? AND run = ?"
                db.execute(f"DELETE FROM keys WHERE {where}", (namespace, key, run.saga, run.run))

        await self._hands.write(write)

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        select = f"SELECT {HEAD_COLUMNS} FROM heads WHERE namespace = ? AND {NOTEWORTHY} AND status <> 10 AND updated_ms > ?"
        order = " ORDER BY updated_ms, saga, run"

        def read(db: sqlite3.Connection) -> Sequence[Head]:
            found = db.execute(select + order + " LIMIT ?", (namespace, after_ms, limit + 1)).fetchall()
            if len(found) > limit:  # the last millisecond must be whole
                last_ms = head_of(found[limit - 1]).updated_ms
                found = db.execute(f"{select} AND updated_ms <= ? {order}", (namespace, after_ms, last_ms)).fetchall()
            return cut_changes([head_of(row) for row in found], limit)

        return await self._hands.read(read)

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        select = "SELECT saga_type, status, build, blocked, paused, count FROM tallies WHERE namespace = ? AND count > 0"

        def read(db: sqlite3.Connection) -> Sequence[Tally]:
            rows = db.execute(select, (namespace,))
            return tallies_of({(of, status, build, bool(one), bool(two)): count for of, status, build, one, two, count in rows})

        return await self._hands.read(read)

    async def standings(self, namespace: str) -> Standings:
        select = "SELECT saga_type, sub_state, name, failure_type, count FROM standings WHERE namespace = ? AND count > 0"
        return await self._hands.read(lambda db: Standings(sorted(Standing(*row) for row in db.execute(select, (namespace,)))))

    def list_again(self, head: Head) -> None: ...

    def is_listed(self, run: Run) -> bool:
        return True
