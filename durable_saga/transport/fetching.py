"""Large values are not in the messages that tell of them: they are fetched by reference, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.payloads import is_missing, payloads

FETCHES_AT_ONCE_MAX = 4
Fetch = Callable[[h.RunKey, p.Payload], Awaitable[bytes]]


async def fill(key: h.RunKey, found: Sequence[p.Payload], fetch: Fetch) -> None:
    """Put the data into these references. Raises what `fetch` raises."""
    room = asyncio.Semaphore(FETCHES_AT_ONCE_MAX)

    async def one(payload: p.Payload) -> None:
        async with room:
            payload.data = await fetch(key, payload)

    await asyncio.gather(*(one(payload) for payload in found))


def needed(assign: w.Assign) -> list[p.Payload]:
    """References whose data a replay needs: all but the arguments of steps that are done with and can't be undone, and the
    saga's state, which its code sets again. Of what is sealed, all: it can't be compared by its hash."""
    done = {event.step_completed.call for event in assign.events if event.HasField("step_completed")}
    found: list[p.Payload] = []
    for event in assign.events:
        if not event.large_bytes or (event.HasField("state_changed") and not event.sealed):
            continue
        step = event.step_scheduled if event.HasField("step_scheduled") else None
        if event.sealed or step is None or step.compensation or step.call not in done:
            found += payloads(event)
    for message in assign.inbox:
        found += payloads(message)
    return [payload for payload in found if is_missing(payload)]
