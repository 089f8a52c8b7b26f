"""The parts of large values on Cassandra: plain rows of at most CHUNK_BYTES, in a partition for each run.

A row bears the time of the caller as its timestamp, and so does the partition's removal: what was written later stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_saga_server.journal import Run
from durable_saga_server.journal.cassandra.session import Session

CHUNKS_AT_ONCE_MAX = 16


class CassandraChunks:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._room = asyncio.Semaphore(CHUNKS_AT_ONCE_MAX)

    async def put(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        """Raises JournalUnavailable."""

        async def one(part: int, chunk: bytes) -> None:
            async with self._room:
                await self._session.read("put_chunk", run.namespace, run.saga, run.run, digest, part, chunk, now_ms * 1000)

        await asyncio.gather(*(one(part, chunk) for part, chunk in enumerate(chunks, first)))

    async def read(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        rows = await self._session.read("chunks", run.namespace, run.saga, run.run, digest, first, first + limit)
        return [chunk for (chunk,) in rows]

    async def drop(self, run: Run, before_ms: int) -> bool:
        key = (run.namespace, run.saga, run.run)
        await self._session.read("drop_chunks", before_ms * 1000 - 1, *key)
        return bool(await self._session.read("any_chunk", *key))
