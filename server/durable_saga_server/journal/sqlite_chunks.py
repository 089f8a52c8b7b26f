"""The parts of large values on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple

from durable_saga_server.journal import Run

_RUN = "namespace = ? AND saga = ? AND run = ?"


def put_chunks(db: sqlite3.Connection, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
    db.executemany(
        "INSERT INTO chunks VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET written_ms = max(written_ms, excluded.written_ms)",
        [(*astuple(run), digest, part, now_ms, chunk) for part, chunk in enumerate(chunks, first)],
    )


def chunks(db: sqlite3.Connection, run: Run, digest: bytes, first: int, limit: int) -> list[bytes]:
    where = f"{_RUN} AND digest = ? AND part >= ? AND part < ?"
    found = db.execute(f"SELECT chunk FROM chunks WHERE {where} ORDER BY part", (*astuple(run), digest, first, first + limit))
    return [chunk for (chunk,) in found]


def drop_chunks(db: sqlite3.Connection, run: Run, before_ms: int) -> bool:
    db.execute(f"DELETE FROM chunks WHERE {_RUN} AND written_ms < ?", (*astuple(run), before_ms))
    return db.execute(f"SELECT 1 FROM chunks WHERE {_RUN} LIMIT 1", astuple(run)).fetchone() is not None
