"""What is found by other ways than a run's name, in SQLite: the listing, correlation keys, changes, tallies."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Filter, Head, Listed, Run, Tally
from durable_saga_server.journal.rules import cut_changes, page_token, read_page_token, tallies_of
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_rows import HEAD_COLUMNS, IS_OPEN, NOTEWORTHY, head_of, read_head

_HAS_ATTRIBUTE = (
    "EXISTS (SELECT 1 FROM search_attributes AS one WHERE one.namespace = heads.namespace AND one.name = ? AND one.value = ?"
    " AND one.started_ms = heads.started_ms AND one.saga = heads.saga AND one.run = heads.run)"
)


class SqliteIndex:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        select, values = select_page(filter, page)

        def read(db: sqlite3.Connection) -> Listed:
            heads = [head_of(row) for row in db.execute(select, (*values, limit + 1))]
            return Listed(heads[:limit], page_token(heads[limit - 1]) if len(heads) > limit else "")

        return await self._hands.read(read)

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

    def list_again(self, head: Head) -> None: ...

    def is_listed(self, run: Run) -> bool:
        return True


def select_page(wanted: Filter, page: str) -> tuple[str, list[object]]:
    """The rows of a listing behind a page, up to a limit that is the last value. Raises ValueError."""
    where, values = ["namespace = ?"], list[object]([wanted.namespace])
    if wanted.saga_type:
        where.append("saga_type = ?")
        values.append(wanted.saga_type)
    if wanted.statuses:
        where.append(f"status IN ({','.join(str(int(status)) for status in sorted(wanted.statuses))})")
    if wanted.started_after_ms:
        where.append("started_ms >= ?")
        values.append(wanted.started_after_ms)
    if wanted.started_before_ms:
        where.append("started_ms < ?")
        values.append(wanted.started_before_ms)
    if wanted.build:
        where.append("build = ? AND build <> ''")
        values.append(wanted.build)
        if wanted.statuses and wanted.statuses <= OPEN:
            where.append(IS_OPEN)  # an index holds these alone
    where += ["blocked <> ''"] * wanted.blocked + ["paused <> ''"] * wanted.paused
    for name, text in wanted.attributes[1:]:
        where.append(_HAS_ATTRIBUTE)
        values += [name, text]
    if page:
        started_ms, saga, run = read_page_token(page)
        where.append("started_ms <= ? AND (started_ms < ? OR saga > ? OR (saga = ? AND run > ?))")
        values += [started_ms, started_ms, saga, saga, run]
    source = "heads"
    if wanted.attributes:  # the first of them gives the rows, in their order; a row without its head gives none
        source = "(SELECT namespace, started_ms, saga, run FROM search_attributes WHERE name = ? AND value = ?)"
        source += " CROSS JOIN heads USING (namespace, started_ms, saga, run)"
        values = [*wanted.attributes[0], *values]
    order = "ORDER BY started_ms DESC, saga, run LIMIT ?"
    return f"SELECT {HEAD_COLUMNS} FROM {source} WHERE {' AND '.join(where)} {order}", values
