"""The connected workers are shown, with what each does, and types of sagas that nobody runs."""

from __future__ import annotations

import asyncio
import pathlib
import threading

import pytest

from durable_saga import Client, Worker, saga, signal, step
from durable_saga.client.working import Workers
from tests.integration.stage import Play, player

go_on = threading.Event()


@step
def charge(order: str) -> None:
    go_on.wait(20)


@saga
async def pays(order: str) -> None:
    await charge(order)


@saga
async def waits(order: str) -> None:
    await signal("paid")


@pytest.fixture(params=["sqlite", "grpc"])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


async def shown(client: Client, is_there: object) -> Workers:
    """Once that is so: a worker tells what it has every second or two."""
    for _ in range(100):
        found = await client.workers()
        if is_there(found):  # type: ignore[operator]
            return found
        await asyncio.sleep(0.1)
    pytest.fail(f"{found}")


def test_workers_are_shown_with_their_load_and_types_without_workers_are_named(play: Play) -> None:
    async def scenario(client: Client) -> None:
        go_on.clear()
        await client.start(pays, "o-1")
        await client.start("nobodys", "o-2", id="o-2")
        found = await shown(client, lambda one: one.workers and one.workers[0].slots_used == 1)
        (worker,) = found.workers
        assert worker.saga_types == ["pays"]
        assert worker.slots > 1
        assert 0 < worker.load < 1
        assert worker.name.startswith(f"{worker.host}/")
        assert worker.connected_at
        assert worker.seen_at
        await asyncio.sleep(3.2)  # a server says so only after a while
        types = {one.saga_type: one for one in found.types}
        assert not types["pays"].lacks_workers
        assert types["nobodys"].lacks_workers
        assert types["nobodys"].open == 1
        assert [one.id async for one in client.list(state=["no_worker"])] == ["o-2"]
        assert [one.id async for one in client.list(state=["no_worker"], type="pays")] == []
        assert (await client.statistics()).by_state == {"nobodys": {"no_worker": 1}}
        go_on.set()
        async with Worker(client, sagas=[waits]):
            found = await shown(client, lambda one: len(one.workers) == 2)
            assert {one.saga_type: one.workers for one in found.types}["waits"] == 1
        await shown(client, lambda one: len(one.workers) == 1)

    play(scenario, [pays])
