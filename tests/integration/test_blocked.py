"""A blocked saga is said once and tried ever more slowly, and a worker with other code gets it at once."""

from __future__ import annotations

import asyncio
import logging

import pytest
from durable_saga_server.workers import refusals

from durable_saga import Client, Handle, Worker, connect, event, saga, step
from durable_saga.client import raw
from durable_saga.pb import client_pb2 as c
from durable_saga.worker import blocked as limits


@step
async def pack(what: str) -> str:
    return what


@saga(name="changing")
async def first_code() -> str:
    await pack("a")
    await event("go")
    return await pack("b")


@saga(name="changing")
async def wrong_code() -> str:
    await event("go")
    return "wrong"


async def make_blocked(client: Client) -> Handle[str]:
    async with Worker(client, sagas=[first_code]):
        handle = await client.start(first_code, id="one")
        while len(await raw.history(handle)) < 3:
            await asyncio.sleep(0.02)
    return handle


async def until_blocked(handle: Handle[str], epoch: int = 0) -> c.Description:
    while not (found := await raw.describe(handle)).blocked or found.owner or found.epoch <= epoch:
        await asyncio.sleep(0.02)
    return found


def test_a_new_worker_gets_a_blocked_saga_at_once() -> None:
    async def play() -> None:
        async with connect("memory:") as client:
            handle = await make_blocked(client)
            async with Worker(client, sagas=[wrong_code]):
                assert "test_blocked.py" in (await until_blocked(handle)).blocked.splitlines()[0]
                await handle.signal("go")
                async with Worker(client, sagas=[first_code]):
                    assert await handle.result() == "b"

    asyncio.run(asyncio.wait_for(play(), 8))  # it would be tried again after 10 s


def test_it_is_said_once_and_tried_ever_more_slowly(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for of, name, value in ((limits, "BLOCKED_RETRY_MS", 200), (refusals, "BLOCKED_RETRY_MS_MIN", 200)):
        monkeypatch.setattr(of, name, value)
    for of in (limits, refusals):
        monkeypatch.setattr(of, "BLOCKED_RETRY_MS_MAX", 700)

    async def play() -> None:
        async with connect("memory:") as client:
            handle = await make_blocked(client)
            async with Worker(client, sagas=[wrong_code]):
                found = [await until_blocked(handle)]
                while len(found) < 4:
                    found.append(await until_blocked(handle, found[-1].epoch))
                assert [one.wake_at_ms - one.updated_ms for one in found] == [200, 400, 700, 700]

    with caplog.at_level(logging.ERROR):
        asyncio.run(asyncio.wait_for(play(), 60))
    assert caplog.text.count("is blocked") == 1
