"""An ended saga begins again under its id: over each journal and transport, twice at once, through deaths and purges."""

from __future__ import annotations

import asyncio
import json
import pathlib
from typing import Any

import pytest
from click.testing import CliRunner
from durable_saga_server.journal import JournalUnavailable, Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import (
    Client,
    Retry,
    Status,
    SyncClient,
    Worker,
    connect,
    continue_as_new,
    saga,
    set_attributes,
    signal,
    step,
    step_context,
)
from durable_saga.cli import main
from durable_saga.client import raw
from durable_saga.errors import AlreadyEnded, NotFound, SagaCompensated, SagaFailed
from durable_saga.transport.transport import LocalTransport
from tests.integration.stage import Play, player
from tests.integration.test_retention import SHORT, is_purged


class World:
    def __init__(self) -> None:
        self.works = False
        self.keys: list[str] = []


WORLD = World()


@step(retry=Retry(max_attempts=1))
async def pays(name: str, data: bytes) -> str:
    WORLD.keys.append(step_context().idempotency_key)
    if not WORLD.works:
        raise ValueError("no")
    return name


@pays.compensation
async def unpays(name: str, data: bytes) -> None: ...


@saga(
    keys=lambda name, data=b"": [f"name={name}"],
    attributes=lambda name, data=b"": {"merchant": "m"},
    timeout=3600,
)
async def buys(name: str, data: bytes = b"") -> str:
    set_attributes(stage="paying")
    return await pays(name, data)


@saga
async def waits() -> str:
    return str(await signal("go"))


@saga
async def counts(left: int) -> int:
    if left > 1:
        await continue_as_new(left - 1)
    return left


SAGAS: list[Any] = [buys, waits, counts]


@pytest.fixture(params=["memory", "sqlite", "grpc"])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    fresh()
    return player(request, tmp_path)


def fresh() -> None:
    WORLD.works, WORLD.keys = False, []


async def failed(client: Client, name: str = "one", data: bytes = b"") -> Any:
    handle = await client.start(buys, name, data, id=name)
    with pytest.raises((SagaCompensated, SagaFailed)):
        await handle.result(20)
    return handle


@pytest.mark.parametrize("size", [3, 40_000])
def test_it_begins_again_with_what_it_was_started_with_and_the_new_run_says_who_and_why(play: Play, size: int) -> None:
    async def scenario(client: Client) -> None:
        handle = await failed(client, data=b"x" * size)
        WORLD.works = True
        assert await handle.restart("the tariff is right now", who="ann") == 2
        assert await handle.result(20) == "one"
        found = await handle.describe()
        assert (found.run, found.previous_run, found.next_run, found.status) == (2, 1, 0, Status.COMPLETED)
        assert found.restarted == "by ann: the tariff is right now"
        assert found.attributes["merchant"] == "m"
        before = await client.handle("one", run=1).describe()
        assert (before.next_run, before.status.name) in {(2, "COMPENSATED"), (2, "FAILED")}
        assert len(WORLD.keys) == len(set(WORLD.keys)) == 2
        first, second = [(await raw.history(client.handle("one", run=run)))[0].saga_started for run in (1, 2)]
        for name in ("timeout_ms", "attributes", "keys"):
            assert getattr(first, name) == getattr(second, name)
        assert first.seed != second.seed

    play(scenario, SAGAS)


def test_an_open_saga_is_refused_and_told_how_to_end_it(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(waits, id="open")
        with pytest.raises(AlreadyEnded, match=r"is RUNNING.*cancel or compensate.*terminate"):
            await handle.restart()
        await handle.terminate("wrong")
        assert await handle.restart() == 2
        with pytest.raises(AlreadyEnded, match="run 1 is not the newest"):
            await client.handle("open", run=1).restart()
        await handle.signal("go", "on")
        assert await handle.result(20) == "on"
        with pytest.raises(NotFound, match="Start it anew"):
            await client.handle("nobody").restart()

    play(scenario, SAGAS)


def test_of_many_restarts_at_once_one_starts_and_the_others_are_told(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await failed(client)
        WORLD.works = True
        answers = await asyncio.gather(*(handle.restart(str(number)) for number in range(6)), return_exceptions=True)
        assert answers.count(2) == 1, answers
        assert all(answer == 2 or isinstance(answer, AlreadyEnded) for answer in answers), answers
        assert await handle.result(20) == "one"
        assert (await handle.describe()).run == 2
        assert len(WORLD.keys) == 2

    play(scenario, SAGAS)


def test_a_chain_is_restarted_at_its_last_run_and_continues_as_ever(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(counts, 2, id="chain")
        assert await handle.result(20) == 1
        assert await handle.restart() == 3
        assert await handle.result(20) == 1
        assert await handle.restart() == 4
        assert await handle.result(20) == 1
        again = await client.start(counts, 1, id="chain")
        assert again.already_started
        other = await client.start(counts, 1, id="other")
        assert await other.result(20) == 1
        for run in range(2, 5):
            assert await other.restart() == run
            assert await other.result(20) == 1

    play(scenario, SAGAS)


class Dying(WrappedJournal):
    """Dies once so many of the writes of a restart are done."""

    dead = False
    survives = -1

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        of_restart = name in ("hints.add", "runs.create", "runs.advance", "chunks.put")
        if self.dead and (of_restart or name in ("runs.acquire", "runs.commit_many", "inbox.put")):
            raise JournalUnavailable("dead")
        answer = await call(*args)
        if of_restart and self.survives > 0:
            self.survives -= 1
            self.dead = self.survives == 0
        return answer


@pytest.mark.parametrize("survives", [1, 2, 3])
def test_a_server_that_dies_in_between_has_restarted_the_saga_or_not(survives: int) -> None:
    fresh()

    async def scenario() -> None:
        journal = Dying(MemoryJournal())
        first = Client(LocalTransport(HistoryService(journal)))
        async with Worker(first, sagas=SAGAS):
            handle = await failed(first)
        WORLD.works, journal.survives = True, survives
        try:
            async with asyncio.timeout(1):
                await handle.restart("again")
        except Exception:
            assert journal.dead
        journal.dead, journal.survives = False, -1
        second = Client(LocalTransport(HistoryService(journal)))  # the first one is gone, with all that it knew
        async with Worker(second, sagas=SAGAS):
            made = await journal.runs.head(Run("default", "one", 2)) is not None
            if not made:
                assert await second.handle("one").restart("again") == 2
            async with asyncio.timeout(30):
                while (found := await second.handle("one").describe()).status != Status.COMPLETED:
                    await asyncio.sleep(0.05)
            assert found.run == 2
            assert len(WORLD.keys) == 2
        for client in (first, second):
            await client.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_what_is_about_to_be_purged_is_not_restarted_and_a_restarted_saga_is_purged_as_a_whole() -> None:
    fresh()

    async def scenario() -> None:
        journal = MemoryJournal()
        client = Client(LocalTransport(HistoryService(journal, config=SHORT)))
        async with Worker(client, sagas=SAGAS):
            handle = await failed(client)
            assert await handle.restart() == 2
            with pytest.raises((SagaCompensated, SagaFailed)):
                await handle.result(20)
            await asyncio.sleep(1.1)  # 1.5 s less 0.5 s
            with pytest.raises((AlreadyEnded, NotFound), match=r"about to be purged|Start it anew"):
                await handle.restart()
            await is_purged(client, "one")
            for run in range(1, 4):
                while await journal.runs.head(Run("default", "one", run)) is not None:
                    await asyncio.sleep(0.1)
            assert not (await client.start(buys, "one", id="one")).already_started
        await client.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_an_open_restarted_run_keeps_the_first_one_however_long_it_ended_ago() -> None:
    fresh()

    async def scenario() -> None:
        journal = MemoryJournal()
        client = Client(LocalTransport(HistoryService(journal, config=SHORT)))
        async with Worker(client, sagas=SAGAS):
            handle = await client.start(waits, id="one")
            await handle.terminate()
            assert await handle.restart() == 2
            await asyncio.sleep(3)
            assert await journal.runs.head(Run("default", "one")) is not None
            await handle.signal("go", "x")
            assert await handle.result(20) == "x"
        await client.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_command_and_the_sync_client(tmp_path: pathlib.Path) -> None:
    fresh()
    url = f"sqlite:///{tmp_path}/j.db"

    async def scenario() -> None:
        async with connect(url) as client, Worker(client, sagas=SAGAS):
            await failed(client)

    asyncio.run(scenario())
    ran = CliRunner().invoke(main, ["restart", "one", "--reason", "once more", "--url", url])
    assert json.loads(ran.stdout) == {"id": "one", "done": "restart", "run": 2}
    shown = json.loads(CliRunner().invoke(main, ["describe", "one", "--url", url]).stdout)
    assert shown["restarted"].endswith("once more")
    assert CliRunner().invoke(main, ["restart", "one", "--url", url]).exit_code == 1
    with SyncClient(url) as client:
        client.handle("one").terminate()
        assert client.handle("one").restart() == 3
