"""The ledgers of all stores say the same: tokens, and the audit log page by page."""

from __future__ import annotations

import asyncio
import pathlib
import time
import uuid
from collections.abc import Sequence

import pytest
from durable_saga_server.journal.cassandra import CassandraJournal
from durable_saga_server.journal.ledger import Entry, Ledger, MemoryLedger, TokenRow, Wanted
from durable_saga_server.journal.sqlite import SqliteJournal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hypothesis_profile import examples

DAY_MS = 86_400_000
NOW_MS = time.time_ns() // 1_000_000
names = st.sampled_from(["", "a", "b", "é/\n"])
times = st.integers(-4, 3).map(lambda step: NOW_MS + step * DAY_MS // 3)
entries = st.builds(
    Entry, times, st.integers(0, 20).map(lambda n: bytes([n]) * 16), names, names, st.sampled_from(["Start", "Cancel"]), names,
    st.binary(max_size=8), st.sampled_from([NOW_MS - 1, NOW_MS + 400 * DAY_MS]),
)  # fmt: skip
tokens = st.builds(
    TokenRow, st.sampled_from(["t1", "t2", "t3"]), names, st.binary(max_size=4), st.binary(max_size=4), times, names, times,
    st.sampled_from([0, NOW_MS]),
)  # fmt: skip
wanted = st.builds(Wanted, times, times, names, names, st.sampled_from(["", "Cancel"]), names)


async def read(ledger: Ledger, wanted: Wanted, limit: int) -> list[Entry]:
    """All pages, one after the other."""
    found: list[Entry] = []
    page = ""
    while True:
        one = await ledger.entries(wanted, limit, page, NOW_MS)
        assert len(one.entries) <= limit
        found += one.entries
        if not (page := one.next_page):
            return found


async def agree(
    ledger: Ledger, batches: Sequence[Sequence[Entry]], rows: Sequence[TokenRow], asked: Wanted, limit: int
) -> None:
    reference = MemoryLedger()
    for one in (reference, ledger):
        for batch in batches:
            await one.append(batch)
        for row in rows:
            await one.put_token(row)
    everything = Wanted(0, NOW_MS + 10 * DAY_MS)
    for question in (everything, asked):
        assert await read(ledger, question, limit) == await read(reference, question, 1_000)
    assert await ledger.tokens() == await reference.tokens()


@given(st.lists(st.lists(entries, max_size=6), max_size=4), st.lists(tokens, max_size=4), wanted, st.integers(1, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60), deadline=None)
def test_sqlite_says_what_memory_says(
    tmp_path: pathlib.Path, batches: list[list[Entry]], rows: list[TokenRow], asked: Wanted, limit: int
) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / f"{uuid.uuid4().hex}.db")
        await journal.initialize()
        await agree(journal.ledger, batches, rows, asked, limit)
        over = [one for one in await all_rows(journal) if one <= NOW_MS]
        assert await journal.ledger.drop_entries(NOW_MS) == len(over)
        assert await journal.ledger.drop_entries(NOW_MS) == 0
        await journal.close()

    asyncio.run(scenario())


async def all_rows(journal: SqliteJournal) -> list[int]:
    return await journal._hands.read(lambda db: [row[0] for row in db.execute("SELECT until_ms FROM audit")])


@pytest.mark.cassandra
@pytest.mark.timeout(300)
def test_cassandra_says_what_memory_says(cassandra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In days of its own for each example, since one keyspace is there for all; small pieces are read at once."""
    monkeypatch.setattr("durable_saga_server.journal.cassandra.ledger.ROWS_PER_SLOT", 2)
    monkeypatch.setattr("durable_saga_server.journal.cassandra.ledger.ROWS_LOOKED_AT_MAX", 7)
    with asyncio.Runner() as runner:
        journal = CassandraJournal([cassandra], f"ledger_{uuid.uuid4().hex[:8]}", strict=False, replication_factor=1)
        runner.run(journal.initialize())

        @given(st.lists(st.lists(entries, max_size=6), max_size=4), st.lists(tokens, max_size=4), wanted, st.integers(1, 5))
        @settings(max_examples=examples(40), deadline=None)
        def play(batches: list[list[Entry]], rows: list[TokenRow], asked: Wanted, limit: int) -> None:
            for table in ("tokens", "audit", "audit_days"):
                runner.run(journal._session.run(f"TRUNCATE TABLE {journal._keyspace}.{table}"))
            journal.ledger._days.clear()
            runner.run(agree(journal.ledger, batches, rows, asked, limit))

        play()
        runner.run(journal.close())


def test_a_page_that_nobody_gave_is_refused_by_every_store(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "a.db")
        await journal.initialize()
        for ledger in (MemoryLedger(), journal.ledger):
            for page in ("x", "1/", "/00", "1/" + "g" * 32, "9" * 19 + "/" + "0" * 32):
                with pytest.raises(ValueError, match=r"page|hex"):
                    await ledger.entries(Wanted(0, NOW_MS), 1, page, NOW_MS)
        await journal.close()

    asyncio.run(scenario())
