"""What a client that waits is shown, where the journal has a cheaper look at a head than `head()`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from durable_saga_server.journal import Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Worker, event, saga
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.transport.transport import LocalTransport


class LooksBehind(WrappedJournal):
    """Its cheap look shows every run as at work, whatever became of it."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.looks = 0

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        found = await call(*args)
        if name != "runs.glance":
            return found
        self.looks += 1
        return replace(found, status=h.RUNNING, next_seq=1, ended_ms=0) if found is not None else None


@saga
async def short(name: str) -> str:
    return name


def test_a_look_that_is_behind_costs_time_and_is_never_shown() -> None:
    async def scenario() -> None:
        journal = LooksBehind()
        service = HistoryService(journal)
        async with Client(LocalTransport(service)) as client, Worker(client, sagas=[short]):
            handle = await client.start(short, "x", id="s")
            while (head := await journal.runs.head(Run("default", "s"))) is not None and head.status == h.RUNNING:
                await asyncio.sleep(0.01)
            for wait_ms in (0, 50, 1_200):  # with one look, two, three
                request = c.WaitRequest(key=h.RunKey(namespace="default", saga="s"), wait_ms=wait_ms)
                shown = await service.reading.wait(request)
                assert (shown.status, shown.next_seq > 1) == (h.COMPLETED, True)
            assert journal.looks == 6
            assert (await handle.describe()).status == "completed"

    asyncio.run(asyncio.wait_for(scenario(), 60))


@saga
async def waiting(name: str) -> str:
    return name + await event("more", type=str)


def test_the_end_of_an_earlier_run_is_not_told_of_an_id_that_began_again_at_another_server() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        here, there = HistoryService(journal, name="here"), HistoryService(journal, name="there")
        async with Client(LocalTransport(here)) as client, Client(LocalTransport(there)) as other:
            async with Worker(client, sagas=[waiting]):
                handle = await client.start(waiting, "a", id="s")
                await handle.signal("more", "1")
                assert await handle.result() == "a1"
            async with Worker(other, sagas=[waiting]):
                again = await other.start(waiting, "b", id="s", if_exists="again")
                asked = asyncio.create_task(handle.result())
                await asyncio.sleep(0.1)
                assert not asked.done()
                await again.signal("more", "2")
                assert await asked == "b2"

    asyncio.run(asyncio.wait_for(scenario(), 60))
