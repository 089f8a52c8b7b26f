"""What is asked of a saga, or sent to it, and can't take effect: refused, or shown until it does."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterator

import pytest

from durable_saga import Client, Retry, Worker, connect, saga, signal, step
from durable_saga.client.overview import Message, overview_of
from durable_saga.errors import AlreadyEnded, InvalidArgument, SagaCancelled, SagaCompensated
from durable_saga.pb import client_pb2 as c
from tests.integration.stage import CASSANDRA, Play, player

BROKEN: list[str] = []
ITEMS: list[int] = []


@pytest.fixture(autouse=True)
def broken() -> Iterator[None]:
    BROKEN[:] = ["the service is gone"]
    yield
    BROKEN.clear()


@step
async def book(what: str) -> str:
    return what


@book.compensation(retry=Retry(max_attempts=1))
async def unbook(what: str, result: str | None) -> None:
    if BROKEN:
        raise ConnectionError(BROKEN[0])


@saga
async def fails() -> None:
    await asyncio.gather(book("a"), book("b"))
    raise ValueError("no")


@saga
async def waits() -> str:
    return str(await signal("approve"))


@saga(name="waits")
async def other_code() -> None:
    await book("what the history does not hold")


@saga
async def basket() -> list[int]:
    ITEMS.clear()
    await signal("done")
    return list(ITEMS)


@basket.signal(name="put")
async def put(item: int) -> None:
    ITEMS.append(item)


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


async def until(client: Client, saga_id: str, status: str) -> None:
    async with asyncio.timeout(20):
        while (await client.handle(saga_id).overview()).status != status:
            await asyncio.sleep(0.02)


def test_a_saga_whose_unwind_is_stuck_is_not_asked_to_unwind_once_more(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(fails, id="f-1")
        await until(client, "f-1", "compensation_stuck")
        with pytest.raises(AlreadyEnded, match=r"is already being undone.*stuck at unbook \(call .*retry, skip or resolve"):
            await handle.cancel()
        with pytest.raises(AlreadyEnded, match="is already being undone"):
            await handle.compensate()
        found = await handle.overview()
        assert sorted(found.stuck_steps) == [f"book (call {call})" for call in sorted(found.stuck_steps.values())]
        assert len(found.stuck_steps) == 2, "one does not hide the other"
        BROKEN.clear()
        for call in found.stuck_steps.values():
            await handle.retry_compensation(call)
        with pytest.raises(SagaCompensated):
            await handle.result()

    play(scenario, [fails])


def test_a_cancel_of_a_blocked_saga_is_shown_until_it_takes_effect(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"

    async def scenario() -> None:
        async with connect(url) as client:
            async with Worker(client, sagas=[waits]):
                handle = await client.start(waits, id="w-1")
                await client.handle(handle.id).signal("aprove", "typing is hard")
                async with asyncio.timeout(20):
                    while (await handle.describe()).owner:
                        await asyncio.sleep(0.02)
            async with Worker(client, sagas=[other_code]):
                await handle.signal("approve", "too")
                async with asyncio.timeout(20):
                    while not (await handle.describe()).blocked:
                        await asyncio.sleep(0.02)
                waits_for = await handle.cancel("not wanted", who="ann")
                assert "the code asked for" in waits_for
                found = await handle.overview()
                assert found.status == "running"
                (request, late, taken) = found.messages
                assert (request.kind, request.state, request.who, request.reason) == ("cancel", "waiting", "ann", "not wanted")
                assert request.received_at is not None
                assert (late.name, late.state) == ("approve", "waiting")
                assert (taken.name, taken.state) == ("aprove", "taken")
            async with Worker(client, sagas=[waits]):
                assert "approve" in await say(handle.id, client)

    async def say(saga_id: str, client: Client) -> str:
        try:
            return f"approve {await client.handle(saga_id).result(20)}"
        except SagaCancelled:
            return "cancelled before the approve was read"

    asyncio.run(scenario())


def test_a_message_that_nobody_read_is_shown_by_its_name(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(waits, id="w-2")
        await client.handle(handle.id).signal("aprove", 1)
        await handle.signal("approve", 2)
        assert await handle.result() == "2"
        (message,) = (await handle.overview()).messages
        assert (message.name, message.state, message.kind) == ("aprove", "unread", "signal")
        failing = await client.start(fails, id="f-2")
        await until(client, "f-2", "compensation_stuck")
        await failing.signal("approve", "too late")
        async with asyncio.timeout(20):
            while [one.state for one in (await failing.overview()).messages] != ["unread"]:
                await asyncio.sleep(0.02)

    play(scenario, [waits, fails])


def test_an_end_does_not_claim_an_undo_where_nothing_was_undone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        nothing = await client.start(waits, id="n-1")
        await nothing.cancel()
        with pytest.raises(SagaCancelled, match="was cancelled; there was nothing to undo"):
            await nothing.result()
        skipped = await client.start(fails, id="n-2")
        await until(client, "n-2", "compensation_stuck")
        for call in (await skipped.overview()).stuck_steps.values():
            await skipped.skip_compensation(call)
        with pytest.raises(SagaCompensated, match="failed; nothing was undone"):
            await skipped.result()

    play(scenario, [waits, fails])


def test_a_rejected_message_is_told_with_its_error() -> None:
    view = c.MessageView(message_id="m", kind="signal", state="rejected", name="add", received_ms=1_000)
    view.failure.type, view.failure.message = "ValueError", "too many"
    (message,) = overview_of(c.Description(status="RUNNING", messages=[view])).messages
    assert message == Message("m", "signal", "rejected", "add", message.received_at, error="ValueError: too many")


def test_a_handler_checks_what_is_sent_to_it_before_it_is_sent(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(basket, id="b-1")
        with pytest.raises(InvalidArgument, match=r"handler of signal 'put'.*int"):
            await handle.signal(put, "seven")
        with pytest.raises(InvalidArgument, match="missing"):
            await handle.signal("put")
        with pytest.raises(InvalidArgument, match="isn't a signal handler"):
            await handle.signal(len, 7)
        await client.handle("b-1").signal(put, 7)
        await handle.signal("done")
        assert await handle.result() == [7]
        assert (await handle.describe()).messages == []

    play(scenario, [basket])
