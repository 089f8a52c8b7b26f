"""What a purge takes away and what it leaves, on every store."""

from __future__ import annotations

import asyncio
import pathlib
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from durable_saga_server.journal import Commit, Committed, Created, Exists, Fenced, Filter, Head, Journal, Run, Tally
from durable_saga_server.journal.cassandra import CassandraJournal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.sqlite import SqliteJournal

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.payloads import hash_of
from tests.integration.stage import CASSANDRA, new_name

DAY_MS = 86_400_000
Stage = Callable[[Callable[[Journal, str], Awaitable[None]]], None]
_keyspace = f"purge_{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["memory", "sqlite", CASSANDRA])
def stage(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Stage:
    """Runs a scenario with a journal and a namespace of its own."""

    async def run(scenario: Callable[[Journal, str], Awaitable[None]]) -> None:
        journal: Journal = MemoryJournal()
        if request.param == "sqlite":
            journal = SqliteJournal(tmp_path / "journal.db")
        elif request.param == "cassandra":
            address = request.getfixturevalue("cassandra")
            journal = CassandraJournal([address], _keyspace, strict=False, replication_factor=1)
        await journal.initialize()
        try:
            await scenario(journal, new_name())
        finally:
            await journal.close()

    return lambda scenario: asyncio.run(run(scenario))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def begin(journal: Journal, run: Run, started_ms: int) -> Head:
    head = Head(run, uuid.uuid4().bytes, "order", h.RUNNING, "w", 1, 1, uuid.uuid4().bytes, started_ms, started_ms)
    started = h.SagaStarted(saga_type="order", seed=b"s" * 16, keys=[f"order={run.saga}"])
    outcome = await journal.runs.create(head, h.Event(seq=0, time_ms=started_ms, saga_started=started))
    assert isinstance(outcome, Created), outcome
    return head


async def end(journal: Journal, head: Head, ended_ms: int, status: int = h.FAILED) -> None:
    declared = h.Event(seq=1, time_ms=ended_ms, key_declared=h.KeyDeclared(key=f"late={head.run.saga}"))
    last = h.Event(seq=2, time_ms=ended_ms, saga_ended=h.SagaEnded(status=status))  # type: ignore[arg-type]
    commit = Commit(head.run, head.incarnation, 1, uuid.uuid4().bytes, 1, [declared, last], status, ended_ms, consumed=["read"])
    assert isinstance((await journal.runs.commit_many([commit]))[0], Committed)


async def put(journal: Journal, run: Run, *messages: str) -> None:
    for message in messages:
        item = h.InboxMessage(message_id=message, received_ms=now_ms())
        item.cancel.reason = message
        assert await journal.inbox.put(run, item)


async def is_bare(journal: Journal, run: Run, value: bytes) -> bool:
    """Nothing of the run is left."""
    keyed = [await journal.index.keyed(run.namespace, f"{name}={run.saga}", 10) for name in ("order", "late")]
    found = await asyncio.gather(
        journal.runs.head(run), journal.runs.events(run, 0, 10), journal.inbox.unread(run), journal.inbox.has(run, "read"),
        journal.chunks.read(run, hash_of(value), 0, 10), journal.index.changes(run.namespace, 0, 10),
        journal.index.tallies(run.namespace),
    )  # fmt: skip
    listed = (await journal.index.listing(Filter(run.namespace), 10, "")).heads
    return not any(map(bool, [*found, *keyed, listed]))


def test_nothing_is_left_of_a_purged_run_and_its_id_is_free_at_once(stage: Stage) -> None:
    async def scenario(journal: Journal, namespace: str) -> None:
        run, value = Run(namespace, "a"), b"v" * 50_000
        for _ in range(3):
            head = await begin(journal, run, now_ms())
            await put(journal, run, "read", "unread")
            await journal.chunks.put(run, hash_of(value), 0, [value], now_ms())
            assert (await journal.index.tallies(namespace)) == [Tally("order", h.RUNNING, 1)]
            assert isinstance(await journal.runs.purge(run, head.incarnation, now_ms()), Fenced), "it is open"
            await end(journal, head, now_ms())
            assert isinstance(await journal.runs.create(head, h.Event()), Exists)
            assert [one.run for one in await journal.index.changes(namespace, 0, 10)] == [run]
            await asyncio.sleep(0.01)
            assert isinstance(await journal.runs.purge(run, b"another" * 2, now_ms()), Fenced)
            assert isinstance(await journal.runs.purge(run, head.incarnation, now_ms()), Committed)
            assert await is_bare(journal, run, value)
            assert isinstance(await journal.runs.purge(run, head.incarnation, now_ms()), Committed), "again changes nothing"

    stage(scenario)


def test_a_purge_that_comes_late_takes_nothing_from_a_new_run_of_the_same_name(stage: Stage) -> None:
    async def scenario(journal: Journal, namespace: str) -> None:
        run, value = Run(namespace, "a"), b"v" * 50_000
        old = await begin(journal, run, now_ms())
        await end(journal, old, now_ms())
        await asyncio.sleep(0.01)
        before_ms = now_ms()
        assert isinstance(await journal.runs.purge(run, old.incarnation, before_ms), Committed)
        new = await begin(journal, run, now_ms() + 1)
        await put(journal, run, "read", "m")
        await journal.chunks.put(run, hash_of(value), 0, [value], now_ms())
        assert isinstance(await journal.runs.purge(run, old.incarnation, before_ms), Fenced)
        await journal.index.drop_key(namespace, "order=a", run, before_ms)
        assert await journal.runs.head(run) == new
        assert len(await journal.runs.events(run, 0, 10)) == 1
        assert sorted(one.message_id for one in await journal.inbox.unread(run)) == ["m", "read"]
        assert await journal.chunks.read(run, hash_of(value), 0, 10) == [value]
        assert await journal.index.keyed(namespace, "order=a", 10) == [run]
        listed = (await journal.index.listing(Filter(namespace), 10, "")).heads
        assert [(one.run, one.incarnation) for one in listed] == [(run, new.incarnation)]

    stage(scenario)


def test_statistics_do_not_count_what_was_purged_and_a_day_without_runs_is_forgotten(stage: Stage) -> None:
    async def scenario(journal: Journal, namespace: str) -> None:
        long_ago = now_ms() - 40 * DAY_MS
        heads = [await begin(journal, Run(namespace, f"s{n}"), long_ago + n) for n in range(6)]
        for head in heads:
            await end(journal, head, long_ago + 100, h.COMPLETED)
        for left in range(5, -1, -1):
            assert await journal.index.tallies(namespace) == [Tally("order", h.COMPLETED, left + 1)]
            assert await journal.index.tallies(namespace) == [Tally("order", h.COMPLETED, left + 1)], "counted once, and kept"
            assert isinstance(await journal.runs.purge(heads[left].run, heads[left].incarnation, now_ms()), Committed)
            page = await journal.index.listing(Filter(namespace), 3, "")
            assert [one.run.saga for one in page.heads] == [f"s{n}" for n in range(left)][::-1][:3]
        for _ in range(2):
            assert await journal.index.tallies(namespace) == []
        await begin(journal, Run(namespace, "new"), now_ms())
        assert await journal.index.tallies(namespace) == [Tally("order", h.RUNNING, 1)]

    stage(scenario)


def test_a_late_commit_acquire_or_link_of_a_purged_run_does_not_bring_it_back(stage: Stage) -> None:
    async def scenario(journal: Journal, namespace: str) -> None:
        run = Run(namespace, "a")
        head = await begin(journal, run, now_ms())
        await end(journal, head, now_ms())
        await asyncio.sleep(0.01)
        await journal.runs.purge(run, head.incarnation, now_ms())
        event = h.Event(seq=1, time_ms=now_ms(), timer_fired=h.TimerFired(due_ms=1))
        commit = Commit(run, head.incarnation, 1, uuid.uuid4().bytes, 1, [event], h.RUNNING, now_ms())
        for _ in range(2):
            assert isinstance((await journal.runs.commit_many([commit]))[0], Fenced)
            assert isinstance(await journal.runs.acquire(run, head.incarnation, 1, "late", now_ms()), Fenced)
            await journal.runs.advance(run, head.incarnation, 2)
            assert await journal.runs.head(run) is None
            assert await journal.runs.events(run, 0, 10) == []
            head = replace(head, epoch=2)

    stage(scenario)
