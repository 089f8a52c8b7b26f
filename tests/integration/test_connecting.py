"""How a client finds its server: what that costs, what it is told where there is none, and how long it waits."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, SagaManager, Worker, connect, saga, sleep
from durable_saga.errors import Unavailable
from durable_saga.transport.transport import LocalTransport, Unreached, nobody_there


class Uncounted(WrappedJournal):
    async def around(self, name: str, call: Call, *args: Any) -> Any:
        assert name != "index.tallies", "on Cassandra this reads a row of every saga that was started lately"
        return await call(*args)


def test_a_manager_that_connects_to_a_server_does_not_have_all_sagas_counted() -> None:
    async def scenario() -> None:
        service = HistoryService(Uncounted(MemoryJournal()))
        await service.start_up()
        server = GrpcServer(service, "127.0.0.1:0")
        await server.start()
        async with SagaManager(f"127.0.0.1:{server.port}") as manager:
            await manager.initialize()
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping

    asyncio.run(scenario())


class Hangs(WrappedJournal):
    """Whoever asks for a saga called "stuck" gets no answer."""

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name in ("runs.head", "runs.glance") and args[0].saga == "stuck":
            await asyncio.Event().wait()
        return await call(*args)


@saga
async def naps() -> str:
    await sleep(0.8)
    return "rested"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_where_no_server_is_a_sentence_says_how_to_start_one() -> None:
    async def scenario() -> None:
        port, began = free_port(), time.monotonic()
        async with connect(f"127.0.0.1:{port}", timeout=0.5) as client:
            with pytest.raises(Unavailable, match=rf"no server answers at 127.0.0.1:{port}: `durable-saga dev` starts one"):
                await client.statistics()
        assert time.monotonic() - began < 10

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        (["localhost:1"], "no server answers at localhost:1: `durable-saga dev`"),
        (["[::1]:1"], "`durable-saga dev`"),
        (["a:1", "b:1"], "no server answers at a:1 or b:1: start one there with `durable-saga server`"),
    ],
)
def test_the_sentence_fits_the_place(servers: list[str], words: str) -> None:
    assert words in str(nobody_there(Unreached("DNS resolution failed for a:1"), servers))
    said = Unreached("the journal is being restored")
    assert nobody_there(said, servers) is said, "a server is there, and says why it can't"


@pytest.mark.parametrize("over_grpc", [True, False])
def test_a_call_that_is_not_answered_in_its_time_is_given_up_and_waiting_for_an_end_is_not(over_grpc: bool) -> None:
    async def ask(client: Client) -> None:
        async with client, Worker(client, sagas=[naps]):
            began = time.monotonic()
            with pytest.raises(Unavailable, match=r"describe\(\) was not answered within 0.3 s, the timeout= of connect\(\)"):
                await client.handle("stuck").describe()
            assert time.monotonic() - began < 10
            assert await (await client.start(naps, id="n-1")).result() == "rested"

    async def scenario() -> None:
        service = HistoryService(Hangs(MemoryJournal()))
        if not over_grpc:
            await ask(Client(LocalTransport(service, timeout=0.3)))
            return
        await service.start_up()
        server = GrpcServer(service, "127.0.0.1:0")
        await server.start()
        await ask(connect(f"127.0.0.1:{server.port}", timeout=timedelta(milliseconds=300)))
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize("port", ["0", "65536", "99999", "²"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match="isn't an address"):
        connect(f"localhost:{port}")


@pytest.mark.parametrize("url", ["http://localhost:7233", "https://sagas.example/x"])
def test_the_url_of_a_web_page_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match="is the URL of a web page: give host:port of a server, such as localhost:7233"):
        connect(url)


@pytest.mark.parametrize(("timeout", "error"), [(0, ValueError), (-1, ValueError), ("5", TypeError)])
def test_a_timeout_that_is_none_is_refused(timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout"):
        connect("memory:", timeout=timeout)
