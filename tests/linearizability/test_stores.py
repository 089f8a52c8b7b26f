"""What concurrent clients see of the real stores is linearizable, under faults too; what is acknowledged stands.

A failure names its seed; `drive` with it repeats what the clients do, though not the timing of a store.
"""

from __future__ import annotations

import asyncio
import pathlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from durable_saga_server.journal import Commit, Committed, Head, Journal, Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal

from tests.linearizability.checker import check
from tests.linearizability.clients import drive

CALLS_LEAST = 150


async def judge(journals: Sequence[Journal], seeds: range) -> None:
    """Raises AssertionError for a history that has no order, or lost what was acknowledged."""
    for seed in seeds:
        namespace = uuid.uuid4().hex
        recorder, acknowledged = await drive(journals, namespace, seed)
        runs = recorder.calls()
        assert sum(len(calls) for calls in runs.values()) >= CALLS_LEAST, "there is something to check"
        for run, calls in runs.items():
            assert (wrong := check(calls)) is None, f"seed {seed}, {run.saga}: {wrong}"
        assert acknowledged, f"seed {seed}: somebody got on"
        await stands(journals[0], runs, acknowledged, seed)


async def stands(journal: Journal, runs: dict[Run, Any], acknowledged: Sequence[Commit], seed: int) -> None:
    """The history is as long as the head says and holds each acknowledged event as it was sent."""
    for run in runs:
        head = await journal.runs.head(run)
        events = list(await journal.runs.events(run, 0, 1_000))
        assert len(events) == (head.next_seq if head else 0), f"seed {seed}, {run.saga}"
        assert [event.seq for event in events] == list(range(len(events))), f"seed {seed}, {run.saga}"
        sent = [event for commit in acknowledged if commit.run == run for event in commit.events]
        assert [event for event in sent if events[event.seq] != event] == [], f"seed {seed}, {run.saga}: replaced or lost"


def test_what_clients_see_of_the_memory_journal_is_linearizable() -> None:
    asyncio.run(judge([MemoryJournal()], range(20)))


def test_what_clients_of_one_sqlite_file_see_is_linearizable(tmp_path: pathlib.Path) -> None:
    async def run() -> None:
        journals = [SqliteJournal(tmp_path / "journal.db") for _ in range(3)]
        for one in journals:
            await one.initialize()
        try:
            await judge(journals, range(8))
        finally:
            for one in journals:
                await one.close()

    asyncio.run(run())


@pytest.mark.cassandra
@pytest.mark.timeout(300)
@pytest.mark.parametrize("commits", [("conditional", "conditional"), ("log", "log"), ("log", "conditional")], ids="-".join)
def test_what_clients_of_a_cassandra_see_is_linearizable(cassandra: str, commits: tuple[str, str]) -> None:
    from durable_saga_server.journal.cassandra import CassandraJournal

    async def run() -> None:
        keyspace = f"linear_{uuid.uuid4().hex[:8]}"
        journals = [CassandraJournal([cassandra], keyspace, strict=False, replication_factor=1, commits=one) for one in commits]
        for one in journals:
            await one.initialize()
        try:
            await judge(journals, range(4))
        finally:
            for one in journals:
                await one.close()

    asyncio.run(run())


# --- planted bugs ----------------------------------------------------------------------------------------------------------


class StaleReads(WrappedJournal):
    """Every third read tells what the read before it told."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self._reads = 0
        self._told: dict[Run, Head | None] = {}

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name != "runs.head":
            return await call(*args)
        (run,) = args
        self._reads += 1
        if self._reads % 3 or run not in self._told:
            self._told[run] = await call(run)
        return self._told[run]


class LosesCommits(WrappedJournal):
    """Every tenth commit is acknowledged and not written."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self._commits = 0

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        self._commits += name == "runs.commit_many"
        if name == "runs.commit_many" and self._commits % 10 == 0:
            return [Committed() for _ in args[0]]
        return await call(*args)


class IgnoresTheEpoch(WrappedJournal):
    """A commit is written under whatever epoch the head has."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name != "runs.commit_many":
            return await call(*args)
        heads = [await self._journal.runs.head(one.run) for one in args[0]]
        return await call([replace(one, epoch=head.epoch) if head else one for one, head in zip(args[0], heads, strict=True)])


class GivesOneEpochTwice(WrappedJournal):
    """An acquire that comes one epoch too late gets that epoch all the same."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        outcome = await call(*args)
        if name != "runs.acquire" or isinstance(outcome, Committed):
            return outcome
        run, _, epoch, owner, _ = args
        head = await self._journal.runs.head(run)
        if head is not None and head.epoch == epoch + 1:
            return Committed(replace(head, owner=owner))
        return outcome


@pytest.mark.parametrize("planted", [StaleReads, LosesCommits, IgnoresTheEpoch, GivesOneEpochTwice])
def test_a_bug_that_is_planted_in_a_store_is_found(planted: type[Journal]) -> None:
    with pytest.raises(AssertionError, match="no order"):
        asyncio.run(judge([planted()], range(10)))
