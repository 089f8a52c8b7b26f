"""What it costs a process to find out that a server is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_saga_server.grpc_server import GrpcServer
from durable_saga_server.journal import Tally
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import SagaManager


class Uncounted(MemoryJournal):
    async def tallies(self, namespace: str) -> Sequence[Tally]:
        raise AssertionError("on Cassandra this reads a row of every saga that was started lately")


def test_a_manager_that_connects_to_a_server_does_not_have_all_sagas_counted() -> None:
    async def scenario() -> None:
        service = HistoryService(Uncounted())
        await service.start_up()
        server = GrpcServer(service, "127.0.0.1:0")
        await server.start()
        async with SagaManager(f"127.0.0.1:{server.port}") as manager:
            await manager.initialize()
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping

    asyncio.run(scenario())
