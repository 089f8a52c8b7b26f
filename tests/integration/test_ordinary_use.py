"""What ordinary users and careless ones do, found by somebody who had nothing but the docs."""

from __future__ import annotations

import asyncio
import logging
import pathlib

import pytest

from durable_saga import Client, SagaManager, SagaOrchestrator, Worker, connect, saga, signal, step
from durable_saga.client.overview import Message
from durable_saga.errors import InvalidArgument, SagaFailed
from durable_saga.worker import room
from tests.integration.stage import CASSANDRA, Play, player

LEDGER: list[str] = []


@pytest.fixture(autouse=True)
def ledger() -> None:
    LEDGER.clear()


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


@step
async def charge(order: str) -> str:
    LEDGER.append(f"charge {order}")
    return order


@charge.compensation
async def refund(order: str) -> None:
    LEDGER.append(f"refund {order}")


# --- a message that comes while its saga leaves memory --------------------------------------------------------------------


@saga
async def waits() -> str:
    return str(await signal("go", type=str))


def test_a_message_is_acted_on_at_once_also_while_its_saga_leaves_memory(play: Play) -> None:
    async def scenario(client: Client) -> None:
        async def one(number: int) -> float:
            handle = await client.start(waits, id=f"w-{number}")
            await asyncio.sleep(0.97 + number * 0.003)  # it leaves memory after a second
            loop = asyncio.get_running_loop()
            began = loop.time()
            await handle.signal("go", "on")
            assert await handle.result() == "on"
            return loop.time() - began

        took = [second for first in range(0, 40, 10) for second in await asyncio.gather(*map(one, range(first, first + 10)))]
        assert max(took) < 4, f"not by its next hint, 5 s later: {sorted(took)[-5:]}"

    play(scenario, [waits])


# --- steps within steps -----------------------------------------------------------------------------------------------------


@step
async def checkout(order: str) -> str:
    return await charge(order)


@step
def checkout_plain(order: str) -> str:
    return asyncio.run(charge(order))


@step
async def checkout_of_a_saga(order: str) -> str:
    return await waits()


@step
async def checkout_of_the_function(order: str) -> str:
    return str(await charge.__wrapped__(order))  # type: ignore[attr-defined]


@saga
async def nested(kind: str) -> str:
    steps = {one.definition.name: one for one in (checkout, checkout_plain, checkout_of_a_saga, checkout_of_the_function)}
    return await steps[kind]("o-1")


@pytest.mark.parametrize("kind", ["checkout", "checkout_plain", "checkout_of_a_saga"])
def test_a_step_within_a_step_is_refused_since_nothing_would_undo_it(kind: str) -> None:
    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[nested, waits]):
            with pytest.raises(SagaFailed, match="is called inside a step or compensation"):
                await (await client.start(nested, kind)).result()
            assert LEDGER == []
            assert await (await client.start(nested, "checkout_of_the_function")).result() == "o-1"

    asyncio.run(scenario())


def test_a_step_that_is_a_generator_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match=r"test_ordinary_use.py:\d+: step rows is a generator"):

        @step
        def rows() -> object:
            yield 1


# --- a handler that is cancelled --------------------------------------------------------------------------------------------


@saga
async def shared() -> str:
    shared.task = asyncio.create_task(asyncio.sleep(3600))  # type: ignore[attr-defined]
    await signal("stop")
    shared.task.cancel()  # type: ignore[attr-defined]
    return "done"


@shared.signal
async def pay(order: str) -> None:
    await charge(order)
    await shared.task  # type: ignore[attr-defined]
    await charge(f"{order} again")


def test_a_handler_that_is_cancelled_by_what_it_waits_for_is_undone_and_its_message_rejected(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(shared)
        await handle.signal(pay, "a")
        async with asyncio.timeout(20):
            while LEDGER != ["charge a"]:
                await asyncio.sleep(0.02)
        await handle.signal("stop")
        assert await handle.result() == "done"
        assert LEDGER == ["charge a", "refund a"]
        (message,) = [one for one in (await handle.overview()).messages if one.name == "pay"]
        assert isinstance(message, Message)
        assert message.state == "rejected"
        assert "CancelledError" in (message.error or "")

    play(scenario, [shared])


# --- words ------------------------------------------------------------------------------------------------------------------


def test_what_is_no_text_or_number_is_told_in_the_words_of_the_caller() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client:
            with pytest.raises(InvalidArgument, match="id must be a str, not 7 of type int"):
                await client.start("waits", id=7)
            with pytest.raises(InvalidArgument, match="saga must be a str, not 3 of type int"):
                await client.publish("x", saga=3)  # type: ignore[call-overload]
            with pytest.raises(ValueError, match="max_concurrent_sagas is 0"):
                SagaOrchestrator(SagaManager("memory:"), max_concurrent_sagas=0)
            with pytest.raises(ValueError, match="concurrency is -1"):
                Worker(client, sagas=[waits], concurrency=-1)
            with pytest.raises(TypeError, match=r"give a list, such as \[waits\]"):
                Worker(client, sagas=waits)  # type: ignore[arg-type]

    asyncio.run(scenario())


# --- steps that hang without a time-out -------------------------------------------------------------------------------------


@step
async def hangs() -> None:
    await asyncio.sleep(30)


@saga
async def hanging() -> None:
    await hangs()


@saga
async def innocent() -> str:
    return await charge("lamp")


def test_attempts_that_fill_a_worker_are_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    monkeypatch.setattr(room, "FULL_SECONDS", 0.2)

    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[hanging, innocent], concurrency=2):
            for number in range(2):
                await client.start(hanging, id=f"h-{number}")
            await asyncio.sleep(0.2)
            await client.start(innocent)
            async with asyncio.timeout(20):
                while "attempts wait: all" not in caplog.text:
                    await asyncio.sleep(0.05)
            assert "all 2 places (concurrency) are taken. The oldest, hangs of saga h-0" in caplog.text
            assert "has no time-out" in caplog.text
            for number in range(2):
                await client.handle(f"h-{number}").cancel()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
