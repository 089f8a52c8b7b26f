"""Typed events: what does not fit is refused where it is sent, and what comes is of the type."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from durable_saga import EventType, SyncClient, Worker, connect, event, event_type, saga, signal
from durable_saga.authoring.waited_names import Waited, waited_names
from durable_saga.errors import InvalidArgument
from durable_saga.testing import SagaTestRunner


class Pickup(BaseModel):
    place: str
    parcels: int = 1


picked_up = event_type("picked_up", Pickup)
approved = event_type("approved")
prices = event_type("prices", list[int])


@saga
async def ships() -> list[Any]:
    await approved()
    first = await picked_up()
    return [first.place, type(first).__name__, await prices.wait(timeout=timedelta(days=1))]


@saga
async def waits_by_name() -> Pickup:
    return await event("picked_up", type=Pickup)


class Parcel(BaseModel):
    place: str
    parcels: int = 1


anything = event_type("anything", dict[str, int] | Parcel | set[int])
parcel = event_type("parcel", Parcel)
Several = Pickup | dict[str, int] | Parcel | tuple[int, int] | list[int] | set[int]
read: list[Any] = []


@saga
async def reads_unions() -> None:
    for _ in range(8):
        read.append(await event("several", type=Several))
    read.append(await event("anything", type=Several))
    read.append(await event("parcel", type=Several))
    await signal("end")


@reads_unions.signal
async def handled(value: Several) -> None:
    read.append(value)


@saga
async def handles() -> int:
    return int(await signal("end"))


@handles.signal(name="picked_up")
async def other_type(parcels: int) -> None: ...


def test_it_arrives_as_its_type_from_a_handle_a_client_and_the_runner() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[ships, waits_by_name]):
            handle = await client.start(ships, id="s-1")
            await handle.signal(approved)
            await handle.signal(picked_up, Pickup(place="Ulm"), message_id="once")
            assert await client.publish(prices, [1, 2], saga="s-1") == 1
            assert await handle.result(timeout=10) == ["Ulm", "Pickup", [1, 2]]

            named = await client.start(waits_by_name, id="s-2")
            await named.signal(picked_up, Pickup(place="Bonn", parcels=2))
            assert await named.result(timeout=10) == Pickup(place="Bonn", parcels=2)

    asyncio.run(scenario())
    runner = SagaTestRunner()
    runner.publish(approved)
    runner.publish(picked_up, Pickup(place="Ulm"))
    runner.publish(prices, [3])
    assert asyncio.run(runner.run(ships)).status == "completed"


def test_a_union_gives_the_member_that_was_sent_whoever_knows_of_it() -> None:
    values = [{"place": 1}, {"a": 1}, {1}, [1, 2], (1, 2), Parcel(place="Ulm"), Pickup(place="Ulm"), {}]

    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[reads_unions]):
            handle = await client.start(reads_unions, id="s-1")
            for value in values:
                await client.publish("several", value, saga="s-1")
            await handle.signal(anything, Parcel(place="Ulm"))
            await handle.signal(parcel, Parcel(place="Bonn"))
            for value in values:
                await handle.signal(handled, value)
                await client.handle("s-1").signal("handled", value)
            await handle.signal("end", None)
            await handle.result(timeout=10)

    read.clear()
    asyncio.run(scenario())
    sent = [*values, Parcel(place="Ulm"), Parcel(place="Bonn"), *(one for value in values for one in (value, value))]
    assert sorted(map(repr, read)) == sorted(map(repr, sent))
    assert [*map(type, read)].count(Parcel) == 5


@pytest.mark.parametrize(
    ("sent", "args", "words"),
    [
        (picked_up, (7,), "event 'picked_up' carries Pickup: "),
        (picked_up, ({"place": 7, "parcels": "many"},), "event 'picked_up' carries Pickup: "),
        (picked_up, (), "event 'picked_up' carries one Pickup, but 0 values were given"),
        (picked_up, (Pickup(place="Ulm"), 1), "but 2 values were given"),
        (approved, (1,), "event 'approved' carries nothing, but 1 values were given"),
        (prices, (["a"],), r"event 'prices' carries list\[int\]: "),
    ],
)
def test_what_does_not_fit_is_refused_at_every_sender(sent: EventType[Any], args: Any, words: str) -> None:
    async def scenario() -> None:
        async with connect("memory:") as client:
            handle = await client.start(ships, id="s-1")
            for send in (handle.signal(sent, *args), client.publish(sent, *args, saga="s-1")):
                with pytest.raises(InvalidArgument, match=words):
                    await send
            assert (await handle.overview()).messages == []

    asyncio.run(scenario())
    with SyncClient("memory:") as client, pytest.raises(InvalidArgument, match=words):
        client.handle("s-1").signal(sent, *args)
    with pytest.raises(InvalidArgument, match=words):
        SagaTestRunner().publish(sent, *args)


def test_a_handler_of_another_type_is_told_at_the_sender_too() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client:
            handle = await client.start(handles, id="s-1")
            with pytest.raises(InvalidArgument, match="the handler of signal 'picked_up' can't take this"):
                await handle.signal(picked_up, Pickup(place="Ulm"))

    asyncio.run(scenario())


def test_its_name_as_a_text_is_known_and_a_misspelling_of_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = waited_names({__name__: sys.modules[__name__]})  # other modules of this process may hold what can't be read
    monkeypatch.setattr("durable_saga.authoring.waited_names.waited_names", lambda: known)
    monkeypatch.setattr("durable_saga.client.sending.WAITED", Waited())

    async def scenario() -> None:
        async with connect("memory:") as client:
            handle = await client.start(ships, id="s-1")
            await handle.signal("picked_up", {"place": "Ulm"})
            with pytest.raises(InvalidArgument, match="did you mean 'picked_up'"):
                await handle.signal("picked_upp", {"place": "Ulm"})

    asyncio.run(scenario())


@pytest.mark.parametrize(("name", "error"), [("", ValueError), ("x" * 256, ValueError), (7, TypeError)])
def test_a_name_that_is_none_is_refused(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="name of an event"):
        event_type(name)
