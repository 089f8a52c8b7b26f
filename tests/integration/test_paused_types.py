"""The incident switch: all sagas of a type stand still, whoever has them, and go on at once."""

from __future__ import annotations

import asyncio
import pathlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal import JournalUnavailable
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Handle, SyncClient, Worker, connect, saga, signal, step
from tests.integration.stage import Play, player
from tests.integration.test_pausing import WORLD, is_taken, slow, stays, wait_until

SWITCHED_SECONDS_MAX = 2.0


@step(at_most_once=True)
async def pays(name: str) -> None:
    WORLD.did.append(f"pay {name}")


@saga
async def buys(name: str) -> str:
    await slow(name)
    await pays(name)
    return name


@saga
async def sells(name: str) -> str:
    return await slow(name)


@saga
async def listens_on(name: str) -> str:
    await signal("go", int)
    return await slow(name)


@saga(timeout=1.0)
async def hurries(name: str) -> str:
    await slow(name)
    return await slow(name)


SAGAS: list[Any] = [buys, sells, listens_on, hurries]


@pytest.fixture(params=["memory", "sqlite", "grpc"])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    WORLD.did.clear()
    WORLD.goes_on = True
    return player(request, tmp_path)


async def is_parked(handle: Handle[Any]) -> None:
    async with asyncio.timeout(20):
        while (await handle.describe()).owner:
            await asyncio.sleep(0.05)


def test_starts_are_accepted_and_begin_in_their_order_after_the_resume(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await client.pause(type="sells", reason="incident", who="ann")
        assert not await client.pause(type="sells", reason="the same incident", who="ann")
        handles = [await client.start(sells, f"s{number}") for number in range(5)]
        assert handles[0].waits_for == "it is paused with all sagas of type sells by ann: the same incident"
        other = await client.start(buys, "b")
        assert other.waits_for == ""
        assert await other.result() == "b"
        await stays(lambda: list(WORLD.did), 0.3)
        assert not any("s0" in one for one in WORLD.did)
        assert "by ann" in (await handles[0].describe()).paused
        found = await client.statistics()
        assert found.paused_types == {"sells": "by ann: the same incident"}
        WORLD.did.clear()
        began = time.monotonic()
        assert await client.resume(type="sells")
        assert not await client.resume(type="sells")
        assert [await one.result() for one in handles] == [f"s{number}" for number in range(5)]
        assert time.monotonic() - began < SWITCHED_SECONDS_MAX
        assert [one for one in WORLD.did if one.startswith("begin")] == [f"begin s{number}" for number in range(5)]
        assert (await client.start(sells, "later")).waits_for == ""

    play(scenario, SAGAS)


def test_a_worker_that_holds_sagas_of_the_type_begins_nothing_more(play: Play) -> None:
    async def scenario(client: Client) -> None:
        WORLD.goes_on = False
        held, waiting = await client.start(buys, "one"), await client.start(listens_on, "two")
        await wait_until(lambda: WORLD.did == ["begin one"])
        await client.pause(type="buys", reason="incident")
        await client.pause(type="listens_on", reason="incident")
        WORLD.goes_on = True
        await is_taken(held, "step_completed")
        await waiting.signal("go", 1)
        await stays(lambda: list(WORLD.did), 0.5)
        assert WORLD.did == ["begin one", "one"]
        await is_parked(waiting)
        assert await held.pause("a closer look") == ""
        assert "with all sagas of type buys" in (await held.describe()).paused
        await client.resume(type="listens_on")
        assert await waiting.result() == "two"
        await client.resume(type="buys")
        await stays(lambda: "pay one" in WORLD.did, 0.5)
        assert "pay one" not in WORLD.did, "it is paused itself"
        await held.resume()
        assert await held.result() == "one"
        assert WORLD.did.count("pay one") == 1

    play(scenario, SAGAS)


def test_a_time_out_that_is_over_in_the_pause_takes_effect_at_the_resume(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.pause(type="hurries")
        handle = await client.start(hurries, "late")
        await asyncio.sleep(1.2)
        assert (await handle.describe()).status == "running"
        await client.resume(type="hurries")
        with pytest.raises(Exception, match=r"failed|undone|timeout"):
            await handle.result()

    play(scenario, SAGAS)


def test_a_saga_that_is_cancelled_while_its_type_is_paused_says_so(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.pause(type="sells", reason="incident", who="ann")
        handle = await client.start(sells, "one")
        assert await handle.cancel() == "it is paused with all sagas of type sells by ann: incident"
        await handle.terminate("enough")
        assert (await handle.describe()).paused == ""
        await client.resume(type="sells")

    play(scenario, SAGAS)


def test_the_switch_survives_everything(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    WORLD.did.clear()
    WORLD.goes_on = True

    async def first() -> None:
        async with connect(url) as client, Worker(client, sagas=SAGAS):
            await client.pause(type="sells", reason="incident")
            await client.start(sells, "one", id="one")

    async def second() -> None:
        async with connect(url) as client, Worker(client, sagas=SAGAS):
            await stays(lambda: list(WORLD.did), 1.5)
            assert WORLD.did == []
            await client.resume(type="sells")
            assert await asyncio.wait_for(client.handle("one", sells).result(), 20) == "one"

    asyncio.run(first())
    with SyncClient(url) as client:
        assert client.statistics().paused_types
        assert not client.pause(type="sells", reason="still")
    asyncio.run(second())


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[Client, Client]]:
    """On one journal, each with a worker of its own."""
    journal = MemoryJournal()
    services = [HistoryService(journal, name=name) for name in ("one", "two")]
    servers = []
    for service in services:
        await service.start_up()
        server = GrpcServer(service, "127.0.0.1:0")
        await server.start()
        await service.join(f"127.0.0.1:{server.port}")
        servers.append(server)
    async with connect(f"127.0.0.1:{servers[0].port}") as first, connect(f"127.0.0.1:{servers[1].port}") as second:
        yield first, second
    stopping = [asyncio.create_task(server.stop(1)) for server in servers]
    for service in services:
        await service.shut_down()
    await asyncio.gather(*stopping)


def test_all_servers_of_a_cell_see_the_switch_within_seconds() -> None:
    WORLD.did.clear()
    WORLD.goes_on = True

    async def scenario() -> None:
        async with two_servers() as (first, second), Worker(second, sagas=SAGAS) as worker:
            await asyncio.wait_for(worker.connected.wait(), 10)
            waiting = [await first.start(listens_on, f"w{number}") for number in range(6)]
            for one in waiting:
                await is_taken(one, "saga_started")
            await asyncio.sleep(1.0)
            await first.pause(type="listens_on", reason="incident")
            await asyncio.sleep(SWITCHED_SECONDS_MAX)
            for one in waiting:
                await one.signal("go", 1)
            await stays(lambda: list(WORLD.did), 1.0)
            assert WORLD.did == []
            assert (await second.statistics()).paused_types
            await second.resume(type="listens_on")
            async with asyncio.timeout(SWITCHED_SECONDS_MAX + 8):
                assert [await one.result() for one in waiting] == [f"w{number}" for number in range(6)]

    asyncio.run(scenario())


def test_a_switch_whose_write_is_not_answered_is_told_and_can_be_set_again() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        service = HistoryService(journal)
        await service.start_up()
        put, failures = journal.switches.put, 1

        async def unanswered(switch: Any) -> bool:
            nonlocal failures
            done = await put(switch)
            if failures:
                failures -= 1
                raise JournalUnavailable("no answer")
            return done

        journal.switches.put = unanswered  # type: ignore[method-assign]
        from durable_saga_server.failures import ServiceError

        from durable_saga.pb import client_pb2 as c

        asked = c.PauseTypeRequest(namespace="n", saga_type="t", reason="r", who="w")
        with pytest.raises(ServiceError):
            await service.calls["PauseType"](asked)
        await service.calls["PauseType"](asked)
        assert service.sessions.paused.why("n", "t") == "with all sagas of type t by w: r"
        await asyncio.gather(*(service.calls["PauseType"](c.PauseTypeRequest(namespace="n", saga_type=one)) for one in "abc"))
        assert sorted(service.sessions.paused.of("n")) == ["a", "b", "c", "t"]
        await service.shut_down()

    asyncio.run(scenario())
