"""What a user does, end to end, in one process with the memory and the SQLite journal, and through a real socket."""

from __future__ import annotations

import asyncio
import pathlib
import re
from typing import Any

import pytest
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Handle, Worker, connect, event, saga
from durable_saga.client import raw
from durable_saga.client.sync import SyncClient
from durable_saga.errors import (
    AlreadyEnded,
    AlreadyStarted,
    InvalidArgument,
    NotFound,
    SagaCancelled,
    SagaCompensated,
    SagaFailed,
    SagaStuck,
    SagaTerminated,
)
from durable_saga.pb import history_pb2 as h
from tests.integration import sagas as s
from tests.integration.stage import CASSANDRA, Play, player


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


def test_a_saga_returns_its_result(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(s.trip, ["car", "hotel"], id="trip-1")
        assert await handle.result() == ["booked car", "booked hotel"]
        again = await client.start(s.trip, ["car", "hotel"], id="trip-1")
        assert await again.result() == ["booked car", "booked hotel"]
        with pytest.raises(AlreadyStarted, match="trip"):
            await client.start(s.handled, id="trip-1")

    play(scenario)


def test_c2_c6_compensations_run_in_reverse_and_the_failed_step_is_undone_too(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(s.failing_trip)
        with pytest.raises(SagaCompensated, match="insurance declined") as caught:
            await handle.result()
        assert "sagas.py" in str(caught.value)
        undone = [row for row in s.WORLD if row.startswith("un")]
        assert undone == [
            "undo decline insurance None", "unbook flight booked flight", "unbook hotel booked hotel", "unbook car booked car",
        ]  # fmt: skip
        kinds = [str(event.WhichOneof("kind")) for event in await raw.history(handle)]
        assert kinds.count("compensation_completed") == 4

    play(scenario)


def test_c6_a_step_that_says_not_applied_is_not_undone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(SagaFailed, match="NotApplied"):
            await (await client.start(s.refused_only)).result()
        assert s.WORLD == []

    play(scenario)


def test_c1_on_failure_registers_as_the_saga_runs(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(SagaCompensated):
            await (await client.start(s.registered)).result()
        assert s.WORLD == ["undo decline late None", "note second", "note first"]

    play(scenario)


def test_the_steps_own_exception_can_be_caught(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(s.handled)).result() == "card declined DECLINED"

    play(scenario)


def test_a_failed_attempt_is_tried_again_and_counted(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(s.flaky_saga, "x", 2)).result() == 3
        with pytest.raises(SagaFailed, match="attempt 3"):
            await (await client.start(s.flaky_saga, "y", 9)).result()

    play(scenario)


def test_a_step_times_out_and_a_plain_function_knows_its_key(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(s.slow_saga)).result() == "StepTimedOut"
        key = await (await client.start(s.blocking_saga, id="b-1")).result()
        assert re.fullmatch(f"{client.namespace}/b-1/1/[0-9a-f]{{16}}/1", key)

    play(scenario)


@pytest.mark.parametrize("verb", ["retry", "skip", "resolve"])
def test_c8_a_stuck_compensation_waits_for_an_operator(play: Play, verb: str) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(s.stuck_saga, "lamp")
        with pytest.raises(SagaStuck, match="lamp declined"):
            await handle.result()
        description = await raw.describe(handle)
        assert description.status == h.COMPENSATION_STUCK
        stuck = [step for step in description.steps if step.compensation_state == "stuck"]
        assert [step.name for step in stuck] == ["fragile"]
        assert "unbook lamp booked lamp" in s.WORLD, "the others still run"
        if verb == "retry":
            await handle.retry_compensation(stuck[0].call)
        elif verb == "skip":
            await handle.skip_compensation(stuck[0].call, "not worth it")
        else:
            await handle.resolve_compensation(stuck[0].call, "done by hand")
        with pytest.raises(SagaCompensated):  # not SagaStuck again: the word is on its way
            await handle.result()
        assert ("mended lamp" in s.WORLD) == (verb == "retry")

    play(scenario)


def test_a_sleeping_saga_is_parked_and_wakes(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(s.sleeper, 0.05)).result() > 0.049
        handle = await client.start(s.sleeper, 8.0)
        while not (found := await raw.describe(handle)).next_seq or found.owner:
            assert found.status == h.RUNNING, "it was never parked"
            await asyncio.sleep(0.1)
        assert await handle.result() > 7.99

    play(scenario)


def test_a_signal_that_came_early_is_kept_and_a_parked_saga_wakes_for_one(play: Play) -> None:
    async def scenario(client: Client) -> None:
        early = await client.start(s.approval)
        await early.signal("approve", "yes", message_id="m")
        assert await early.result() == "yes"
        parked = await client.start(s.approval)
        await asyncio.sleep(1.6)
        assert (await raw.describe(parked)).owner == ""
        await parked.signal("approve", "later")
        assert await parked.result() == "later"
        with pytest.raises(AlreadyEnded, match="COMPLETED"):
            await parked.signal("approve", "too late")

    play(scenario)


def test_a_signal_handler_runs_inside_the_saga(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(s.counting)
        for number in (1, 2, 7):
            await handle.signal("add", number)
        assert await handle.result() == 10

    play(scenario)


async def has_done_a_step(handle: Handle[Any]) -> None:
    while not any(step.state == "done" for step in (await raw.describe(handle)).steps):
        await asyncio.sleep(0.02)


def test_c9_cancel_and_timeouts_compensate_and_terminate_does_not(play: Play) -> None:
    async def scenario(client: Client) -> None:
        cancelled = await client.start(s.approval)
        await has_done_a_step(cancelled)
        await cancelled.cancel("changed my mind")
        with pytest.raises(SagaCancelled, match="changed my mind"):
            await cancelled.result()
        assert s.WORLD == ["book desk", "unbook desk booked desk"]
        with pytest.raises(SagaCompensated, match="SagaTimedOut"):
            await (await client.start(s.too_long)).result()
        assert s.WORLD[2:] == ["book room", "unbook room booked room"]
        terminated = await client.start(s.approval)
        await has_done_a_step(terminated)
        await terminated.terminate("enough")
        with pytest.raises(SagaTerminated):
            await terminated.result()
        assert s.WORLD[4:] == ["book desk"]

    play(scenario)


def test_blocking_saga_code_is_refused_with_advice(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(SagaFailed, match="do this in a @step"):
            await (await client.start(s.reads_the_clock)).result()

    play(scenario)


def test_wrong_requests_say_what_is_wrong(play: Play) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(NotFound, match="there is no saga 'nobody'"):
            await raw.describe(client.handle("nobody"))
        with pytest.raises(InvalidArgument, match="1 to 255"):
            await client.start(s.handled, id="x" * 256)
        with pytest.raises(TypeError, match="names"):
            await client.start(s.trip)  # type: ignore[call-arg, arg-type]
        with pytest.raises(InvalidArgument, match="there is no status"):
            _ = [one async for one in client.list(status=["DONE"])]

    play(scenario)


def test_sagas_are_listed_by_type_and_status(play: Play) -> None:
    async def scenario(client: Client) -> None:
        for number in range(5):
            await (await client.start(s.trip, [], id=f"t-{number}")).result()
        await (await client.start(s.handled, id="other")).result()
        found = [one.id async for one in client.list(type="trip", status=["COMPLETED"])]
        assert sorted(found) == [f"t-{number}" for number in range(5)]

    play(scenario)


@saga(keys=lambda number: ["order=shared", f"order={number}"])
async def keyed(number: int) -> None:
    await event("shipped")


def test_open_sagas_are_listed_by_the_key_that_they_declared(play: Play) -> None:
    async def scenario(client: Client) -> None:
        for number in range(3):
            await client.start(keyed, number, id=f"k-{number}")
        ended = await client.start(keyed, 9, id="ended")
        await client.publish("shipped", saga="ended")
        await ended.result()
        assert sorted([one.id async for one in client.list(key="order=shared")]) == ["k-0", "k-1", "k-2"]
        assert len([one async for one in client.list(key="order=shared", limit=2)]) == 2
        assert [one.id async for one in client.list(key="order=1")] == ["k-1"]
        assert [one async for one in client.list(key="order=shared", status=["HELD"])] == []
        assert [one async for one in client.list(key="order=shared", type="trip")] == []
        assert [one async for one in client.list(key="no such key")] == []

    play(scenario, [keyed])


def test_the_sync_client_does_the_same_from_a_thread(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        service = HistoryService(MemoryJournal())
        await service.start_up()
        server = GrpcServer(service, "127.0.0.1:0")
        await server.start()
        url = f"127.0.0.1:{server.port}"
        async with connect(url) as client, Worker(client, sagas=s.SAGAS):
            assert await asyncio.to_thread(in_thread, url) == ["booked x"]
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping

    def in_thread(url: str) -> list[str]:
        with SyncClient(url) as client:
            return client.start(s.trip, ["x"]).result(timeout=10)

    asyncio.run(scenario())
