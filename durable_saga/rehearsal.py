"""Open sagas against the code of today: which of them could not go on with it, found before a worker meets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from durable_saga.client import raw
from durable_saga.client.client import Client
from durable_saga.client.status import OPEN
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import DurableSagaError, NotFound
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.worker.watched_core import WatchedCore


@dataclass(frozen=True)
class Misfit:
    """An open saga whose history its code does not follow. `why` names both sides, and the line of the code."""

    id: str
    saga_type: str
    why: str


async def misfits(client: Client, definitions: Sequence[SagaDefinition], *, sagas_max: int) -> AsyncIterator[Misfit]:
    """Replay what is open of these types, the newest `sagas_max` sagas; nothing is run and nothing is changed. Raises what the
    client raises."""
    known = {one.name: one for one in definitions}
    seen = 0
    async for row in client.list(status=OPEN):
        definition = known.get(row.saga_type)
        if definition is None:
            continue
        if (seen := seen + 1) > sagas_max:
            return
        try:
            events = await raw.history(client.handle(row.id))
        except NotFound:  # it has ended and is purged
            continue
        if why := unlike(definition, events):
            yield Misfit(row.id, definition.name, why)
        await asyncio.sleep(0)


def unlike(definition: SagaDefinition, events: Sequence[h.Event]) -> str:
    """Where the code of today leaves this history, "" if it follows it."""
    watched = WatchedCore(Core(definition, h.RunKey(namespace="rehearsal", saga="rehearsal", run=1)))
    try:
        watched.replay(events)
    except DurableSagaError as error:
        return str(error)
    finally:
        watched.discard()
    return ""
