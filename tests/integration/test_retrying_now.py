"""Somebody ends back-offs: of steps, compensations and blocked sagas, over each journal and transport."""

from __future__ import annotations

import asyncio
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from durable_saga import Client, Handle, Retry, SyncClient, Worker, connect, event, saga, step
from durable_saga.cli import main
from durable_saga.client import raw
from durable_saga.errors import AlreadyEnded, NotFound, SagaCompensated
from durable_saga.pb import history_pb2 as h
from tests.integration.stage import Play, player


class World:
    def __init__(self) -> None:
        self.works = False
        self.tried: list[str] = []


WORLD = World()


@step(retry=Retry(max_attempts=9, initial=3600))
async def flaky(name: str) -> str:
    WORLD.tried.append(name)
    if not WORLD.works:
        raise OSError("not yet")
    return name


@step
async def safe(name: str) -> str:
    return name


@safe.compensation(retry=Retry(max_attempts=9, initial=3600))
async def unsafe(name: str) -> None:
    WORLD.tried.append(f"undo {name}")
    if not WORLD.works:
        raise OSError("not yet")


@saga
async def two_tries() -> list[str]:
    return list(await asyncio.gather(flaky("a"), flaky("b")))


@saga
async def undone() -> None:
    await safe("one")
    raise ValueError("no")


@saga
async def quick() -> str:
    return await safe("q")


@saga(name="retried_code")
async def first_code() -> str:
    await safe("a")
    await event("go")
    return await safe("b")


@saga(name="retried_code")
async def wrong_code() -> str:
    await event("go")
    return "wrong"


SAGAS: list[Any] = [two_tries, undone, quick]


@pytest.fixture(params=["memory", "sqlite", "grpc"])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    WORLD.works, WORLD.tried = False, []
    return player(request, tmp_path)


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.02)


async def has(handle: Handle[Any], kind: str, count: int) -> None:
    while sum(one.kind == kind for one in await handle.history()) < count:
        await asyncio.sleep(0.02)


def test_every_step_that_waits_begins_at_once_and_the_history_says_who_and_why(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(two_tries, id="one")
        await has(handle, "step_attempt_failed", 2)
        WORLD.works = True
        assert await handle.retry_now("the bank is back", who="ann") == ""
        assert await handle.result(10) == ["a", "b"]
        assert sorted(WORLD.tried) == ["a", "a", "b", "b"]
        asked = next(one for one in await raw.history(handle) if one.HasField("retry_requested")).retry_requested
        assert (asked.who, asked.reason) == ("ann", "the bank is back")

    play(scenario, SAGAS)


def test_a_parked_saga_wakes_for_it(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(two_tries, id="one")
        async with asyncio.timeout(20):
            while (await handle.describe()).owner:
                await asyncio.sleep(0.05)
        WORLD.works = True
        await handle.retry_now()
        assert await handle.result(10) == ["a", "b"]

    play(scenario, SAGAS)


def test_a_compensation_that_waits_begins_at_once(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(undone, id="one")
        await has(handle, "compensation_attempt_failed", 1)
        await handle.retry_now()
        await has(handle, "compensation_attempt_failed", 2)
        WORLD.works = True
        await handle.retry_now()
        with pytest.raises(SagaCompensated):
            await handle.result(10)

    play(scenario, SAGAS)


def test_many_at_once_begin_one_attempt_and_one_that_finds_nothing_is_no_error(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(two_tries, id="one")
        await has(handle, "step_attempt_failed", 2)
        WORLD.works = True
        await asyncio.gather(*(handle.retry_now(str(number)) for number in range(5)))
        assert await handle.result(10) == ["a", "b"]
        assert sorted(WORLD.tried) == ["a", "a", "b", "b"]
        assert sum(one.kind == "retry_requested" for one in await handle.history()) <= 2
        with pytest.raises(AlreadyEnded):
            await handle.retry_now()
        with pytest.raises(NotFound):
            await client.handle("nobody").retry_now()

    play(scenario, SAGAS)


def test_a_blocked_saga_is_tried_at_once_and_says_why_it_was_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with connect("memory:") as client:
            async with Worker(client, sagas=[first_code]):
                handle = await client.start(first_code, id="one")
                await has(handle, "step_completed", 1)
            async with Worker(client, sagas=[wrong_code]):
                while not (found := await raw.describe(handle)).blocked or found.owner:
                    await asyncio.sleep(0.02)
                for _ in range(4):  # each back-off is twice as long as the one before
                    epoch = (await raw.describe(handle)).epoch
                    assert "test_retrying_now.py" in await handle.retry_now("a look")
                    async with asyncio.timeout(0.9):
                        while (found := await raw.describe(handle)).epoch == epoch or found.owner:
                            await asyncio.sleep(0.01)
            await handle.signal("go")
            async with Worker(client, sagas=[first_code]):
                assert await handle.result(10) == "b"

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_command_tells_each_saga_and_the_sync_client_has_it(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/j.db"
    WORLD.works, WORLD.tried = False, []

    async def scenario() -> None:
        async with connect(url) as client, Worker(client, sagas=SAGAS):
            for name in ("one", "two"):
                await has(await client.start(two_tries, id=name), "step_attempt_failed", 2)

    asyncio.run(asyncio.wait_for(scenario(), 60))
    ran = CliRunner().invoke(main, ["retry-now", "one", "nobody", "two", "--reason", "up again", "--url", url])
    assert ran.exit_code == 1
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert lines == [{"id": "one", "done": "retry-now"}, {"id": "two", "done": "retry-now"}]
    assert "nobody" in ran.stderr
    with SyncClient(url) as client:
        assert client.handle("one").retry_now() == ""
    WORLD.works = True

    async def again() -> None:
        async with connect(url) as client, Worker(client, sagas=SAGAS):
            for name in ("one", "two"):
                assert await client.handle(name).result(10) == ["a", "b"]
                kinds = [one.WhichOneof("kind") for one in await raw.history(client.handle(name))]
                assert kinds.count("retry_requested") == 1
            assert (await raw.describe(client.handle("one"))).status == h.COMPLETED

    asyncio.run(asyncio.wait_for(again(), 60))
