"""Lines of the feature list whose proof needs a look behind the scenes: what runs when, what is read, what is kept."""

from __future__ import annotations

import asyncio
import pathlib
from collections import Counter
from typing import Any

import pytest
from durable_saga_server.clock import SystemClock
from durable_saga_server.config import Config
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Handle, Worker
from durable_saga.client import raw
from durable_saga.errors import AlreadyEnded, SagaCompensated, SagaHeld, SagaStuck
from durable_saga.transport.transport import LocalTransport
from tests.integration import promises as f
from tests.integration import sagas as s
from tests.integration.stage import CASSANDRA, Play, player


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    play = player(request, tmp_path)
    return lambda scenario: play(scenario, f.FUNCTIONS)


def test_d2_d3_a_step_that_takes_too_long_has_an_unknown_outcome_and_is_undone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(SagaCompensated, match="StepTimedOut"):
            await (await client.start(f.slow_step)).result()
        assert s.WORLD == ["book before", "begin snail", "undo snail None", "unbook before booked before"]

    play(scenario)


def test_c4_a_deferred_compensation_waits_for_the_end_of_the_saga(play: Play) -> None:
    async def scenario(client: Client) -> None:
        well, badly = await client.start(f.goes_on_without), await client.start(f.goes_on_without)
        while s.WORLD.count("goes on") < 2:
            await asyncio.sleep(0.02)
        assert not [row for row in s.WORLD if row.startswith("un")], "an error that is caught undoes nothing yet"
        await client.publish("end", "well", saga=well.id)
        assert await well.result() == "well"
        assert [row for row in s.WORLD if row.startswith("un")] == ["undo decline optional None"], (
            "it settles, and keeps the rest"
        )
        s.WORLD.clear()
        await client.publish("end", "badly", saga=badly.id)
        with pytest.raises(SagaCompensated):
            await badly.result()
        assert [row for row in s.WORLD if row.startswith("un")] == ["undo decline optional None", "unbook kept booked kept"]

    play(scenario)


def test_c7_a_compensation_has_its_own_policy_and_timeout_and_keeps_trying(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.patient)
        with pytest.raises(SagaCompensated):
            await handle.result()
        (step,) = [one for one in (await handle.describe()).steps if one.name == "lent"]
        assert (step.compensation_state, step.compensation_attempts) == ("done", 6)
        kinds = [str(one.WhichOneof("kind")) for one in await raw.history(handle)]
        assert kinds.count("compensation_attempt_failed") == 5
        assert "gave book back" in s.WORLD

    play(scenario)


def test_e3_an_event_that_is_published_again_under_its_id_is_delivered_once(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.hears_twice)
        for _ in range(3):
            assert await client.publish("paid", 1, saga=handle.id, message_id="p-1") == 1
        await asyncio.sleep(0.2)
        assert (await handle.overview()).status == "running"
        await client.publish("paid", 2, saga=handle.id)
        assert await handle.result() == [1, 2]
        with pytest.raises(AlreadyEnded):
            await client.publish("paid", 3, saga=handle.id)
        assert await client.publish("paid", 1, saga=handle.id, message_id="p-1") == 1, "its first answer may have been lost"

    play(scenario)


def undone() -> list[str]:
    return [row for row in s.WORLD if row.startswith("un")]


async def until_undoing(handle: Handle[Any], row: str) -> dict[str, str]:
    """The states of the compensations by call, once the world shows the row."""
    while row not in s.WORLD:
        await asyncio.sleep(0.02)
    return {step.call: step.compensation_state for step in (await handle.describe()).steps}


def test_c10_a_compensation_is_seen_as_pending_running_and_done(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.rooms)
        await client.publish("go", saga=handle.id)
        assert await until_undoing(handle, "leaves second") == {"1": "pending", "2": "running"}
        s.FAILURES["may leave second"] = 1
        assert await until_undoing(handle, "leaves first") == {"1": "running", "2": "done"}
        s.FAILURES["may leave first"] = 1
        with pytest.raises(SagaCompensated):
            await handle.result()
        assert [step.compensation_state for step in (await handle.describe()).steps] == ["done", "done"]
        kinds = [str(one.WhichOneof("kind")) for one in await raw.history(handle)]
        assert kinds.count("compensation_completed") == 2, "each outcome stands in the record once"

    play(scenario)


def test_c8_a_decision_on_what_no_unwind_holds_is_refused_and_changes_nothing(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.rooms)
        while len((await handle.describe()).steps) < 2:
            await asyncio.sleep(0.02)
        before = await raw.history(handle)
        for decide in (handle.skip_compensation("1"), handle.resolve_compensation("1", "by hand")):
            with pytest.raises(AlreadyEnded, match="the saga is not undoing it"):
                await decide
        with pytest.raises(AlreadyEnded, match="the saga is not undoing it"):
            await handle.retry_compensation("1")
        await client.publish("go", saga=handle.id)
        await until_undoing(handle, "leaves second")
        kinds = [str(one.WhichOneof("kind")) for one in (await raw.history(handle))[len(before) :]]
        assert "compensation_decided" not in kinds
        await handle.skip_compensation("1", "they stay")
        s.FAILURES["may leave second"] = 1
        with pytest.raises(SagaCompensated):
            await handle.result()
        assert "leaves first" not in s.WORLD, "one that waits for its turn can be skipped"
        assert [step.compensation_state for step in (await handle.describe()).steps] == ["skipped", "done"]
        with pytest.raises(AlreadyEnded):
            await handle.skip_compensation("2")

    play(scenario)


def test_d9_a_child_that_is_to_be_held_holds_the_saga_where_it_failed(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.parent_of_held, 1)
        with pytest.raises(SagaHeld, match="kept failed 1"):
            await handle.result()
        assert (undone(), "the parent saw it" in s.WORLD) == ([], False)
        await handle.recover("once more")
        assert await handle.result(timeout=30) == ["booked before", "kept", "booked after"]
        assert s.WORLD.count("book kept a") == 1, "what was done stays done"
        other = await client.start(f.parent_of_held, 99)
        with pytest.raises(SagaHeld):
            await other.result()
        await other.compensate("give up")
        while (await other.overview()).status == "held":
            await asyncio.sleep(0.02)
        with pytest.raises(SagaCompensated, match="kept failed"):
            await other.result()
        assert undone() == ["unbook kept a booked kept a", "unbook before booked before"]

    play(scenario)


def test_d9_events_reach_a_child_by_its_own_keys(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(f.parent_of_hearing)
        while "book ear" not in s.WORLD:
            await asyncio.sleep(0.02)
        assert await client.publish("paid", 5, key="child:ear") == 1
        assert await handle.result() == 5

    play(scenario)


READS = ("runs.head", "runs.glance", "runs.events", "inbox.unread")


class Counted(WrappedJournal):
    """Counts what is read of each run, and refuses to walk through runs."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.reads: Counter[str] = Counter()

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        assert name != "index.listing", "the runs were walked through"
        if name in READS:
            self.reads[args[0].saga] += 1
        return await call(*args)


def test_e1_a_saga_that_waits_is_in_no_memory_and_is_not_polled() -> None:
    async def run() -> None:
        journal = Counted()
        config = Config(sweep_ms=200, rehint_ms=1_000, foreign_hint_ms=500, message_hint_ms=500, message_write_ms=1_000)
        client = Client(LocalTransport(HistoryService(journal, config=config)))
        worker = Worker(client, sagas=f.FUNCTIONS)
        async with client, worker:
            handle = await client.start(f.hears_twice)
            while worker._runs or not (await handle.describe()).next_seq or (await handle.describe()).owner:
                await asyncio.sleep(0.05)
            async with asyncio.timeout(
                60
            ):  # hints from when it was at work are looked at, and once more after message_write_ms
                while journal.reads[handle.id]:
                    journal.reads.clear()
                    await asyncio.sleep(3)
            await asyncio.sleep(6)  # many sweeps, and several times every interval above
            assert journal.reads[handle.id] == 0
            for number in (1, 2):
                await client.publish("paid", number, saga=handle.id)
            assert await handle.result() == [1, 2]

    asyncio.run(run())


def test_e3_what_one_client_sends_is_read_in_that_order_even_within_a_millisecond() -> None:
    class Still(SystemClock):
        def now_ms(self) -> int:
            return 1_800_000_000_000

    async def run() -> None:
        client = Client(LocalTransport(HistoryService(MemoryJournal(), clock=Still())))
        async with client:
            handle = await client.start(f.hears_twice)
            for number in range(40):
                await client.publish("paid", number, saga=handle.id)
            async with Worker(client, sagas=f.FUNCTIONS):
                assert await handle.result() == [0, 1]

    asyncio.run(run())


class SlowInbox(WrappedJournal):
    """What is read with an inbox has changed by the time its owner acts."""

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == "inbox.unread":
            await asyncio.sleep(0.05)
        return await call(*args)


def test_c8_a_decision_that_is_taken_while_somebody_asks_for_the_result_is_waited_for() -> None:
    async def run() -> None:
        client = Client(LocalTransport(HistoryService(SlowInbox(MemoryJournal()))))
        async with client, Worker(client, sagas=[s.stuck_saga]):
            handle = await client.start(s.stuck_saga, "lamp")
            with pytest.raises(SagaStuck):
                await handle.result()
            (call,) = (await handle.overview()).stuck_steps.values()
            await handle.skip_compensation(call, "not worth it")
            with pytest.raises(SagaCompensated):
                await handle.result()

    asyncio.run(run())


def test_r9_statistics_walk_through_no_runs() -> None:
    async def run() -> None:
        journal = Counted()
        client = Client(LocalTransport(HistoryService(journal)))
        async with client, Worker(client, sagas=f.FUNCTIONS):
            for _ in range(5):
                await (await client.start(f.naps)).result()
            journal.reads.clear()
            assert (await client.statistics()).completed == 5
            assert not journal.reads

    asyncio.run(run())
