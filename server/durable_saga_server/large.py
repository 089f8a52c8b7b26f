"""Large payloads: cut up and written before what refers to them, put together again when somebody asks (docs/large-values.md).

What is in work at once is bounded by `large_bytes_in_flight_max`: a worker's stream is read no further, a client is sent away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import hash_of, holds_large, is_large, payloads
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.failures import ServiceError, check_payload, guard_journal
from durable_saga_server.journal import CHUNK_BYTES, Journal, Run
from durable_saga_server.keys import run_of

CHUNKS_PER_CALL = 8
HASH_BYTES = 32
M = TypeVar("M")


class LargePayloads:
    """Owns the count of what is in work."""

    def __init__(self, journal: Journal, clock: Clock, config: Config) -> None:
        self._journal = journal
        self._clock = clock
        self._config = config
        self._in_flight = 0
        self._fewer = asyncio.Event()

    async def detach(self, run: Run, message: M) -> M:
        """A copy in which large payloads are references; their chunks are durable. The message itself if it has none. Raises
        ServiceError for a payload above `payload_bytes_max`, JournalError."""
        if not holds_large(message):
            return message
        copy: Any = type(message)()
        copy.CopyFrom(message)
        size = copy.ByteSize()
        self._in_flight += size
        try:
            for payload in list(payloads(copy)):
                check_payload(payload.data, self._config.payload_bytes_max)
                if is_large(payload) and payload.data:
                    await self._put(run, payload)
        finally:
            self._in_flight -= size
            self._fewer.set()
        return copy  # type: ignore[no-any-return]

    async def _put(self, run: Run, payload: p.Payload) -> None:
        data = payload.data
        digest = await asyncio.to_thread(hash_of, data)
        await self.write(run, digest, data)
        payload.hash, payload.size = digest, len(data)
        payload.ClearField("data")

    async def check(self, run: Run, references: Sequence[tuple[bytes, int]]) -> None:
        """The journal holds them, with that length. Raises ServiceError and JournalError."""
        for digest, size in dict.fromkeys(references):
            last = -(-size // CHUNK_BYTES) - 1
            parts = await self._journal.chunks.read(run, digest, last, 2)
            if len(parts) != 1 or len(parts[0]) != size - last * CHUNK_BYTES:
                raise ServiceError("INVALID_ARGUMENT", f"there is no value {digest.hex()} of {size} bytes in this run")

    async def write(self, run: Run, digest: bytes, data: bytes) -> None:
        """Raises JournalError."""
        step = CHUNK_BYTES * CHUNKS_PER_CALL
        for start in range(0, len(data), step):
            pieces = [data[at : at + CHUNK_BYTES] for at in range(start, min(start + step, len(data)), CHUNK_BYTES)]
            await self._journal.chunks.put(run, digest, start // CHUNK_BYTES, pieces, self._clock.now_ms())

    async def has_room(self) -> None:
        """Wait until less than `large_bytes_in_flight_max` is in work."""
        while self._in_flight > self._config.large_bytes_in_flight_max:
            self._fewer.clear()
            await self._fewer.wait()

    def check_room(self) -> None:
        """Raises ServiceError: the caller comes again."""
        if self._in_flight > self._config.large_bytes_in_flight_max:
            limit = self._config.large_bytes_in_flight_max
            raise ServiceError(
                "UNAVAILABLE", f"large_bytes_in_flight_max ({limit}) of large values are already being written: try again"
            )

    @guard_journal
    async def fetch(self, request: c.FetchRequest) -> p.Payload:
        """Raises ServiceError: NOT_FOUND when the run has no such value any more, INTERNAL when it is damaged."""
        run = run_of(request.key)
        if len(request.hash) != HASH_BYTES or not 0 < request.size <= self._config.payload_bytes_max:
            raise ServiceError("INVALID_ARGUMENT", "name a value by the hash (32 bytes) and size of its reference")
        data = await self.read(run, request.hash, request.size)
        return p.Payload(data=data, hash=request.hash, size=request.size)

    async def read(self, run: Run, digest: bytes, size: int) -> bytes:
        """Raises ServiceError and JournalError."""
        pieces: list[bytes] = []
        count = -(-size // CHUNK_BYTES)
        while len(pieces) < count:
            page = await self._journal.chunks.read(run, digest, len(pieces), min(CHUNKS_PER_CALL, count - len(pieces)))
            if not page:
                break
            pieces += page
        if not pieces:
            raise ServiceError("NOT_FOUND", f"run {run.run} of saga {run.saga!r} has no value {digest.hex()} (was it purged?)")
        data = b"".join(pieces)
        if len(data) != size or await asyncio.to_thread(hash_of, data) != digest:
            raise ServiceError(
                "INTERNAL", f"run {run.run} of saga {run.saga!r}: the value {digest.hex()} has {len(data)} of {size} bytes"
            )
        return data
