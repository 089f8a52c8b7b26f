"""A real server with a real port, for the tests of who may do what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from durable_saga_server.grpc_server import GrpcServer
from durable_saga_server.journal import Journal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import saga, step


@step
async def charge(amount: int) -> int:
    return amount


@saga
async def pay(amount: int) -> int:
    return await charge(amount)


@dataclass(frozen=True)
class Standing:
    service: HistoryService
    server: GrpcServer

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.server.port}"


@asynccontextmanager
async def standing(journal: Journal | None = None, **options: Any) -> AsyncIterator[Standing]:
    """`options` are the server's."""
    service = HistoryService(journal or MemoryJournal())
    await service.start_up()
    server = GrpcServer(service, "127.0.0.1:0", **options)
    await server.start()
    try:
        yield Standing(service, server)
    finally:
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping
