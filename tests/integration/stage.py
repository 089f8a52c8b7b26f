"""Where the scenarios of several tests play: a client and a worker over each journal and transport."""

from __future__ import annotations

import asyncio
import pathlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Worker, connect
from tests.integration import sagas as s

Scenario = Callable[[Client], Awaitable[None]]
Play = Callable[..., None]
CASSANDRA = pytest.param("cassandra", marks=[pytest.mark.cassandra, pytest.mark.timeout(300)])

_keyspace = f"stage_{uuid.uuid4().hex[:8]}"


def cassandra_url(address: str, keyspace: str = _keyspace) -> str:
    """One keyspace for a whole session: each costs the node a dozen tables. What must not meet takes a new namespace."""
    return f"cassandra://{address}/{keyspace}?replication_factor=1"


def new_name() -> str:
    return f"n{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def remote() -> AsyncIterator[Client]:
    service = HistoryService(MemoryJournal())
    await service.start_up()
    server = GrpcServer(service, "127.0.0.1:0")
    await server.start()
    async with connect(f"127.0.0.1:{server.port}") as client:
        yield client
    stopping = asyncio.create_task(server.stop(1))
    await service.shut_down()
    await stopping


def player(request: pytest.FixtureRequest, folder: pathlib.Path) -> Play:
    """Runs a scenario with a client and a worker on the journal that the test's parameter names."""

    async def run(scenario: Scenario, sagas: Sequence[Any]) -> None:
        urls = {"memory": "memory:", "sqlite": f"sqlite:///{folder}/journal.db"}
        if request.param == "cassandra":
            address = request.getfixturevalue("cassandra")
            urls["cassandra"] = cassandra_url(address)
        client_of = remote() if request.param == "grpc" else connect(urls[request.param], strict=False, namespace=new_name())
        async with client_of as client, Worker(client, sagas=sagas):
            await asyncio.wait_for(scenario(client), 60)

    def play(scenario: Scenario, sagas: Sequence[Any] = s.SAGAS) -> None:
        s.WORLD.clear()
        s.FAILURES.clear()
        asyncio.run(run(scenario, sagas))

    return play
