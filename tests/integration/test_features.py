"""The lines of the feature list, each by its number, on every journal."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest

from durable_saga import Client, Handle, Overview
from durable_saga.client import raw
from durable_saga.errors import (
    AlreadyEnded,
    EventTimedOut,
    InvalidArgument,
    NotFound,
    SagaCancelled,
    SagaCompensated,
    SagaHeld,
)
from tests.integration import features as f
from tests.integration import sagas as s
from tests.integration.stage import CASSANDRA, Play, player

SAGAS = [*f.FUNCTIONS, *f.TABLES]


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    play = player(request, tmp_path)
    return lambda scenario: play(scenario, SAGAS)


def undone() -> list[str]:
    return [row for row in s.WORLD if row.startswith("un")]


async def until(handle: Handle[Any], status: str) -> Overview:
    while (found := await handle.overview()).status != status:
        await asyncio.sleep(0.02)
    return found


def test_c3_an_immediate_compensation_runs_before_the_saga_decides_anything_else(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(f.at_once, True)).result() == "instead"
        assert s.WORLD == ["do x", "undo x None", "saga goes on: x refused", "book instead"]
        s.WORLD.clear()
        with pytest.raises(SagaCompensated):
            await (await client.start(f.at_once, False)).result()
        assert undone() == ["undo decline later None", "undo x x"], "a step that was done is undone with the saga"

    play(scenario)


def test_c5_a_condition_decides_and_what_it_leaves_out_is_recorded(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(SagaCompensated):
            await (await client.start(f.conditional, "BUSINESS_RULE_VIOLATION")).result()
        assert undone() == ["undo rule"]
        other = await client.start(f.conditional, "NETWORK")
        with pytest.raises(Exception, match="refused"):
            await other.result()
        assert undone() == ["undo rule"]
        states = {step.name: step.compensation_state for step in (await other.describe()).steps}
        assert states["ruled"] == "skipped"

    play(scenario)


def test_d10_a_scope_that_fails_is_undone_and_the_saga_goes_on(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(f.scoped)).result() == "ended well"
        assert s.WORLD == [
            "book outer", "book inner 1", "book inner 2", "undo decline inner 3 None", "unbook inner 2 booked inner 2",
            "unbook noted None", "unbook inner 1 booked inner 1", "caught Declined", "book after",
        ]  # fmt: skip

    play(scenario)


def test_d9_a_child_that_fails_is_undone_as_a_unit_and_a_completed_one_with_its_parent(play: Play) -> None:
    async def scenario(client: Client) -> None:
        well = await client.start(f.parent, True, False)
        assert await well.result() == ["Declined", "child two"]
        assert undone() == ["undo decline one c None", "unbook one b booked one b", "unbook one a booked one a"]
        assert len(await well.state()) == 2, "each child has a state of its own"
        s.WORLD.clear()
        with pytest.raises(SagaCompensated):
            await (await client.start(f.parent, False, True)).result()
        names = [row.split(" booked")[0].removeprefix("unbook ") for row in undone()]
        assert names == ["undo decline end None", "between", "two b", "two a", "one b", "one a", "before"]

    play(scenario)


def test_d11_past_the_pivot_steps_are_retried_and_nothing_is_undone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.pivoting, 2)
        assert await handle.result() == "after"
        assert undone() == []
        broken = await client.start(f.pivot_then_error)
        with pytest.raises(SagaHeld, match="a mistake in the code"):
            await broken.result()
        with pytest.raises(AlreadyEnded, match="past its pivot"):
            await broken.compensate()
        with pytest.raises(AlreadyEnded, match="past its pivot"):
            await broken.cancel()
        s.FAILURES["mended"] = 1
        await broken.recover("the code was mended")
        await broken.result(timeout=20)
        assert undone() == []

    play(scenario)


def test_r6_a_held_saga_goes_on_forward_with_the_results_it_has(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.held, 2)
        with pytest.raises(SagaHeld, match="second failed 1"):
            await handle.result()
        overview = await handle.overview()
        assert overview.can_recover()
        assert overview.completed_steps == ["book"]
        await handle.recover("once more")
        with pytest.raises(SagaHeld, match="second failed 2"):
            await handle.result()
        await handle.recover("and once more")
        assert await handle.result() == ["booked first", "second"]
        assert s.WORLD == ["book first", "did second"]
        kinds = [str(event.WhichOneof("kind")) for event in await raw.history(handle)]
        assert kinds.count("recover_requested") == 2
        with pytest.raises(AlreadyEnded):
            await handle.recover()

    play(scenario)


def test_r7_compensate_on_demand_stops_forward_work_and_unwinds(play: Play) -> None:
    async def scenario(client: Client) -> None:
        running = await client.start(f.keeps_state)
        while (await running.overview()).current_step is not None or "book x" not in s.WORLD:
            await asyncio.sleep(0.02)
        with pytest.raises(AlreadyEnded, match="only a saga that is HELD"):
            await running.recover()
        await running.compensate("the customer called")
        with pytest.raises(SagaCompensated, match="the customer called"):
            await running.result()
        assert undone() == ["unbook x booked x"]
        held = await client.start(f.held, 9)
        await until(held, "held")
        await held.compensate()
        with pytest.raises(SagaCompensated):
            await held.result()
        assert undone()[1:] == ["unbook first booked first"]

    play(scenario)


def test_d8_state_is_seen_from_outside(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.keeps_state)
        while (await handle.state()).get("phase") != "two":
            await asyncio.sleep(0.02)
        assert await handle.state() == {"phase": "two", "list": [1, 2]}
        await client.publish("go", "now", saga=handle.id)
        assert await handle.result() == "now"

    play(scenario)


def test_e1_e3_events_reach_sagas_by_id_and_by_key_early_and_late(play: Play) -> None:
    async def scenario(client: Client) -> None:
        first = await client.start(f.awaits_event, "ann", id="ann-1")
        second = await client.start(f.awaits_event, "ann", id="ann-2")
        assert await client.publish("paid", {"amount": 5}, key="customer:ann", message_id="p-1") == 2
        assert await first.result() == await second.result() == {"amount": 5}
        third = await client.start(f.awaits_event, "bob")
        while "book bob" not in s.WORLD:
            await asyncio.sleep(0.02)
        assert await client.publish("paid", 7, key="late:bob") == 1
        assert await third.result() == 7
        with pytest.raises(NotFound, match="no open saga has the correlation key"):
            await client.publish("paid", 1, key="customer:ann")
        with pytest.raises(AlreadyEnded):
            await client.publish("paid", 1, saga="ann-1")
        with pytest.raises(NotFound):
            await client.publish("paid", 1, saga="nobody")
        with pytest.raises(InvalidArgument, match="give one of the two"):
            await client.publish("paid", 1)
        with pytest.raises(SagaCompensated, match=EventTimedOut.__name__):
            await (await client.start(f.event_times_out)).result()

    play(scenario)


def test_r2_a_sagas_retry_policy_is_for_its_steps(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(f.saga_retry, 2)).result() == "saga"

    play(scenario)


def test_c2_the_order_of_the_unwind_can_be_given_and_be_all_at_once(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(SagaCompensated):
            await (await client.start(f.ordered)).result()
        assert undone() == ["unbook b booked b", "undo decline c None", "unlook a"], "by name: book, decline, look"
        with pytest.raises(SagaCompensated):
            await (await client.start(f.all_at_once)).result()
        slow = [row for row in s.WORLD if row.startswith(("begin", "end"))]
        assert [row.split()[0] for row in slow] == ["begin"] * 3 + ["end"] * 3

    play(scenario)


def test_r5_r9_overview_and_statistics(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await (await client.start(f.Chain, {})).result()
        failed = await client.start(f.Chain, {"fails": "three"})
        with pytest.raises(SagaCompensated):
            await failed.result()
        overview = await failed.overview()
        assert overview.status == "compensated"
        assert overview.completed_steps == ["one", "two"]
        assert sorted(overview.compensated_steps) == ["one", "three", "two"]
        assert overview.state["last_successful_step"] == "two"
        assert overview.state["attempts"] == 1
        assert overview.started_at is not None
        assert overview.ended_at is not None
        waiting = await client.start(f.keeps_state)
        await until(waiting, "running")
        statistics = await client.statistics()
        assert (statistics.completed, statistics.compensated, statistics.active) == (1, 1, 1)
        assert statistics.by_type["chain_of_three"] == {"completed": 1, "compensated": 1}
        await waiting.cancel()
        with pytest.raises(SagaCancelled):
            await waiting.result()
        assert (await client.statistics()).by_status["cancelled"] == 1

    play(scenario)
