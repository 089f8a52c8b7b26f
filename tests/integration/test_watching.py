"""`handle.watch()`: the changes of a saga as they come, to its end."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from durable_saga import Client, Overview, Retry, Worker, connect, continue_as_new, event, pivot, saga, state, step
from durable_saga.client.sync import SyncClient
from durable_saga.errors import NotFound

QUICK = 0.02


@step
async def pack(order: str) -> str:
    return order


@step(retry=Retry(max_attempts=1))
async def breaks() -> None:
    raise RuntimeError("broken")


@saga
async def sends(order: str) -> str:
    await pack(order)
    state.set("address", await event("address"))
    await event("paid")
    return order


@saga(when_failed="hold")
async def is_held() -> None:
    await breaks()


@saga
async def goes_round(left: int) -> str:
    await event("go")
    if left:
        pivot()
        await continue_as_new(left - 1)
    return "done"


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def counted(client: Client) -> list[str]:
    """The calls that this client makes from now on."""
    calls: list[str] = []
    call = client.transport.call

    async def counting(method: str, request: Any) -> Any:
        calls.append(method)
        return await call(method, request)

    client.transport.call = counting  # type: ignore[method-assign]
    return calls


def test_each_change_is_told_once_and_the_end_ends_it() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[sends]):
            handle = await client.start(sends, "o-1", id="o-1")
            told: list[Overview] = []
            async for found in handle.watch(interval=QUICK):
                told.append(found)
                if found.completed_steps and not found.state:
                    await handle.signal("address", "Main Street")
                if found.state == {"address": "Main Street"}:
                    await handle.signal("paid", message_id="once")
            assert told[-1] == await handle.overview()
            assert (told[-1].status, told[-1].state) == ("completed", {"address": "Main Street"})
            assert [one.status for one in told[:-1]] == ["running"] * (len(told) - 1)
            assert all(one != another for one, another in itertools.pairwise(told))
            assert [one.status async for one in handle.watch()] == ["completed"], "one that has ended is told once"

    run(scenario())


def test_a_saga_that_waits_is_not_described_again_and_its_end_comes_before_the_interval_is_over() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[sends]):
            handle = await client.start(sends, "o-1", id="o-1")
            await handle.signal("address", "Main Street")
            while (await handle.overview()).state == {}:
                await asyncio.sleep(0.01)
            calls = counted(client)
            changes = handle.watch(interval=QUICK)
            await anext(changes)
            following = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(20 * QUICK)
            assert calls.count("describe") <= 2
            assert 3 <= calls.count("wait") <= 22
            following.cancel()

            slow = handle.watch(interval=19)
            await anext(slow)
            following = asyncio.ensure_future(anext(slow))
            await asyncio.sleep(0.1)
            await handle.signal("paid")
            assert (await asyncio.wait_for(following, 10)).status == "completed"

    run(scenario())


def test_one_that_is_held_is_asked_for_once_an_interval() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[is_held]):
            handle = await client.start(is_held, id="h-1")
            while (await handle.overview()).status != "held":
                await asyncio.sleep(0.01)
            calls = counted(client)
            changes = handle.watch(interval=0.05)
            assert (await anext(changes)).status == "held"
            following = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.5)
            assert len(calls) <= 14
            await handle.compensate("broken for good")
            last = (await following).status
            async for found in changes:
                last = found.status
            assert last == "failed"

    run(scenario())


def test_a_saga_that_continues_is_watched_to_the_end_of_its_last_run() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[goes_round]):
            handle = await client.start(goes_round, 2, id="r-1")
            for _ in range(3):
                await handle.signal("go")
            for one in (handle, client.handle("r-1", run=1)):
                statuses = [found.status async for found in one.watch(interval=QUICK)]
                assert statuses[-1] == "completed"
                assert "continued" not in statuses
            with pytest.raises(NotFound):
                await anext(client.handle("nobody").watch())
            for wrong in (0, -1):
                with pytest.raises(ValueError, match="interval"):
                    handle.watch(interval=wrong)

    run(scenario())


def test_code_without_asyncio_watches_too(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'orders.db'}"
    stop = threading.Event()

    async def work() -> None:
        async with connect(url) as client, Worker(client, sagas=[sends]):
            while not stop.is_set():
                await asyncio.sleep(0.02)

    worker = threading.Thread(target=asyncio.run, args=(work(),))
    worker.start()
    try:
        with SyncClient(url) as client:
            handle = client.start(sends, "o-1", id="o-1")
            statuses = []
            for found in handle.watch(interval=QUICK):
                statuses.append(found.status)
                handle.signal("address", "Main Street", message_id="1")
                handle.signal("paid", message_id="2")
            assert statuses[-1] == "completed"
    finally:
        stop.set()
        worker.join()
