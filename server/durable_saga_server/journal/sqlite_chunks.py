"""The parts of large values in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga_server.journal import Run
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_rows import RUN_IS, run_key


class SqliteChunks:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def put(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        insert = "INSERT INTO chunks VALUES (?,?,?,?,?,?,?)"
        insert += " ON CONFLICT DO UPDATE SET written_ms = max(written_ms, excluded.written_ms)"
        rows = [(*run_key(run), digest, part, now_ms, chunk) for part, chunk in enumerate(chunks, first)]
        await self._hands.write(lambda db: db.executemany(insert, rows).rowcount)

    async def read(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        where = f"{RUN_IS} AND digest = ? AND part >= ? AND part < ?"
        select = f"SELECT chunk FROM chunks WHERE {where} ORDER BY part"
        values = (*run_key(run), digest, first, first + limit)
        return await self._hands.read(lambda db: [chunk for (chunk,) in db.execute(select, values)])

    async def drop(self, run: Run, before_ms: int) -> bool:
        def write(db: sqlite3.Connection) -> bool:
            db.execute(f"DELETE FROM chunks WHERE {RUN_IS} AND written_ms < ?", (*run_key(run), before_ms))
            return db.execute(f"SELECT 1 FROM chunks WHERE {RUN_IS} LIMIT 1", run_key(run)).fetchone() is not None

        return await self._hands.write(write)
