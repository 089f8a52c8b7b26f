"""The ledger in the SQLite file of a journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga_server.journal.ledger import Entry, Page, TokenRow, Wanted, page_of, read_page
from durable_saga_server.journal.sqlite_hands import Hands

DROPPED_AT_ONCE_MAX = 1_000
TABLES = """
CREATE TABLE IF NOT EXISTS tokens (
  id TEXT PRIMARY KEY, name TEXT, digest BLOB, rights BLOB, made_ms INTEGER, made_by TEXT, expires_ms INTEGER,
  revoked_ms INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  at_ms INTEGER, id BLOB, namespace TEXT, who TEXT, verb TEXT, saga TEXT, entry BLOB, until_ms INTEGER,
  PRIMARY KEY (at_ms, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS audit_by_end ON audit (until_ms)
"""
_TOKEN = "id, name, digest, rights, made_ms, made_by, expires_ms, revoked_ms"
_ENTRY = "at_ms, id, namespace, who, verb, saga, entry, until_ms"


def make_tables(db: sqlite3.Connection) -> None:
    for statement in TABLES.split(";\n"):
        db.execute(statement)


class SqliteLedger:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def put_token(self, token: TokenRow) -> None:
        values = (
            token.id, token.name, token.digest, token.rights, token.made_ms, token.made_by, token.expires_ms, token.revoked_ms,
        )  # fmt: skip
        insert = f"INSERT OR REPLACE INTO tokens ({_TOKEN}) VALUES (?,?,?,?,?,?,?,?)"
        await self._hands.write(lambda db: db.execute(insert, values).rowcount)

    async def tokens(self) -> Sequence[TokenRow]:
        select = f"SELECT {_TOKEN} FROM tokens ORDER BY id"
        return await self._hands.read(lambda db: [TokenRow(*row) for row in db.execute(select)])

    async def append(self, entries: Sequence[Entry]) -> None:
        rows = [
            (one.at_ms, one.id, one.namespace, one.who, one.verb, one.saga, one.entry, one.until_ms) for one in entries
        ]  # fmt: skip
        insert = f"INSERT OR REPLACE INTO audit ({_ENTRY}) VALUES (?,?,?,?,?,?,?,?)"
        await self._hands.write(lambda db: db.executemany(insert, rows).rowcount)

    async def entries(self, wanted: Wanted, limit: int, page: str, now_ms: int) -> Page:
        where, values = ["at_ms >= ?", "at_ms < ?", "until_ms > ?"], list[object]([wanted.since_ms, wanted.until_ms, now_ms])
        for name in ("namespace", "who", "verb", "saga"):
            if asked := getattr(wanted, name):
                where.append(f"{name} = ?")
                values.append(asked)
        if page:
            at_ms, entry = read_page(page)
            where.append("(at_ms, id) < (?, ?)")
            values += [at_ms, entry]
        select = f"SELECT {_ENTRY} FROM audit WHERE {' AND '.join(where)} ORDER BY at_ms DESC, id DESC LIMIT {int(limit) + 1}"
        found = await self._hands.read(lambda db: [Entry(*row) for row in db.execute(select, values)])
        return Page(found[:limit], page_of(found[limit - 1]) if len(found) > limit else "")

    async def drop_entries(self, now_ms: int) -> int:
        over = f"SELECT at_ms, id FROM audit WHERE until_ms <= ? LIMIT {DROPPED_AT_ONCE_MAX}"
        delete = f"DELETE FROM audit WHERE (at_ms, id) IN ({over})"
        return int(await self._hands.write(lambda db: db.execute(delete, (now_ms,)).rowcount))
