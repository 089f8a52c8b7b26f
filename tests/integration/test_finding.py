"""What a run does is told by its worker, and sagas are found by it, over each journal and transport."""

from __future__ import annotations

import asyncio
import pathlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_saga import Client, Retry, saga, signal, sleep, step
from durable_saga.client.overview import Trouble
from durable_saga.errors import InvalidArgument
from tests.integration.stage import CASSANDRA, Play, player

bank_is_up: list[bool] = []


@step(retry=Retry(max_attempts=99, backoff="fixed", initial=0.2))
async def charge(order: str) -> None:
    if not bank_is_up:
        raise ConnectionError(f"the bank is down for {order}")


@step(retry=Retry(max_attempts=1))
async def book(order: str) -> None:
    raise LookupError(order)


@saga
async def pays(order: str) -> None:
    await charge(order)
    await signal("paid")


@saga
async def fails(order: str) -> None:
    await book(order)


@saga
async def sleeps(order: str) -> None:
    await sleep(3600)


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


async def listed(client: Client, wanted: list[str], **filters: Any) -> Any:
    """Once it shows these: a listing comes a moment later."""
    found: list[Any] = []
    for _ in range(100):
        found = [one async for one in client.list(**filters)]
        if [one.id for one in found] == wanted:
            return found[0] if found else None
        await asyncio.sleep(0.1)
    pytest.fail(f"{filters}: {found}, not {wanted}")


def test_sagas_are_found_by_what_they_do_and_by_why_they_failed(play: Play) -> None:
    async def scenario(client: Client) -> None:
        bank_is_up.clear()
        began = datetime.now(UTC)
        for one in (pays, fails, sleeps):
            await client.start(one, "o-1", id=f"o-{one.definition.name}")
        one = await listed(client, ["o-pays"], state=["retrying"], failure_type="builtins.ConnectionError")
        assert (one.state, one.step) == ("retrying", "charge")
        assert one.attempt > 0
        assert one.next_at >= one.since >= began - timedelta(seconds=1)
        one = await listed(client, ["o-sleeps"], state=["sleeping"])
        assert one.next_at > datetime.now(UTC) + timedelta(minutes=50)
        one = await listed(client, ["o-fails"], failure_type="builtins.LookupError", ended_after=began, status=["failed"])
        assert (one.state, one.step, one.failure_type) == ("", "book", "builtins.LookupError")
        await listed(client, [], ended_before=began)
        await listed(client, ["o-sleeps"], id_prefix="o-sl")
        counted = await client.statistics()
        assert counted.by_state == {"pays": {"retrying": 1}, "sleeps": {"sleeping": 1}}
        (group,) = await client.trouble()
        assert group == Trouble("pays", "retrying", "charge", "builtins.ConnectionError", 1)
        bank_is_up.append(True)
        one = await listed(client, ["o-pays"], state=["waiting"])
        assert (one.step, one.failure_type) == ("paid", "")
        await listed(client, [], state=["retrying"])
        await client.handle("o-pays").signal("paid")
        await client.handle("o-pays").result()
        await listed(client, [], state=["waiting"])
        with pytest.raises(InvalidArgument, match="use one of"):
            await listed(client, [], state=["bored"])

    play(scenario, [pays, fails, sleeps])
