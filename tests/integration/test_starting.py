"""A second start of an id: the same arguments give the first run, others are an error that shows both."""

from __future__ import annotations

import asyncio
import pathlib
from dataclasses import dataclass
from typing import Any

import pytest

from durable_saga import Client, SagaManager, SagaOrchestrator, continue_as_new, saga, signal
from durable_saga.client.sync import SyncClient
from durable_saga.errors import AlreadyStarted
from durable_saga.pb import client_pb2 as c
from tests.integration.stage import CASSANDRA, Play, player


@dataclass
class Order:
    id: str
    amount: int = 100


@saga
async def ship(order: Order, express: bool = False, **labels: str) -> str:
    return f"{order.id} {order.amount} {express} {sorted(labels)}"


@saga
async def keep(data: bytes) -> int:
    return len(data)


@saga
async def count(left: int) -> str:
    if left:
        await continue_as_new(left - 1)
    return str(await signal("go"))


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


def test_a_second_start_with_other_arguments_is_an_error_that_shows_both(play: Play) -> None:
    async def scenario(client: Client) -> None:
        first = await client.start(ship, Order("o-1"), id="o-1", color="red")
        assert not first.already_started
        assert await first.result() == "o-1 100 False ['color']"
        with pytest.raises(AlreadyStarted, match=r"(?s)o-1.*ship.*100.*ship.*900.*another id"):
            await client.start(ship, Order("o-1", 900), id="o-1", color="red")
        with pytest.raises(AlreadyStarted, match=r'color="red"\).*ship\(\{'):
            await client.start("ship", {"id": "o-1", "amount": 100}, id="o-1")
        with pytest.raises(AlreadyStarted, match=r"ship.*keep\("):
            await client.start(keep, b"", id="o-1")

    play(scenario, [ship, keep])


def test_the_same_arguments_give_the_first_run_however_they_are_written(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.start(ship, Order("o-2"), id="o-2", a="1", b="2")
        ways: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
            (ship, (Order("o-2"),), {"b": "2", "a": "1"}),
            (ship, (), {"order": Order("o-2", 100), "express": False, "a": "1", "b": "2"}),
            (ship, (Order("o-2"), False), {"a": "1", "b": "2"}),
            ("ship", ({"amount": 100, "id": "o-2"},), {"b": "2", "a": "1"}),
        ]
        for what, args, kwargs in ways:
            again = await client.start(what, *args, id="o-2", timeout=1000, **kwargs)
            assert again.already_started, "a time-out is not what the saga does"
            assert await again.result() == "o-2 100 False ['a', 'b']"

    play(scenario, [ship])


def test_large_arguments_are_compared_too(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.start(keep, b"x" * 50_000, id="l-1")
        again = await client.start(keep, b"x" * 50_000, id="l-1")
        assert again.already_started
        assert await again.result() == 50_000
        with pytest.raises(AlreadyStarted, match=r"50,0.. characters") as caught:
            await client.start(keep, b"x" * 49_999 + b"y", id="l-1")
        assert len(str(caught.value)) < 1_000

    play(scenario, [keep])


def test_of_a_saga_that_continued_the_arguments_of_its_first_run_count(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(count, 2, id="c-1")
        while (await handle.describe()).run < 3:
            await asyncio.sleep(0.05)
        again = await client.start(count, 2, id="c-1")
        assert again.already_started
        with pytest.raises(AlreadyStarted, match=r"count\(2\).*count\(0\)"):
            await client.start(count, 0, id="c-1")
        await handle.signal("go", "on")
        assert await again.result() == "on"
        assert (await client.start(count, 2, id="c-1")).already_started, "also when it has ended"

    play(scenario, [count])


def test_a_start_that_is_sent_again_since_its_answer_was_lost_is_the_same_start(play: Play) -> None:
    async def scenario(client: Client) -> None:
        request = c.StartRequest(namespace=client.namespace, saga="r-1", saga_type="keep", start_id=b"s" * 16)
        request.input.data = b"\x92\x91\xc4\x01x\x80"
        assert not (await client.transport.call("start", request)).already_started
        assert not (await client.transport.call("start", request)).already_started
        request.start_id = b"t" * 16
        other = await client.transport.call("start", request)
        assert other.already_started
        assert other.input.data == request.input.data

    play(scenario, [keep])


def test_the_orchestrator_and_the_sync_client_tell_too(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"

    async def orchestrated() -> None:
        async with SagaManager(url) as manager, SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(ship)
            assert await orchestrator.start("ship", Order("o-3"), id="o-3") == "o-3"
            assert await orchestrator.start("ship", order=Order("o-3"), id="o-3") == "o-3"
            with pytest.raises(AlreadyStarted, match="o-4"):
                await orchestrator.start("ship", Order("o-4"), id="o-3")

    asyncio.run(orchestrated())
    with SyncClient(url) as client:
        assert client.start(ship, Order("o-3"), id="o-3").already_started
        with pytest.raises(AlreadyStarted, match="o-4"):
            client.start(ship, Order("o-4"), id="o-3")


@dataclass
class Parcel:
    kilos: int


@saga
async def weigh(what: Parcel | dict[str, int] | list[int], *, of: set[int] | list[int] | None = None) -> str:
    return f"{what!r} {of!r}"


@pytest.mark.parametrize("what", [Parcel(2), {"kilos": 2}, [2]], ids=repr)
@pytest.mark.parametrize("of", [{1}, [1], None], ids=repr)
def test_a_union_gives_the_member_that_a_start_by_name_gave(what: Any, of: Any, play: Play) -> None:
    async def scenario(client: Client) -> None:
        by_name = await client.start("weigh", what, of=of, id="w")
        assert await by_name.result(timeout=30) == f"{what!r} {of!r}"
        assert (await client.start("weigh", what, of=of, id="w")).already_started
        assert await (await client.start(weigh, what, of=of)).result(timeout=30) == f"{what!r} {of!r}"

    play(scenario, [weigh])
