"""Declared sagas: the lines D1 to D7 and those of compensation, as a table of steps, on every journal."""

from __future__ import annotations

import asyncio
import pathlib

import pytest

from durable_saga import Client
from durable_saga.errors import SagaCompensated
from tests.integration import features as f
from tests.integration import sagas as s
from tests.integration.stage import CASSANDRA, Play, player


@pytest.fixture(params=["memory", "sqlite", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    play = player(request, tmp_path)
    return lambda scenario: play(scenario, f.TABLES)


async def fails(client: Client, saga: type[f.Table], context: dict[str, str], match: str = "refused") -> None:
    with pytest.raises(SagaCompensated, match=match):
        await (await client.start(saga, context)).result()


def test_d1_d3_steps_run_in_order_and_compensations_get_context_and_result(play: Play) -> None:
    async def scenario(client: Client) -> None:
        results = await (await client.start(f.Chain, {})).result()
        assert results == {"one": "one done", "two": "two done", "three": "three done"}
        s.WORLD.clear()
        await fails(client, f.Chain, {"fails": "three"})
        assert s.WORLD == ["do one", "do two", "do three", "undo three None", "undo two two done", "undo one one done"]

    play(scenario)


def test_d2_a_table_that_takes_too_long_unwinds(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await fails(client, f.Sleepy, {}, "SagaTimedOut")
        assert s.WORLD == ["do one", "undo one one done"]

    play(scenario)


def test_d4_a_failing_member_cancels_its_group_and_all_is_undone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        results = await (await client.start(f.Grouped, {})).result()
        assert list(results) == ["first", "left", "right", "slow", "last"]
        s.WORLD.clear()
        await fails(client, f.Grouped, {"fails": "right"})
        undone = [row for row in s.WORLD if row.startswith("undo")]
        assert undone == ["undo slow None", "undo right None", "undo left left done", "undo first first done"]
        assert "do last" not in s.WORLD

    play(scenario)


def test_d5_steps_whose_dependencies_are_met_run_at_the_same_time(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await asyncio.wait_for((await client.start(f.Graph, {})).result(), 20)
        assert s.WORLD == ["do c"]

    play(scenario)


def test_d6_a_skipped_step_is_journaled_and_never_undone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.Tiered, {"tier": "standard"})
        await handle.result()
        assert s.WORLD == ["do always", "do end"]
        assert (await handle.overview()).skipped_steps == ["premium", "needs_premium"]
        s.WORLD.clear()
        await (await client.start(f.Tiered, {"tier": "premium"})).result()
        assert s.WORLD[0] == "do premium"
        assert sorted(s.WORLD) == ["do always", "do end", "do needs_premium", "do premium"]
        s.WORLD.clear()
        await fails(client, f.Tiered, {"tier": "standard", "fails": "end"})
        assert s.WORLD == ["do always", "do end", "undo end None", "undo always always done"]

    play(scenario)


def test_d7_the_hook_wraps_every_step_and_may_stop_the_saga(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await fails(client, f.Hooked, {}, "stopped after two")
        assert s.WORLD == ["do one", "do two", "undo two two done", "undo one one done"]

    play(scenario)


def test_c2_c3_c5_strategies_and_order_of_a_table(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await fails(client, f.Strategies, {"fails": "step4", "undo_on": "NO"})
        undone = [row.split()[1] for row in s.WORLD if row.startswith("undo")]
        assert undone == ["step3", "step1", "step2", "step4"]
        s.WORLD.clear()
        await fails(client, f.Strategies, {"fails": "step4", "undo_on": "OTHER"})
        assert "undo step3 step3 done" not in s.WORLD
        s.WORLD.clear()
        await fails(client, f.Strategies, {"fails": "step2", "undo_on": "NO"})
        assert s.WORLD == ["do step1", "do step2", "undo step2 None", "undo step1 step1 done"]

    play(scenario)


def test_e1_e2_a_table_waits_for_an_event_and_its_handler_decides(play: Play) -> None:
    async def scenario(client: Client) -> None:
        early = await client.start(f.Approval, {})
        await client.publish("approval_received", {"approved": True}, saga=early.id)
        assert (await early.result())["complete"] == {"approved": True}
        phoned = await client.start(f.Approval, {})
        await client.publish("approved_by_phone", "ann", saga=phoned.id)
        assert (await phoned.result())["complete"] == {"by": "ann"}
        rejected = await client.start(f.Approval, {})
        while "initiate" not in (await rejected.overview()).completed_steps:
            await asyncio.sleep(0.02)
        await client.publish("approval_rejected", "too much", saga=rejected.id)
        with pytest.raises(SagaCompensated, match="rejected: too much"):
            await rejected.result()
        assert s.WORLD[-1] == "undo initiate initiate done"

    play(scenario)


def test_d9_a_table_in_a_table_is_undone_as_a_unit(play: Play) -> None:
    async def scenario(client: Client) -> None:
        results = await (await client.start(f.Outer, {})).result()
        assert results["inner"]["three"] == "three done"
        s.WORLD.clear()
        await fails(client, f.Outer, {"fails": "after"})
        undone = [row.split()[1] for row in s.WORLD if row.startswith("undo")]
        assert undone == ["after", "three", "two", "one", "before"]
        s.WORLD.clear()
        await fails(client, f.Outer, {"inner_fails": "two"})
        undone = [row.split()[1] for row in s.WORLD if row.startswith("undo")]
        assert undone == ["two", "one", "before"]

    play(scenario)
