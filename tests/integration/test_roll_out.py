"""Which build new sagas begin with: by share, by type, the same after a restart, and with no worker of a build."""

from __future__ import annotations

import asyncio
import json
import pathlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal.memory import MemoryJournal

from durable_saga import Build, Client, Handle, SyncClient, Worker, connect, event, saga, step
from durable_saga.cli import main
from durable_saga.client import raw
from durable_saga.errors import InvalidArgument
from tests.integration.stage import CASSANDRA, cassandra_url, new_name
from tests.integration.test_builds import client_of, serving

SAGAS = 400
Scenario = Callable[[Client], Awaitable[None]]


@step
async def pack(what: str) -> str:
    return what


@saga
async def parcel() -> str:
    await pack("a")
    await event("go")
    return "sent"


@saga
async def letter() -> str:
    return await pack("b")


@pytest.fixture(params=["memory", "sqlite", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Callable[[Scenario], None]:
    async def run(scenario: Scenario) -> None:
        urls = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/journal.db"}
        if request.param == "cassandra":
            urls["cassandra"] = cassandra_url(request.getfixturevalue("cassandra"))
        async with connect(urls[request.param], strict=False, namespace=new_name()) as client:
            await asyncio.wait_for(scenario(client), 60)

    return lambda scenario: asyncio.run(run(scenario))


def worker(client: Client, build: str, sagas: Sequence[Any] = (parcel, letter), sagas_max: int = 2_000) -> Worker:
    return Worker(client, sagas=sagas, build=build, sagas_max=sagas_max)


async def begun(client: Client, name: str, count: int, of: Any = parcel) -> Counter[str]:
    """By how many of so many new ones each build was taken."""
    handles = await asyncio.gather(*(client.start(of, id=f"{name}-{number}") for number in range(count)))
    return Counter([await build_of(handle) for handle in handles])


async def build_of(handle: Handle[Any]) -> str:
    while (view := await raw.describe(handle)).next_seq < 2:
        await asyncio.sleep(0.01)
    return view.build


async def connected(client: Client, *builds: str) -> None:
    for build in builds:
        await row(client, build, lambda one: one.workers > 0)


async def row(client: Client, name: str, is_so: Callable[[Build], bool]) -> Build:
    async with asyncio.timeout(20):
        while True:
            if (found := {one.name: one for one in await client.builds()}.get(name)) is not None and is_so(found):
                return found
            await asyncio.sleep(0.05)


def test_a_share_of_new_sagas_begins_with_the_build_and_the_same_ones_with_a_larger_share(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(client: Client) -> None:
        async with worker(client, "1"), worker(client, "2"):
            await connected(client, "1", "2")
            await client.roll_out("1", reason="before the deploy")
            assert await begun(client, "a", 20) == {"1": 20}
            said = await client.roll_out("2", share=0.3, reason="canary", who="ann")
            assert (said.build, said.share, said.rest, said.who, said.warning) == ("2", 0.3, "1", "ann", "")
            found = await begun(client, "b", 100)
            assert 10 < found["2"] < 50
            assert found["1"] + found["2"] == 100
            few = [one.id async for one in client.list(build="2")]
            await client.roll_out("2", share=0.6)
            assert (await begun(client, "c", 60))["2"] > 20
            assert (await row(client, "2", lambda one: one.open > found["2"])).share == 0.6
            assert (await row(client, "1", lambda one: True)).share == pytest.approx(0.4)
            await client.roll_out("2", share=0)
            assert await begun(client, "d", 10) == {"1": 10}, "back by the same call"
            assert few

    play(scenario)


def test_a_type_is_pinned_and_the_others_go_on_as_before(play: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        async with worker(client, "1"), worker(client, "2"):
            await connected(client, "1", "2")
            await client.roll_out("1")
            await client.roll_out("2", type="letter")
            assert await begun(client, "l", 10, letter) == {"2": 10}
            assert await begun(client, "p", 10) == {"1": 10}
            assert (await row(client, "2", lambda one: True)).shares == {"letter": 1.0}
            ended = await client.roll_out(None, type="letter")
            assert ended.build == ""
            assert await begun(client, "m", 10, letter) == {"1": 10}

    play(scenario)


def test_a_build_is_drained_when_its_last_saga_is_gone(play: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        async with worker(client, "1"), worker(client, "2"):
            await connected(client, "1", "2")
            await client.roll_out("1")
            handle = await client.start(parcel, id="last")
            assert await build_of(handle) == "1"
            await client.roll_out("2")
            assert not (await row(client, "1", lambda one: one.open == 1)).is_drained
            await handle.signal("go")
            assert await handle.result() == "sent"
            assert (await row(client, "1", lambda one: one.open == 0)).is_drained
            assert not (await row(client, "2", lambda one: True)).is_drained

    play(scenario)


def test_a_roll_out_is_durable_and_a_build_without_workers_is_told_and_stood_in_for() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        async with serving(journal) as service:
            client = client_of(service)
            async with worker(client, "1"), worker(client, "2"):
                await connected(client, "1", "2")
                await client.roll_out("1")
                await client.roll_out("2", share=0.5)
        async with serving(journal) as service:
            client = client_of(service)
            async with worker(client, "1"):
                await connected(client, "1")
                assert await begun(client, "a", 20) == {"1": 20}
                assert "No worker with build 2" in (await row(client, "2", lambda one: True)).warning
                assert "No worker with build 2" in (await client.roll_out("2", share=0.5)).warning
                async with worker(client, "2"):
                    await connected(client, "2")
                    assert (await begun(client, "b", 60))["2"] > 10
                    assert (await row(client, "2", lambda one: True)).warning == ""

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_build_without_a_share_gets_no_new_saga_while_it_is_the_first_to_reach_a_restarted_server() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        async with serving(journal) as service:
            client = client_of(service)
            async with worker(client, "1"), worker(client, "2"):
                await connected(client, "1", "2")
                await client.roll_out("1")
                await client.roll_out("2", share=0, reason="bad")
        async with serving(journal) as service:
            client = client_of(service)
            async with worker(client, "2"):
                await connected(client, "2")
                handles = [await client.start(parcel, id=f"early-{number}") for number in range(10)]
                await asyncio.sleep(0.5)
                assert [one.build async for one in client.list(id_prefix="early")] == [""] * 10
                async with worker(client, "1"):
                    await connected(client, "1")
                    assert [await build_of(one) for one in handles] == ["1"] * 10

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_what_waits_for_room_goes_to_its_side_though_the_other_one_has_room_and_follows_a_new_roll_out() -> None:
    async def scenario() -> None:
        async with serving() as service:
            client = client_of(service)
            async with worker(client, "1", sagas_max=1), worker(client, "2", sagas_max=2_000):
                await connected(client, "1", "2")
                await client.roll_out("1")
                await client.pause(type="parcel", reason="so that all wait")
                handles = [await client.start(parcel, id=f"w-{number}") for number in range(30)]
                await client.roll_out("2")
                await client.resume(type="parcel")
                assert [await build_of(handle) for handle in handles] == ["2"] * 30

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_what_makes_no_sense_is_refused_in_words(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        async with serving() as service:
            client = client_of(service)
            with pytest.raises(InvalidArgument, match="no worker with build '9' is connected, and no open saga"):
                await client.roll_out("9")
            async with worker(client, "1"):
                assert await begun(client, "a", 1) == {"1": 1}
                with pytest.raises(InvalidArgument, match="The builds are: 1"):
                    await client.roll_out("9")
                for share in (-0.1, 1.5, float("nan"), "5%", True, None):
                    with pytest.raises(InvalidArgument, match="give the part of new sagas from 0 to 1"):
                        await client.roll_out("1", share=share)  # type: ignore[arg-type]
                with pytest.raises(InvalidArgument, match="smallest"):
                    await client.roll_out("1", share=1e-9)
                assert (await client.roll_out(None)).warning == "", "there was none"

    asyncio.run(asyncio.wait_for(scenario(), 60))
    with SyncClient(f"sqlite:///{tmp_path}/j.db", strict=False) as client:
        assert client.builds() == []
        with pytest.raises(InvalidArgument, match="no worker with build"):
            client.roll_out("1", share=0.1)


def test_the_commands_show_builds_and_roll_one_out() -> None:
    async def scenario() -> None:
        async with serving() as service:
            server = GrpcServer(service, "127.0.0.1:0")
            await server.start()
            async with connect(f"127.0.0.1:{server.port}") as client, worker(client, "1"), worker(client, "2"):
                await connected(client, "1", "2")

                async def run(*words: str) -> Result:
                    return await asyncio.to_thread(CliRunner().invoke, main, [*words, "--url", f"127.0.0.1:{server.port}"])

                assert json.loads((await run("roll-out", "1", "--share", "100%")).stdout)["share"] == 1
                done = json.loads((await run("roll-out", "2", "--share", "5%", "--reason", "canary")).stdout)
                assert (done["build"], done["share"], done["rest"], done["reason"]) == ("2", 0.05, "1", "canary")
                rows = [json.loads(line) for line in (await run("builds")).stdout.splitlines()]
                assert [(row["name"], row["share"], row["workers"]) for row in rows] == [("1", 0.95, 1), ("2", 0.05, 1)]
                assert "no worker with build '7'" in (await run("roll-out", "7", "--share", "1")).output
                assert "is no share" in (await run("roll-out", "2", "--share", "120%")).output
                assert "or --end" in (await run("roll-out", "2")).output
                assert json.loads((await run("roll-out", "--end")).stdout)["build"] == ""
                assert await client.roll_out(None) is not None
            await server.stop(1)

    asyncio.run(asyncio.wait_for(scenario(), 60))
