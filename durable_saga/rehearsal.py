"""Open sagas against the code of today: which of them could not go on with it, found before a worker meets them.

Histories are read and replayed here; nothing is run and nothing is changed.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from durable_saga.client import raw
from durable_saga.client.client import Client
from durable_saga.client.listing import Listed
from durable_saga.client.status import OPEN
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import DurableSagaError, NonDeterminism, NotFound
from durable_saga.pb import history_pb2 as h
from durable_saga.recorded import is_sealed
from durable_saga.replay import Core
from durable_saga.replay.carrying import NOTHING_CARRIED, Carry
from durable_saga.worker.watched_core import WatchedCore

READS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a history can't be gone on with. `why` names both sides and the line of the code; `kind` is the same for all that
    differ in the same way at the same line."""

    why: str
    kind: str


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """An open saga that was looked at. `version` is that of its code at which it began, 0: it has not begun. `misfit` None:
    the code of today goes on with it. `sealed`: it can't be read here, and was not replayed."""

    id: str
    run: int
    saga_type: str
    version: int
    misfit: Misfit | None
    sealed: bool = False
    events: Sequence[h.Event] = field(default=(), repr=False)


async def rehearse(
    client: Client, definitions: Sequence[SagaDefinition], *, sagas_max: int, share: float = 1.0, type: str = ""
) -> AsyncIterator[Rehearsed]:  # fmt: skip
    """The newest `sagas_max` open sagas of these types, or of one of them; of all, the same `share` each time, chosen by
    their ids. Raises what the client raises."""
    known = {one.name: one for one in definitions if not type or one.name == type}
    reading: dict[asyncio.Task[list[h.Event] | None], Listed] = {}
    seen = 0
    try:
        async for row in client.list(status=OPEN, type=next(iter(known)) if len(known) == 1 else ""):
            if row.saga_type not in known or not _is_chosen(row.id, share):
                continue
            if (seen := seen + 1) > sagas_max:
                break
            reading[asyncio.create_task(_history(client, row))] = row
            while len(reading) >= READS_AT_ONCE:
                for one in await _done(reading, known, client.carry):
                    yield one
        while reading:
            for one in await _done(reading, known, client.carry):
                yield one
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _done(
    reading: dict[asyncio.Task[list[h.Event] | None], Listed], known: dict[str, SagaDefinition], carry: Carry
) -> list[Rehearsed]:  # fmt: skip
    """Those whose histories were read meanwhile, at least one."""
    done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
    found: list[Rehearsed] = []
    for task in done:
        row, events = reading.pop(task), task.result()
        if events:
            found.append(_look(row, known[row.saga_type], events, carry))
            await asyncio.sleep(0)
    return found


async def _history(client: Client, row: Listed) -> list[h.Event] | None:
    """None: it has ended and is purged."""
    try:
        return await raw.history(client.handle(row.id, run=row.run))
    except NotFound:
        return None


def _look(row: Listed, definition: SagaDefinition, events: Sequence[h.Event], carry: Carry) -> Rehearsed:
    version = (events[1].version or 1) if len(events) > 1 else 0
    sealed = is_sealed(events)
    misfit = None if sealed else unlike(definition, events, carry)
    return Rehearsed(row.id, row.run, definition.name, version, misfit, sealed, events)


def unlike(
    definition: SagaDefinition, events: Sequence[h.Event], carry: Carry = NOTHING_CARRIED
) -> Misfit | None:  # fmt: skip
    """Where the code of today leaves this history; None: it follows it."""
    core = Core(definition, h.RunKey(namespace="rehearsal", saga="rehearsal", run=1), carry=carry)
    watched = WatchedCore(core)
    try:
        watched.replay(events)
        error: Exception | None = core.forward.cannot_start
    except DurableSagaError as found:
        error = found
    finally:
        watched.discard()
    if error is None:
        return None
    place = error.location if isinstance(error, NonDeterminism) else str(error)
    return Misfit(str(error) or type(error).__name__, f"{type(error).__name__} {place}")


def _is_chosen(saga: str, share: float) -> bool:
    return zlib.crc32(saga.encode()) < share * 2**32
