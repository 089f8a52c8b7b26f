"""What is refused, and what can't begin: a clear error of its own, nothing written, and a way out."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest
from durable_saga_server.config import Config
from durable_saga_server.failures import BUSY_RETRY_MS, ServiceError
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal import Journal, JournalFull, memory
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Handle, Retry, SagaManager, Worker, connect, event, saga, signal, step
from durable_saga.client import raw
from durable_saga.errors import Exhausted, InvalidArgument, SagaCancelled
from durable_saga.pb import client_pb2 as c
from durable_saga.transport.transport import LocalTransport
from tests.integration.stage import CASSANDRA, Play, player


@step(retry=Retry(max_attempts=1))
def greet(name: str) -> str:
    return f"hello {name}"


@saga
async def hello(name: str) -> str:
    return await greet(name)


@saga(timeout=0.5)
async def brief(name: str) -> str:
    return await greet(name)


@saga(timeout=60)
async def patient_enough(name: str) -> str:
    return await greet(name)


@saga
async def waits(name: str) -> str:
    return str(await signal("go"))


@saga(keys=lambda name: [f"name:{name}"])
async def waits_by_key(name: str) -> str:
    return str(await event("go"))


SAGAS = [hello, brief, patient_enough, waits, waits_by_key]


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    play = player(request, tmp_path)
    return lambda scenario: play(scenario, SAGAS)


async def until_blocked(handle: Handle[str]) -> str:
    while not (blocked := (await handle.describe()).blocked):
        await asyncio.sleep(0.05)
    return blocked


def test_r4_an_argument_of_another_type_is_refused_where_the_type_is_known(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(InvalidArgument, match=r"argument name: .*str.*int"):
            await client.start(hello, 7, id="never")  # type: ignore[call-arg, arg-type]
        with pytest.raises(TypeError, match="missing"):
            await client.start(hello, id="never")  # type: ignore[call-arg, arg-type]
        assert [one async for one in client.list()] == []

    play(scenario)


def test_c9_a_saga_whose_input_does_not_fit_shows_why_and_can_be_cancelled(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start("hello", 7)
        assert "argument name" in await until_blocked(handle)
        assert "argument name" in (await handle.overview()).blocked
        await handle.cancel("a mistake")
        with pytest.raises(SagaCancelled, match="a mistake"):
            await handle.result(timeout=40)
        kinds = [str(one.WhichOneof("kind")) for one in await raw.history(handle)]
        assert kinds == ["saga_started", "cancel_requested", "unwind_started", "saga_ended"]

    play(scenario)


def test_c9_messages_of_a_saga_that_cannot_begin_wait_and_its_timeout_ends_it(play: Play) -> None:
    async def scenario(client: Client) -> None:
        waiting = await client.start("waits", 7)
        await waiting.signal("go", "kept")
        late = await client.start("brief", 7)
        await until_blocked(waiting)
        with pytest.raises(Exception, match="longer than its timeout"):
            await late.result(timeout=40)
        assert (await waiting.describe()).next_seq == 1
        await waiting.compensate("enough")
        with pytest.raises(Exception, match="enough"):
            await waiting.result(timeout=40)

    play(scenario)


@pytest.mark.parametrize("journal", ["memory:", "sqlite"])
def test_r2_the_timeout_of_a_manager_is_for_all_that_is_started_through_it(journal: str, tmp_path: pathlib.Path) -> None:
    async def run() -> None:
        url = f"sqlite:///{tmp_path}/m.db" if journal == "sqlite" else journal
        async with SagaManager(url, timeout=0.4) as manager, Worker(manager.client, sagas=SAGAS):
            for one in (await manager.client.start(waits, "x"), await manager.client.start("waits", "y")):
                with pytest.raises(Exception, match="longer than its timeout"):
                    await one.result(timeout=30)
            patient = await manager.client.start(waits, "z", timeout=3600)
            await asyncio.sleep(0.6)
            assert (await patient.overview()).status == "running", "what is said at the start comes first"
            assert await (await manager.client.start(patient_enough, "w")).result() == "hello w", "so does what a saga says"

    asyncio.run(run())


class Served:
    """A service over a journal, reached through a real socket and without one."""

    def __init__(self, journal: Journal, config: Config | None = None) -> None:
        self.service = HistoryService(journal, config=config)

    async def __aenter__(self) -> Client:
        await self.service.start_up()
        self.server = GrpcServer(self.service, "127.0.0.1:0")
        await self.server.start()
        self.client = connect(f"127.0.0.1:{self.server.port}")
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self.server.stop(1)
        await self.service.shut_down()


def test_a_full_inbox_is_an_error_of_its_own_that_says_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with Served(MemoryJournal()) as client:
            handle = await client.start("waits", "x")
            for number in range(3):
                await handle.signal("go", number)
            with pytest.raises(Exhausted, match=r"INBOX_MESSAGES_MAX.*when it has read some") as caught:
                await handle.signal("go", 4)
            assert caught.value.retry_after == 1.0

    monkeypatch.setattr(memory, "INBOX_MESSAGES_MAX", 3)
    asyncio.run(run())


class FullDisk(WrappedJournal):
    """Its disk is full from the second message on."""

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == "inbox.put" and args[1].signal.name == "too much":
            raise JournalFull("no room for the journal: free some disk space. Nothing was lost")
        return await call(*args)


def test_a_full_disk_is_an_error_of_its_own_that_says_when_to_come_again() -> None:
    async def run() -> None:
        async with Served(FullDisk(MemoryJournal())) as client:
            handle = await client.start("waits", "x")
            with pytest.raises(Exhausted, match="free some disk space") as caught:
                await handle.signal("too much")
            assert caught.value.retry_after == 30.0
            await handle.signal("go")

    asyncio.run(run())


def test_a_key_of_too_many_sagas_is_an_error_that_coming_again_does_not_mend() -> None:
    async def run() -> None:
        async with Served(MemoryJournal(), Config(keyed_sagas_max=2)) as client:
            for number in range(3):
                await client.start(waits_by_key, "ann", id=f"k-{number}")
            with pytest.raises(Exhausted, match=r"keyed_sagas_max.*publish to their ids") as caught:
                await client.publish("go", key="name:ann")
            assert caught.value.retry_after is None

    asyncio.run(run())


def test_more_calls_than_a_server_takes_are_told_to_come_again_and_clients_do() -> None:
    async def run() -> None:
        served = Served(MemoryJournal(), Config(calls_at_once_max=3))
        async with served as remote:
            started = [c.StartRequest(namespace="n", saga=f"raw-{n}", saga_type="waits") for n in range(20)]
            calls = [served.service.calls["Start"](one) for one in started]
            errors = [one for one in await asyncio.gather(*calls, return_exceptions=True) if isinstance(one, ServiceError)]
            assert {(one.code, one.retry_after_ms) for one in errors} <= {("RESOURCE_EXHAUSTED", BUSY_RETRY_MS)}
            local = Client(LocalTransport(served.service))
            for client in (remote, local):
                handles = await asyncio.gather(*(client.start(waits, "x", id=f"{id(client)}-{n}") for n in range(20)))
                assert [(await one.describe()).saga_type for one in handles] == ["waits"] * 20

    asyncio.run(run())
