"""What a saga costs the journal: statements counted on a real Cassandra, calls on the memory journal."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from durable_saga_server.config import Config
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal import Journal
from durable_saga_server.journal.cassandra import CassandraJournal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Worker, connect, saga, step

SAGAS = 20
CONFIG = Config(rehint_ms=3_000, horizon_ms=6_000, hint_late_ms=1_000, sweep_ms=500, lease_ms=4_000)
HINTS_OVER_SECONDS = 5.0
LOOKS = {"head", "head_seen", "inbox", "events", "list_put", "log_rows"}
BY_CHANCE = 10
"""Of a loaded machine: a saga that is not given away with its start, or an end that is not listed yet when its hint is due."""


@step
async def double(number: int) -> int:
    return 2 * number


@saga
async def two_steps(number: int) -> int:
    return await double(await double(number))


class Counted(WrappedJournal):
    """Calls by name."""

    def __init__(self, journal: Journal, counts: Counter[str]) -> None:
        super().__init__(journal)
        self._counts = counts

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        self._counts[name] += 1
        return await call(*args)


def count_statements(journal: CassandraJournal, counts: Counter[str]) -> None:
    """By name; a batch is one, by its first statement."""
    session: Any = journal._session
    read, together, conditional = session.read, session.write_together, session.conditional

    async def counted_read(name: str, *values: Any) -> Any:
        counts[name] += 1
        return await read(name, *values)

    async def counted_together(name: str, rows: Any) -> None:
        counts[name] += 1
        await together(name, rows)

    async def counted_conditional(*parts: Any) -> Any:
        counts[parts[0][0]] += 1
        return await conditional(*parts)

    session.read, session.write_together, session.conditional = counted_read, counted_together, counted_conditional


@asynccontextmanager
async def serving(journal: Journal) -> AsyncIterator[Client]:
    service = HistoryService(journal, config=CONFIG)
    await service.start_up()
    server = GrpcServer(service, "127.0.0.1:0")
    await server.start()
    async with connect(f"127.0.0.1:{server.port}") as client, Worker(client, sagas=[two_steps]):
        yield client
    await server.stop(0)
    await service.shut_down()


async def run_all(client: Client) -> None:
    handles = [await client.start(two_steps, number) for number in range(SAGAS)]
    assert [await handle.result() for handle in handles] == [4 * number for number in range(SAGAS)]


def since(counts: Counter[str], before: Counter[str]) -> Counter[str]:
    return +(counts - before)


def test_the_hints_of_a_saga_that_ended_here_cost_no_look() -> None:
    async def play() -> None:
        counts: Counter[str] = Counter()
        async with serving(Counted(MemoryJournal(), counts)) as client:
            await run_all(client)
            before = counts.copy()
            await asyncio.sleep(HINTS_OVER_SECONDS)
            assert since(counts, before)["runs.head"] == 0

    asyncio.run(play())


def test_a_client_that_waits_costs_no_read_where_the_saga_is_at_work_and_one_if_it_was_completed_a_moment_ago() -> None:
    async def play() -> None:
        counts: Counter[str] = Counter()
        async with serving(Counted(MemoryJournal(), counts)) as client:
            await run_all(client)
            assert counts["runs.glance"] + counts["runs.events"] <= BY_CHANCE
            assert counts["runs.head"] <= SAGAS + BY_CHANCE

    asyncio.run(play())


def test_a_server_that_starts_looks_once_at_what_has_ended() -> None:
    async def play() -> None:
        counts: Counter[str] = Counter()
        journal = MemoryJournal()
        async with serving(journal) as client:
            await run_all(client)
        async with serving(Counted(journal, counts)):
            await asyncio.sleep(HINTS_OVER_SECONDS)
        assert counts["runs.head"] == SAGAS

    asyncio.run(play())


@pytest.mark.cassandra
@pytest.mark.timeout(300)
@pytest.mark.parametrize("commits", ["conditional", "log"])
def test_on_cassandra_a_saga_costs_so_many_statements(cassandra: str, commits: str) -> None:
    keyspace = f"counted_{uuid.uuid4().hex[:8]}"

    def journal(counts: Counter[str]) -> CassandraJournal:
        found = CassandraJournal([cassandra], keyspace, strict=False, replication_factor=1, commits=commits)
        count_statements(found, counts)
        return found

    async def play() -> None:
        counts: Counter[str] = Counter()
        async with serving(journal(counts)) as client:
            before = counts.copy()
            await run_all(client)
            await asyncio.sleep(1.5)
            at_work, before = since(counts, before), counts.copy()
            await asyncio.sleep(HINTS_OVER_SECONDS)
            after = since(counts, before)
        again: Counter[str] = Counter()
        async with serving(journal(again)):
            await asyncio.sleep(HINTS_OVER_SECONDS)
        conditional = sum(at_work[name] for name in ("create_head", "commit", "commit_and_release", "turn", "take", "acquire"))
        assert conditional <= SAGAS * (2 if commits == "log" else 4) + BY_CHANCE
        assert at_work["log_row"] <= (2 * SAGAS + BY_CHANCE if commits == "log" else 0)
        assert at_work["add_near"] <= SAGAS + BY_CHANCE
        assert at_work["head_seen"] + at_work["events"] <= 2 * BY_CHANCE
        assert at_work["head"] <= 2 * SAGAS + 2 * BY_CHANCE, "one a result; a slow machine looks again"
        assert not after.keys() & LOOKS
        assert again["head"] <= 2 * SAGAS, "twice where a hint is due before the row of the listing is written"
        assert again["head_seen"] <= BY_CHANCE

    asyncio.run(play())
