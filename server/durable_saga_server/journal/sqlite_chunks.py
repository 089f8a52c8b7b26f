"""The parts of large values on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga_server.journal import Run
from durable_saga_server.journal.sqlite_rows import RUN_IS, run_key


def put_chunks(db: sqlite3.Connection, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
    db.executemany(
        "INSERT INTO chunks VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET written_ms = max(written_ms, excluded.written_ms)",
        [(*run_key(run), digest, part, now_ms, chunk) for part, chunk in enumerate(chunks, first)],
    )


def chunks(db: sqlite3.Connection, run: Run, digest: bytes, first: int, limit: int) -> list[bytes]:
    where = f"{RUN_IS} AND digest = ? AND part >= ? AND part < ?"
    found = db.execute(f"SELECT chunk FROM chunks WHERE {where} ORDER BY part", (*run_key(run), digest, first, first + limit))
    return [chunk for (chunk,) in found]


def drop_chunks(db: sqlite3.Connection, run: Run, before_ms: int) -> bool:
    db.execute(f"DELETE FROM chunks WHERE {RUN_IS} AND written_ms < ?", (*run_key(run), before_ms))
    return db.execute(f"SELECT 1 FROM chunks WHERE {RUN_IS} LIMIT 1", run_key(run)).fetchone() is not None
