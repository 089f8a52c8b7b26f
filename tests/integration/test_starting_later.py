"""Sagas that begin later, and ids that are started again: over every way to a journal."""

from __future__ import annotations

import asyncio
import pathlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from durable_saga_server.journal import Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import (
    Client,
    Handle,
    SyncClient,
    Worker,
    connect,
    continue_as_new,
    now,
    saga,
    signal,
    step,
)
from durable_saga.errors import (
    AlreadyEnded,
    AlreadyStarted,
    InvalidArgument,
    NotFound,
    SagaCancelled,
    SagaCompensated,
    SagaFailed,
)
from durable_saga.transport.transport import LocalTransport
from tests.integration.stage import CASSANDRA, Play, player
from tests.integration.test_retention import PURGED_SECONDS_MAX, SHORT

BEGAN: list[tuple[str, float]] = []
FAILS = {"yes": False}


@step
async def note(name: str) -> None:
    BEGAN.append((name, time.time()))


@saga
async def reminds(name: str) -> str:
    await note(name)
    if FAILS["yes"]:
        raise RuntimeError("told to fail")
    return f"{name} {now().timestamp()}"


@saga
async def hears(name: str) -> list[int]:
    await note(name)
    return [await signal("go", int), await signal("go", int)]


@saga
async def goes_round(left: int) -> str:
    if left:
        await continue_as_new(left - 1)
    return "round"


@saga
async def has_own(at: str, memo: str) -> str:
    return at + memo


SAGAS: list[Any] = [reminds, hears, goes_round, has_own]


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    BEGAN.clear()
    FAILS["yes"] = False
    return player(request, tmp_path)


def test_a_saga_begins_at_its_time_and_not_before(play: Play) -> None:
    async def scenario(client: Client) -> None:
        asked = time.time()
        handle = await client.start(reminds, "late", id="late", after=3.0, memo={"for": "ann", "tries": 2})
        assert handle.starts_at is not None
        assert asked - 0.01 <= handle.starts_at.timestamp() - 3.0 <= time.time() + 0.01
        described = await handle.describe()
        assert described.starts_at == handle.starts_at
        assert described.memo == {"for": "ann", "tries": 2}
        assert [one.starts_at async for one in client.list(type="reminds")] == [handle.starts_at]
        assert (await client.statistics()).by_type["reminds"] == {"running": 1}
        again = await client.start(reminds, "late", id="late", after=9.0)
        assert again.already_started
        assert again.starts_at == handle.starts_at
        result = await handle.result(20)
        ((_, began),) = BEGAN
        assert began >= handle.starts_at.timestamp()
        assert float(result.split()[1]) >= handle.starts_at.timestamp(), "the time of the saga is not that of the start call"
        assert (await handle.describe()).starts_at is None

    play(scenario, SAGAS)


def test_a_time_in_the_past_is_at_once_and_nonsense_is_refused(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(reminds, "past", at=datetime(2020, 1, 1, tzinfo=UTC))
        assert handle.starts_at is None
        await handle.result(10)
        wrong: list[dict[str, Any]] = [
            {"at": datetime(2099, 1, 1)}, {"at": "tomorrow"}, {"after": 1, "at": datetime.now(UTC)}, {"if_exists": "maybe"},
            {"after": timedelta(days=36_000)},
        ]  # fmt: skip
        for options in wrong:
            with pytest.raises(InvalidArgument):
                await client.start(reminds, "never", **options)
        with pytest.raises(ValueError, match="negative"):
            await client.start(reminds, "never", after=-1)

    play(scenario, SAGAS)


def test_a_parameter_of_the_saga_comes_before_an_option_of_its_name(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(has_own, at="a", memo="b")).result(10) == "ab"

    play(scenario, SAGAS)


@pytest.mark.parametrize("verb", ["cancel", "compensate", "terminate"])
def test_it_can_be_stopped_before_its_start_without_its_code(verb: str, play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(reminds, verb, id=verb, after=60.0)
        await handle.signal("go", 1)
        await getattr(handle, verb)("not wanted")
        described = await handle.describe()
        status = {"cancel": "cancelled", "compensate": "compensated", "terminate": "terminated"}[verb]
        assert described.status == status
        assert described.starts_at is None
        kinds = [one.kind for one in await handle.history()]
        assert kinds == ["saga_started", "saga_terminated" if verb == "terminate" else "stopped_before_start"]
        error = {"cancel": SagaCancelled, "compensate": SagaCompensated}.get(verb)
        if error is not None:
            with pytest.raises(error, match="nothing to undo"):
                await handle.result(5)
        with pytest.raises(AlreadyEnded):
            await handle.cancel()
        assert BEGAN == []
        assert (await client.start(reminds, verb, id=verb, if_exists="again")).already_started is False
        await client.handle(verb).result(10)

    play(scenario, SAGAS)


def test_messages_wait_for_the_start_in_their_order(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(hears, "mail", after=1.5)
        await handle.signal("go", 1)
        await handle.signal("go", 2)
        await asyncio.sleep(0.5)
        assert BEGAN == []
        assert (await handle.describe()).owner == ""
        assert await handle.result(20) == [1, 2]

    play(scenario, SAGAS)


def test_if_exists_says_what_a_known_id_means(play: Play) -> None:
    async def scenario(client: Client) -> None:
        first = await client.start(reminds, "one", id="one")
        await first.result(10)
        same = await client.start(reminds, "one", id="one")
        assert same.already_started
        with pytest.raises(AlreadyStarted):
            await client.start(reminds, "one", id="one", if_exists="fail")
        kept = await client.start(reminds, "one", id="one", if_exists="again_after_failure")
        assert kept.already_started
        assert len(BEGAN) == 1
        FAILS["yes"] = True
        again = await client.start(reminds, "two", id="one", if_exists="again")
        assert not again.already_started
        with pytest.raises((SagaFailed, SagaCompensated)):
            await again.result(10)
        FAILS["yes"] = False
        third = await client.start(reminds, "three", id="one", if_exists="again_after_failure")
        assert not third.already_started
        await third.result(10)
        assert [name for name, _ in BEGAN] == ["one", "two", "three"]
        assert (await third.describe()).run == 3
        with pytest.raises(AlreadyStarted, match="three"):
            await client.start(reminds, "one", id="one")
        assert (await client.handle("one", run=1).describe()).status == "completed"

    play(scenario, SAGAS)


def test_an_open_saga_is_never_started_a_second_time(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(hears, "open", id="open")
        again = await client.start(hears, "open", id="open", if_exists="again", window=0.001)
        assert again.already_started
        await handle.signal("go", 1)
        await handle.signal("go", 2)
        assert await handle.result(10) == [1, 2]

    play(scenario, SAGAS)


def test_outside_its_window_an_ended_saga_does_not_count(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await (await client.start(reminds, "w", id="w")).result(10)
        assert (await client.start(reminds, "w", id="w", window=60, if_exists="same")).already_started
        await asyncio.sleep(0.3)
        assert not (await client.start(reminds, "w", id="w", window=0.2, if_exists="fail")).already_started

    play(scenario, SAGAS)


def test_of_many_that_start_it_again_at_once_one_does(play: Play) -> None:
    async def scenario(client: Client) -> None:
        await (await client.start(reminds, "many", id="many")).result(10)
        found = await asyncio.gather(
            *(client.start(hears, "many", id="many", if_exists="again") for _ in range(8)), return_exceptions=True
        )
        handles = [one for one in found if isinstance(one, Handle)]
        assert len(handles) == 8
        assert sum(not one.already_started for one in handles) == 1
        await handles[0].signal("go", 1)
        await handles[0].signal("go", 2)
        assert await handles[0].result(10) == [1, 2]

    play(scenario, SAGAS)


def test_a_chain_is_started_again_behind_its_last_run(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(goes_round, 2, id="round")).result(20) == "round"
        assert (await client.start(goes_round, 2, id="round")).already_started
        again = await client.start(goes_round, 1, id="round", if_exists="again")
        assert not again.already_started
        assert await again.result(20) == "round"
        assert (await again.describe()).run == 5
        assert (await client.start(goes_round, 1, id="round")).already_started
        with pytest.raises(AlreadyStarted):
            await client.start(goes_round, 2, id="round")

    play(scenario, SAGAS)


def test_a_start_again_that_is_sent_twice_is_one(play: Play) -> None:
    """Its answer was lost, and the run has ended meanwhile."""

    async def scenario(client: Client) -> None:
        await (await client.start(reminds, "twice", id="twice")).result(10)
        asked: list[Any] = []
        call = client.transport.call

        async def recorded(method: str, request: Any) -> Any:
            if method == "start":
                asked.append(type(request).FromString(request.SerializeToString()))
            return await call(method, request)

        client.transport.call = recorded  # type: ignore[method-assign]
        handle = await client.start(reminds, "twice", id="twice", if_exists="again")
        await handle.result(10)
        reply = await call("start", asked[0])
        assert not reply.already_started
        assert reply.key.run == 2
        assert len(BEGAN) == 2

    play(scenario, SAGAS)


def test_a_run_that_was_named_and_never_made_leads_nowhere() -> None:
    async def scenario() -> None:
        BEGAN.clear()
        async with connect("memory:") as client, Worker(client, sagas=SAGAS):
            await (await client.start(reminds, "n", id="n")).result(10)
            service = cast(LocalTransport, client.transport)._service
            head = await service.journal.runs.head(Run("default", "n"))
            await service.journal.runs.advance(head.run, head.incarnation, 2)
            assert (await client.handle("n").describe()).run == 1
            assert (await client.start(reminds, "n", id="n")).already_started
            assert not (await client.start(reminds, "n", id="n", if_exists="again")).already_started
            assert (await client.handle("n").describe()).run == 2

    asyncio.run(scenario())


def test_the_sync_client_takes_the_same_options(tmp_path: pathlib.Path) -> None:
    with SyncClient(f"sqlite:///{tmp_path}/journal.db") as client:
        handle = client.start(reminds, "sync", id="sync", after=timedelta(days=3), memo={"a": [1]})
        assert handle.starts_at is not None
        assert handle.starts_at > datetime.now(UTC) + timedelta(days=2)
        assert handle.describe().memo == {"a": [1]}
        handle.cancel()
        assert handle.describe().status == "cancelled"


def test_the_runs_of_an_id_are_purged_and_an_open_one_keeps_its_first() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        service = HistoryService(journal, config=SHORT)
        await service.start_up()
        async with Client(LocalTransport(service)) as client, Worker(client, sagas=SAGAS):
            await (await client.start(reminds, "p", id="p")).result(10)
            handle = await client.start(hears, "p", id="p", if_exists="again")
            await asyncio.sleep(SHORT.retention_ms / 1000 + 1)
            assert (await handle.describe()).run == 2
            await handle.signal("go", 1)
            await handle.signal("go", 2)
            await handle.result(10)
            async with asyncio.timeout(PURGED_SECONDS_MAX):
                while any([await journal.runs.head(Run("default", "p", number)) for number in (1, 2)]):
                    await asyncio.sleep(0.2)
            with pytest.raises(NotFound):
                await handle.describe()

    BEGAN.clear()
    asyncio.run(scenario())
