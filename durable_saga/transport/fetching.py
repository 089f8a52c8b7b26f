"""Large values are not in the messages that tell of them: they are fetched by reference, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p

FETCHES_AT_ONCE_MAX = 4
Fetch = Callable[[h.RunKey, p.Payload], Awaitable[bytes]]


async def fill(key: h.RunKey, found: Sequence[p.Payload], fetch: Fetch) -> None:
    """Put the data into these references. Raises what `fetch` raises."""
    room = asyncio.Semaphore(FETCHES_AT_ONCE_MAX)

    async def one(payload: p.Payload) -> None:
        async with room:
            payload.data = await fetch(key, payload)

    await asyncio.gather(*(one(payload) for payload in found))
