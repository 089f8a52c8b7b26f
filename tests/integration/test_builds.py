"""Builds side by side: a run goes to code that can go on with it, at once, and not again to code that can't."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from durable_saga_server.journal import Filter
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Handle, SagaMonitor, Worker, event, saga, step
from durable_saga.client import raw
from durable_saga.transport.transport import LocalTransport

SAGAS = 1_000
replayed: Counter[str] = Counter()


@step
async def pack(what: str) -> str:
    return what


@step
async def weigh(what: str) -> str:
    return what


@saga(name="parcel")
async def old_code() -> str:
    await pack("a")
    await event("go")
    return await pack("old")


@saga(name="parcel")
async def new_code() -> str:
    replayed["new"] += 1
    await weigh("a")
    await event("go")
    return await pack("new")


@saga(name="parcel")
async def later_code() -> str:
    """Differs from the old code behind the event alone."""
    await pack("a")
    await event("go")
    await weigh("a")
    return await pack("later")


@asynccontextmanager
async def serving(journal: MemoryJournal | None = None) -> AsyncIterator[HistoryService]:
    service = HistoryService(journal or MemoryJournal())
    await service.start_up()
    try:
        yield service
    finally:
        await service.shut_down()


def client_of(service: HistoryService) -> Client:
    return Client(LocalTransport(service))


async def parked(service: HistoryService, count: int) -> None:
    """All of them have no owner, so they wait for their event."""
    while True:
        listed = await service.journal.index.listing(Filter("default"), count, "")
        if len(listed.heads) == count and not any(head.owner for head in listed.heads):
            return
        await asyncio.sleep(0.05)


async def begin(service: HistoryService, count: int = 1) -> list[Handle[str]]:
    """With the old code."""
    client = client_of(service)
    async with Worker(client, sagas=[old_code], build="1", sagas_max=2_000):
        handles = [await client.start(old_code, id=f"p-{number}") for number in range(count)]
        for handle in handles:
            while (await raw.describe(handle)).next_seq < 3:
                await asyncio.sleep(0.01)
    await parked(service, count)
    return handles


async def blocked_for(service: HistoryService, seconds: dict[str, float]) -> None:
    """Counts up how long each was blocked."""
    while True:
        await asyncio.sleep(0.05)
        for head in (await service.journal.index.listing(Filter("default", blocked=True), SAGAS, "")).heads:
            seconds[head.run.saga] = seconds.get(head.run.saga, 0) + 0.05


def test_of_a_thousand_open_sagas_none_is_blocked_while_a_fitting_build_has_room() -> None:
    async def scenario() -> None:
        async with serving() as service:
            handles = await begin(service, SAGAS)
            assert all(one.build == "1" for one in service.journal.tables.heads.values())  # type: ignore[attr-defined]
            client, blocked = client_of(service), dict[str, float]()
            replayed.clear()
            async with Worker(client, sagas=[new_code], build="2"), Worker(client, sagas=[old_code], build="1", sagas_max=400):
                watching = asyncio.create_task(blocked_for(service, blocked))
                await asyncio.gather(*(handle.signal("go") for handle in handles))
                assert [await handle.result() for handle in handles] == ["old"] * SAGAS
                fresh = await client.start(new_code, id="fresh")
                while (await raw.describe(fresh)).next_seq < 3:
                    await asyncio.sleep(0.01)
                watching.cancel()
            assert max(blocked.values(), default=0) <= 1
            assert replayed["new"] <= SAGAS + 1, "one that refuses a run gets it no more"

    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_a_run_that_a_build_stumbles_over_later_goes_on_with_what_it_has_done() -> None:
    async def scenario() -> None:
        async with serving() as service:
            (handle,) = await begin(service)
            client = client_of(service)
            async with Worker(client, sagas=[later_code], build="3"):
                await handle.signal("go")
                assert await handle.result() == "later"
            events = await raw.history(handle)
            assert [one.build for one in events if one.build] == ["1"], "that with which it began"
            assert (await raw.describe(handle)).build == "1"

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_when_all_have_refused_it_is_blocked_and_another_build_ends_that_at_once() -> None:
    async def scenario() -> None:
        async with serving() as service:
            (handle,) = await begin(service)
            client = client_of(service)
            replayed.clear()
            async with Worker(client, sagas=[new_code], build="2"), Worker(client, sagas=[new_code], build="2b"):
                await handle.signal("go")
                while not (found := await raw.describe(handle)).blocked or found.owner:
                    await asyncio.sleep(0.01)
                assert replayed["new"] == 2, "each build was asked once"
                assert "weigh" in found.blocked
                while found.wake_at_ms - found.updated_ms < 4_000:  # tried ever more slowly
                    await asyncio.sleep(0.05)
                    found = await raw.describe(handle)
                loop = asyncio.get_running_loop()
                began = loop.time()
                async with Worker(client, sagas=[old_code], build="1"):
                    assert await handle.result() == "old"
                    assert loop.time() - began < 1

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_run_that_its_build_has_no_room_for_waits_and_is_not_blocked() -> None:
    async def scenario() -> None:
        async with serving() as service:
            handles = await begin(service, 3)
            client, blocked = client_of(service), dict[str, float]()
            async with Worker(client, sagas=[new_code], build="2"), Worker(client, sagas=[old_code], build="1", sagas_max=1):
                watching = asyncio.create_task(blocked_for(service, blocked))
                await asyncio.gather(*(handle.signal("go") for handle in handles))
                assert [await handle.result() for handle in handles] == ["old"] * 3
                watching.cancel()
            assert not blocked

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_it_is_seen_as_blocked_when_only_those_are_left_that_have_refused_it() -> None:
    async def scenario() -> None:
        async with serving() as service:
            (handle,) = await begin(service)
            client = client_of(service)
            async with Worker(client, sagas=[new_code], build="2"):
                async with Worker(client, sagas=[old_code], build="1") as old:
                    await client.handle(handle.id).signal("other")
                    await asyncio.sleep(0.2)
                    old.stop()
                await handle.signal("go")
                while not (await raw.describe(handle)).blocked:
                    await asyncio.sleep(0.02)
                async with Worker(client, sagas=[old_code], build="1"):
                    assert await handle.result() == "old"

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("builds", [("", ""), ("1", "")])
def test_workers_that_tell_no_build_are_asked_one_by_one(monkeypatch: pytest.MonkeyPatch, builds: tuple[str, str]) -> None:
    """As those of version 0.1 of today: the worker stands for its code."""

    async def scenario() -> None:
        async with serving() as service:
            (handle,) = await begin(service)
            client = client_of(service)
            new, old = Worker(client, sagas=[new_code]), Worker(client, sagas=[old_code])
            new.build, old.build = builds
            async with new, old:
                await handle.signal("go")
                assert await handle.result() == "old"

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_blocked_sagas_are_counted_listed_and_told_once() -> None:
    async def scenario() -> None:
        async with serving() as service:
            handles = await begin(service, 3)
            client, told = client_of(service), list[tuple[str, str]]()
            monitor = SagaMonitor(client)
            monitor.on("saga_blocked")(lambda saga_id, reason: told.append((saga_id, reason)))
            async with Worker(client, sagas=[new_code], build="2"):
                fresh = await client.start(new_code, id="fresh")
                for handle in handles:
                    await handle.signal("go")
                while (found := await client.statistics()).blocked < 3:
                    await asyncio.sleep(0.02)
                assert found.blocked_by_build == {"1": 3}
                assert found.open_by_build == {"1": 3, "2": 1}
                assert sorted([one.id async for one in client.list(blocked=True)]) == ["p-0", "p-1", "p-2"]
                assert [one.id async for one in client.list(build="2")] == [fresh.id]
                for _ in range(2):
                    await monitor.check()
                assert sorted(saga_id for saga_id, _ in told) == ["p-0", "p-1", "p-2"]
                assert all("NonDeterminism" in reason for _, reason in told)
                async with Worker(client, sagas=[old_code], build="1"):
                    for handle in handles:
                        await handle.result()
                    assert (await client.statistics()).blocked == 0
                    assert not [one async for one in client.list(blocked=True)]

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_blocked_saga_goes_on_at_once_when_a_new_build_comes_to_a_server_that_was_restarted() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        async with serving(journal) as service:
            (handle,) = await begin(service)
            async with Worker(client_of(service), sagas=[new_code], build="2"):
                await handle.signal("go")
                while not (await raw.describe(handle)).blocked:
                    await asyncio.sleep(0.05)
        (run, head), *_ = journal.tables.heads.items()
        journal.tables.heads[run] = replace(head, wake_at_ms=head.wake_at_ms + 600_000)
        async with serving(journal) as service:
            client = client_of(service)
            async with Worker(client, sagas=[old_code], build="1"):
                assert await asyncio.wait_for(client.handle(handle.id).result(), 5) == "old"

    asyncio.run(asyncio.wait_for(scenario(), 60))
