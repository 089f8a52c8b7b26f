"""Listings by type, status, time and search attributes, over each journal and transport."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_saga import Client, continue_as_new, saga, set_attributes, signal, step
from durable_saga.errors import InvalidArgument
from tests.integration.stage import CASSANDRA, Play, player


@step
def ship(customer: str) -> str:
    return customer


@saga(attributes=lambda customer: {"customer": customer})
async def order(customer: str) -> None:
    await ship(customer)
    set_attributes(parcel=7)
    await signal("arrived")


@saga(attributes=lambda customer: {"customer": customer})
async def refund(customer: str) -> None:
    await ship(customer)


@saga
async def turns(number: int) -> None:
    if number == 0:
        set_attributes(first="yes")
        await continue_as_new(1)
    set_attributes(second="yes")
    await signal("stop")


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


async def listed(client: Client, wanted: Sequence[str], **filters: Any) -> None:
    """Once it shows these: a listing comes a moment later."""
    found: list[str] = []
    for _ in range(100):
        found = [f"{one.id}/{one.run}" async for one in client.list(**filters)]
        if found == list(wanted):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{filters}: {found}, not {wanted}")


def test_sagas_are_found_by_type_status_time_and_attributes_together(play: Play) -> None:
    async def scenario(client: Client) -> None:
        before = datetime.now(UTC)
        await asyncio.sleep(0.01)  # times of sagas are whole milliseconds
        await client.start(order, "c-7", id="o1")
        await asyncio.sleep(0.01)
        await client.start("order", "c-7", id="o2")
        await asyncio.sleep(0.01)
        await client.start(order, "c-8", id="o3")
        await asyncio.sleep(0.01)
        await (await client.start(refund, "c-7", id="r1")).result()
        await listed(client, ["r1/1", "o2/1", "o1/1"], attributes={"customer": "c-7"})
        await listed(client, ["o2/1", "o1/1"], attributes={"customer": "c-7", "parcel": 7}, type="order")
        await listed(client, ["r1/1"], attributes={"customer": "c-7"}, status=["COMPLETED", "FAILED"])
        await listed(client, ["o3/1", "o2/1", "o1/1"], status=["RUNNING"], started_after=before)
        await client.handle("o1").signal("arrived")
        await listed(client, ["o2/1"], attributes={"customer": "c-7"}, status=["RUNNING"])
        middle = [one async for one in client.list(type="order")][1]
        assert dict(middle.attributes) == {"customer": "c-7", "parcel": "7"}
        assert dict((await client.handle("o2").describe()).attributes) == {"customer": "c-7", "parcel": "7"}
        started = middle.started_at
        assert started is not None
        await listed(client, ["o3/1", "o2/1"], type="order", started_after=started)
        await listed(client, ["o1/1"], type="order", started_before=started)
        await listed(client, [], attributes={"customer": "c-9"})
        await listed(client, [], started_after=datetime.now(UTC) + timedelta(days=1))

    play(scenario, [order, refund])


def test_pages_show_each_saga_once_while_others_are_started(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await asyncio.gather(*(client.start(order, "c-7", id=f"o{number}") for number in range(9)))
        await listed_count(client, 9)
        found, page = list[str](), ""
        for turn in range(20):
            reply = await client.list_page(attributes={"customer": "c-7"}, limit=2, page=page)
            found += [one.id for one in reply.sagas]
            await client.start(order, "c-7", id=f"later{turn}")
            page = reply.next_page
            if not page:
                break
        assert sorted(found) == [f"o{number}" for number in range(9)]

    play(scenario, [order])


async def listed_count(client: Client, count: int) -> None:
    for _ in range(100):
        if len([one async for one in client.list(attributes={"customer": "c-7"})]) == count:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"there are not {count}")


def test_a_saga_that_goes_on_in_a_new_run_keeps_what_finds_it(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await client.start(turns, 0, id="t")
        await listed(client, ["t/2"], attributes={"first": "yes", "second": "yes"})
        await listed(client, ["t/1"], attributes={"first": "yes"}, status=["CONTINUED"])

    play(scenario, [turns])


def test_a_filter_that_can_find_nothing_is_refused_with_what_to_do(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(InvalidArgument, match="the name of a search attribute"):
            await client.list_page(attributes={"customer-id": "c-7"})
        with pytest.raises(InvalidArgument, match="has no time zone"):
            await client.list_page(started_after=datetime(2026, 1, 1))
        with pytest.raises(InvalidArgument, match="was not given out by this journal"):
            await client.list_page(page="x")

    play(scenario, [order])
