"""Wake hints in SQLite: rows by shard and time, far ones among them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga_server.journal import Hint
from durable_saga_server.journal.rules import cut_hints, hints_of
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_rows import run_key


class SqliteHints:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def add(self, hint: Hint) -> None:
        await self._hands.write(lambda db: add_hint(db, hint))

    async def due(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        select = "SELECT due_ms, namespace, saga, run FROM shard_hints WHERE shard = ? AND due_ms > ? AND due_ms <= ?"
        order = " ORDER BY due_ms, namespace, saga, run"

        def read(db: sqlite3.Connection) -> list[Hint]:
            found = db.execute(select + order + " LIMIT ?", (shard, after_ms, until_ms, limit + 1)).fetchall()
            if len(found) > limit:  # the last due_ms must be whole
                found = db.execute(select + order, (shard, after_ms, found[limit - 1][0])).fetchall()
            return hints_of(shard, cut_hints(found, limit))

        return await self._hands.read(read)

    async def bring_near(self, shard: int, until_ms: int) -> None: ...

    async def watermark(self, shard: int) -> int:
        select = "SELECT due_ms FROM watermarks WHERE shard = ?"
        found = await self._hands.read(lambda db: db.execute(select, (shard,)).fetchone())
        return int(found[0]) if found else 0

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        moved = "INSERT INTO watermarks VALUES (?,?) ON CONFLICT DO UPDATE SET due_ms = max(due_ms, excluded.due_ms)"
        passed = "(SELECT due_ms FROM watermarks WHERE shard = ?)"

        def write(db: sqlite3.Connection) -> None:
            db.execute(moved, (shard, due_ms))
            db.execute(f"DELETE FROM shard_hints WHERE shard = ? AND due_ms <= {passed}", (shard, shard))

        await self._hands.write(write)


def add_hint(db: sqlite3.Connection, hint: Hint) -> None:
    """In the transaction of the caller."""
    db.execute("INSERT OR IGNORE INTO shard_hints VALUES (?,?,?,?,?)", (hint.shard, hint.due_ms, *run_key(hint.run)))
