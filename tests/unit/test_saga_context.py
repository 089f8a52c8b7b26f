"""What saga code knows of its own run: `saga_context()`."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from durable_saga import SagaContext, Worker, connect, continue_as_new, pivot, saga, saga_context, sleep, state, step
from durable_saga.errors import UnsupportedOperation
from durable_saga.testing import SagaTestRunner
from tests.unit.by_hand import START_MS, Hand

SEEN: list[SagaContext] = []


@step
async def work(name: str) -> str:
    return name


@saga(name="ships")
async def shipping(order: str) -> None:
    SEEN.append(saga_context())
    await work(order)
    SEEN.append(saga_context())
    await work("last")


@saga
async def of_a_child() -> SagaContext:
    return saga_context()


@saga
async def parent() -> list[SagaContext]:
    await sleep(3600)
    return [saga_context(), await of_a_child()]


@saga
async def twice(left: int) -> list[Any]:
    if left:
        pivot()
        await continue_as_new(left - 1)
    mine = saga_context()
    return [mine.id, mine.run, mine.type, mine.namespace, mine.started_at]


def test_it_is_the_same_in_every_replay() -> None:
    SEEN.clear()
    hand = Hand()
    hand.start(shipping, "order-7")
    hand.complete("order-7", "done")
    hand.revived()
    started_at = datetime.fromtimestamp(START_MS / 1000, UTC)
    assert [SagaContext(id="s", run=1, type="ships", started_at=started_at, namespace="n")] * 4 == SEEN


def test_a_child_is_a_part_of_its_run_and_time_does_not_move_its_start() -> None:
    result = asyncio.run(SagaTestRunner().run(parent))
    mine, of_child = result.value
    assert mine == of_child
    assert (mine.type, mine.run, mine.started_at.tzinfo) == ("parent", 1, UTC)


def test_the_next_run_of_a_saga_has_its_own_number_and_start() -> None:
    async def main() -> list[Any]:
        async with connect("memory:", namespace="shop") as client, Worker(client, sagas=[twice]):
            before = datetime.now(UTC)
            handle = await client.start(twice, 2, id="t-1")
            found = await handle.result(timeout=10)
            first, last = [await client.handle("t-1", run=run).overview() for run in (1, 3)]
            assert first.started_at is not None
            assert last.started_at is not None
            assert before.replace(microsecond=0) <= first.started_at <= last.started_at == found[4]
            return found

    assert asyncio.run(main())[:4] == ["t-1", 3, "twice", "shop"]


def test_it_can_not_be_changed_and_is_refused_outside_of_saga_code() -> None:
    with pytest.raises(UnsupportedOperation, match=r"saga_context\(\) is for saga code: call it in a function marked @saga"):
        saga_context()

    @step
    async def asks() -> None:
        saga_context()

    @saga
    async def asks_in_a_step() -> None:
        state.set("run", saga_context().run)
        await asks()

    failed = asyncio.run(SagaTestRunner().run(asks_in_a_step))
    assert "UnsupportedOperation: saga_context() is for saga code" in str(failed.error)
    assert failed.overview.state == {"run": 1}
    with pytest.raises(dataclasses.FrozenInstanceError):
        SagaContext("s", 1, "t", datetime.now(UTC), "n").run = 2  # type: ignore[misc]
