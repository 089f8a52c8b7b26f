"""A saga is paused and goes on: by its handle, over each journal and transport, with a worker that dies in between."""

from __future__ import annotations

import asyncio
import pathlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_saga import Client, Handle, Retry, Worker, connect, continue_as_new, saga, signal, step
from durable_saga.errors import AlreadyEnded, InvalidArgument, SagaCancelled, SagaCompensated
from tests.integration.stage import Play, player


class World:
    """What steps did, and what one of them waits for."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.goes_on = True


WORLD = World()


async def wait_until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


@step
async def slow(name: str) -> str:
    WORLD.did.append(f"begin {name}")
    await wait_until(lambda: WORLD.goes_on)
    WORLD.did.append(name)
    return name


@slow.compensation
async def unslow(name: str) -> None:
    WORLD.did.append(f"undo {name}")


@step
async def slow_for_good(name: str) -> None:
    WORLD.did.append(f"begin {name}")
    await wait_until(lambda: WORLD.goes_on)
    WORLD.did.append(name)


@step(effect=False)
async def looks(name: str) -> str:
    WORLD.did.append(name)
    return name


@step(retry=Retry(max_attempts=5, initial=0.05))
async def flaky() -> None:
    WORLD.did.append("try")
    if not WORLD.goes_on:
        raise OSError("not yet")


@step
async def fails() -> None:
    raise ValueError("no")


@saga
async def two_steps() -> str:
    first = await slow("one")
    await looks("look")
    return first + await slow("two")


@saga
async def tries() -> str:
    await flaky()
    return "done"


@saga
async def listens() -> int:
    value: int = await signal("go", int)
    await looks("heard")
    return value


@saga(timeout=1.0)
async def hurried() -> str:
    await slow("one")
    await asyncio.sleep(0.5)
    await slow("two")
    return "done"


@saga
async def undone() -> None:
    await slow("one")
    await slow("two")
    await fails()


@saga
async def chained(number: int) -> int:
    await slow_for_good(f"run {number}")
    if number < 2:
        await continue_as_new(number + 1)
    return number


SAGAS: list[Any] = [two_steps, tries, listens, hurried, undone, chained]


@pytest.fixture(params=["memory", "sqlite", "grpc"])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    WORLD.did.clear()
    WORLD.goes_on = True
    return player(request, tmp_path)


async def is_taken(handle: Handle[Any], kind: str, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while sum(event.kind == kind for event in await handle.history()) < count:
            await asyncio.sleep(0.02)


async def stays(what: Callable[[], object], seconds: float = 0.4) -> None:
    before = what()
    await asyncio.sleep(seconds)
    assert what() == before


def test_what_is_under_way_ends_and_nothing_begins_until_the_resume(play: Play) -> None:
    async def scenario(client: Client) -> None:
        WORLD.goes_on = False
        handle = await client.start(two_steps)
        await wait_until(lambda: WORLD.did == ["begin one"])
        assert await handle.pause("incident", who="ann") == ""
        await is_taken(handle, "pause_requested")
        WORLD.goes_on = True
        await is_taken(handle, "step_completed")
        await stays(lambda: list(WORLD.did))
        assert WORLD.did == ["begin one", "one"]
        seen = await handle.describe()
        assert seen.paused == "by ann: incident"
        assert (await handle.overview()).paused == "by ann: incident"
        asked = next(event for event in await handle.history() if event.kind == "pause_requested")
        assert (asked.details["who"], asked.details["reason"]) == ("ann", "incident")
        assert await handle.resume("it is over", who="bob") == ""
        assert await handle.result() == "onetwo"
        assert WORLD.did == ["begin one", "one", "look", "begin two", "two"]
        assert (await handle.describe()).paused == ""

    play(scenario, SAGAS)


def test_no_attempt_of_a_retry_begins_in_a_pause(play: Play) -> None:
    async def scenario(client: Client) -> None:
        WORLD.goes_on = False
        handle = await client.start(tries)
        await wait_until(lambda: bool(WORLD.did))
        await handle.pause("incident")
        await is_taken(handle, "pause_requested")
        await stays(lambda: len(WORLD.did), 1.0)
        WORLD.goes_on = True
        await handle.resume()
        assert await handle.result() == "done"

    play(scenario, SAGAS)


def test_a_paused_saga_that_waits_is_parked_and_gets_its_signals(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(listens)
        await handle.pause("incident")
        async with asyncio.timeout(20):
            while (await handle.describe()).owner or not (await handle.describe()).paused:
                await asyncio.sleep(0.05)
        await handle.signal("go", 7)
        await is_taken(handle, "signal_received")
        await is_taken(handle, "step_scheduled")
        await stays(lambda: list(WORLD.did))
        assert WORLD.did == []
        await handle.resume()
        assert await handle.result() == 7

    play(scenario, SAGAS)


def test_a_cancel_in_a_pause_is_recorded_and_undoes_after_the_resume(play: Play) -> None:
    async def scenario(client: Client) -> None:
        WORLD.goes_on = False
        handle = await client.start(two_steps)
        await wait_until(lambda: WORLD.did == ["begin one"])
        await handle.pause("incident", who="ann")
        await is_taken(handle, "pause_requested")
        WORLD.goes_on = True
        await is_taken(handle, "step_completed")
        assert "paused by ann: incident" in await handle.cancel("no longer wanted")
        await is_taken(handle, "unwind_started")
        await stays(lambda: list(WORLD.did))
        assert WORLD.did == ["begin one", "one"]
        await handle.resume()
        with pytest.raises(SagaCancelled):
            await handle.result()
        assert WORLD.did == ["begin one", "one", "undo one"], "what was kept back has not begun, and is not undone"

    play(scenario, SAGAS)


def test_an_unwind_is_paused(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(undone)
        await wait_until(lambda: "two" in WORLD.did)
        await handle.pause("incident")
        await is_taken(handle, "pause_requested")
        await stays(lambda: list(WORLD.did))
        before = list(WORLD.did)
        await handle.resume()
        with pytest.raises(SagaCompensated):
            await handle.result()
        assert WORLD.did[-2:] == ["undo two", "undo one"]
        assert len(before) <= len(WORLD.did)

    play(scenario, SAGAS)


@pytest.mark.parametrize("clocks", ["run", "stop"])
def test_the_time_out_runs_on_in_a_pause_unless_the_clocks_stop(play: Play, clocks: str) -> None:
    async def scenario(client: Client) -> None:
        WORLD.goes_on = False
        handle = await client.start(hurried)
        await wait_until(lambda: WORLD.did == ["begin one"])
        await handle.pause("incident", clocks="stop" if clocks == "stop" else "run")
        await is_taken(handle, "pause_requested")
        WORLD.goes_on = True
        await is_taken(handle, "step_completed")
        await asyncio.sleep(1.5)
        assert "undo one" not in WORLD.did
        await handle.resume()
        began = time.monotonic()
        if clocks == "run":
            with pytest.raises(SagaCompensated):
                await handle.result()
            assert WORLD.did == ["begin one", "one", "undo one"]
        else:
            assert await handle.result() == "done"
            assert time.monotonic() - began > 0.4, "the sleep counts from the resume"

    play(scenario, SAGAS)


def test_the_next_run_of_a_paused_saga_begins_paused(play: Play) -> None:
    async def scenario(client: Client) -> None:
        WORLD.goes_on = False
        handle = await client.start(chained, 1)
        await wait_until(lambda: WORLD.did == ["begin run 1"])
        await handle.pause("incident", who="ann")
        await is_taken(handle, "pause_requested")
        WORLD.goes_on = True
        async with asyncio.timeout(20):
            while (await handle.describe()).run == 1:
                await asyncio.sleep(0.02)
        await is_taken(handle, "step_scheduled")
        await stays(lambda: list(WORLD.did))
        assert (await handle.describe()).paused == "by ann: incident"
        assert WORLD.did == ["begin run 1", "run 1"]
        await handle.resume()
        assert await handle.result() == 2

    play(scenario, SAGAS)


def test_a_resume_right_behind_a_pause_is_taken_and_one_without_a_pause_refused(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(listens)
        with pytest.raises(AlreadyEnded, match="is not paused"):
            await handle.resume()
        for _ in range(20):
            await handle.pause("incident")
            await handle.resume()
        await handle.signal("go", 1)
        assert await handle.result() == 1
        with pytest.raises(AlreadyEnded):
            await handle.pause("too late")
        with pytest.raises(InvalidArgument, match="clocks"):
            await handle.pause("incident", clocks="stopp")  # type: ignore[arg-type]

    play(scenario, SAGAS)


def test_a_paused_saga_stays_paused_when_everything_is_started_anew(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    WORLD.did.clear()
    WORLD.goes_on = True

    async def life(scenario: Callable[[Handle[int]], Awaitable[None]]) -> None:
        async with connect(url) as client, Worker(client, sagas=SAGAS):
            handle = await client.start(listens, id="one") if not WORLD.did else client.handle("one", listens)
            await asyncio.wait_for(scenario(handle), 30)

    async def first(handle: Handle[int]) -> None:
        await handle.pause("incident")
        await is_taken(handle, "pause_requested")
        await handle.signal("go", 3)
        await is_taken(handle, "step_scheduled")
        WORLD.did.append("first life")

    async def second(handle: Handle[int]) -> None:
        await asyncio.sleep(1.5)
        assert WORLD.did == ["first life"]
        assert (await handle.describe()).paused
        await handle.resume()
        assert await handle.result() == 3

    asyncio.run(life(first))
    asyncio.run(life(second))
