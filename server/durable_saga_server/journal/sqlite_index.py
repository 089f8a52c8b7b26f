"""What is found by other ways than a run's name, on SQLite: the listing, correlation keys, changes, tallies, claims,
members."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from durable_saga_server.journal import MEMBER_KEPT_MS, Filter, Head, Listed, Member, Run, Tally
from durable_saga_server.journal.rules import cut_changes, page_token, read_page_token
from durable_saga_server.journal.sqlite_rows import HEAD_COLUMNS, NOTEWORTHY, head_of, read_head

_HAS_ATTRIBUTE = (
    "EXISTS (SELECT 1 FROM search_attributes AS one WHERE one.namespace = heads.namespace AND one.name = ? AND one.value = ?"
    " AND one.started_ms = heads.started_ms AND one.saga = heads.saga AND one.run = heads.run)"
)


def listing(db: sqlite3.Connection, wanted: Filter, limit: int, page: str) -> Listed:
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
    found = db.execute(f"SELECT {HEAD_COLUMNS} FROM {source} WHERE {' AND '.join(where)} {order}", (*values, limit + 1))
    heads = [head_of(row) for row in found.fetchall()]
    return Listed(heads[:limit], page_token(heads[limit - 1]) if len(heads) > limit else "")


def keyed(db: sqlite3.Connection, namespace: str, key: str, limit: int) -> Sequence[Run]:
    select = "SELECT namespace, saga, run FROM keys WHERE namespace = ? AND key = ? ORDER BY saga, run LIMIT ?"
    return [Run(*row) for row in db.execute(select, (namespace, key, limit))]


def drop_key(db: sqlite3.Connection, namespace: str, key: str, run: Run, before_ms: int) -> None:
    head = read_head(db, run)
    if head is None or head.started_ms < before_ms:
        where = "namespace = ? AND key = ? AND saga = ? AND run = ?"
        db.execute(f"DELETE FROM keys WHERE {where}", (namespace, key, run.saga, run.run))


def changes(db: sqlite3.Connection, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
    select = f"SELECT {HEAD_COLUMNS} FROM heads WHERE namespace = ? AND {NOTEWORTHY} AND status <> 10 AND updated_ms > ?"
    order = " ORDER BY updated_ms, saga, run"
    found = db.execute(select + order + " LIMIT ?", (namespace, after_ms, limit + 1)).fetchall()
    if len(found) > limit:  # the last millisecond must be whole
        last_ms = head_of(found[limit - 1]).updated_ms
        found = db.execute(f"{select} AND updated_ms <= ? {order}", (namespace, after_ms, last_ms)).fetchall()
    return cut_changes([head_of(row) for row in found], limit)


def tallies(db: sqlite3.Connection, namespace: str) -> Sequence[Tally]:
    select = "SELECT saga_type, status, count FROM tallies WHERE namespace = ? AND count > 0 ORDER BY saga_type, status"
    return [Tally(*row) for row in db.execute(select, (namespace,))]


def claim(db: sqlite3.Connection, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
    """`until_ms` NULL: confirmed."""
    done = db.execute(
        "INSERT INTO claims VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms"
        " WHERE until_ms IS NOT NULL AND until_ms <= ?",
        (namespace, group, item, until_ms, now_ms),
    )
    return done.rowcount > 0


def confirm(db: sqlite3.Connection, namespace: str, group: str, item: str) -> None:
    db.execute("INSERT INTO claims VALUES (?,?,?,NULL) ON CONFLICT DO UPDATE SET until_ms = NULL", (namespace, group, item))


def beat(db: sqlite3.Connection, member: Member) -> None:
    lists = json.dumps(list(member.workers)), json.dumps(list(member.saga_types))
    row = (member.name, member.address, member.beat, member.seen_ms, *lists)
    db.execute("INSERT OR REPLACE INTO members VALUES (?,?,?,?,?,?)", row)
    db.execute("DELETE FROM members WHERE seen_ms <= ?", (member.seen_ms - MEMBER_KEPT_MS,))


def members(db: sqlite3.Connection) -> Sequence[Member]:
    rows = db.execute("SELECT name, address, beat, seen_ms, workers, saga_types FROM members ORDER BY name").fetchall()
    return [Member(row[0], row[1], row[2], row[3], _names(row[4]), _names(row[5])) for row in rows]


def _names(text: object) -> list[str]:
    """None where a row is damaged: it goes when its member does not write it again."""
    try:
        return [str(name) for name in json.loads(str(text))]
    except (ValueError, TypeError):
        return []


def leave(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM members WHERE name = ?", (name,))
