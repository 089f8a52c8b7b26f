"""What the first page of each filter costs: `python -m benchmarks.finding [SAGAS] [sqlite|cassandra]`, a million in SQLite if
not given. The rows are written in bulk, as servers write them; a page of 50 is read by each kind of filter, and the counts.
"""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Doing, Filter, Head, Journal, Run
from durable_saga_server.journal.cassandra import CassandraJournal
from durable_saga_server.journal.cassandra.listing import list_row
from durable_saga_server.journal.cassandra.parts import PART_ROWS_MAX
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.sqlite_rows import values_of
from durable_saga_server.journal.sqlite_runs import _INSERT

from durable_saga.pb import history_pb2 as h
from tests.cassandra_node import CassandraNode

CALLS = 15
PAGE = 50
AT_ONCE = 64
DAY_MS = 86_400_000
SPACING_MS = 200
"""Between two starts."""
BANK, CARD = "builtins.ConnectionError", "shop.CardDeclined"
WAITS, SLEEPS = Doing(h.WAITING, "paid", since_ms=1), Doing(h.SLEEPING, next_ms=2**41, since_ms=1)


def heads(count: int, until_ms: int) -> Iterator[Head]:
    """13 types, one of them rare; 3 % waiting, 0.4 % retrying, 0.1 % asleep, 0.01 % held; 1 % failed."""
    for number in range(count):
        started_ms = until_ms - (count - number) * SPACING_MS
        status, doing, lot = h.COMPLETED, Doing(), number % 1000
        if lot < 30:
            status, doing = h.RUNNING, WAITS
        elif lot < 34:
            status, doing = h.RUNNING, Doing(h.RETRYING, "charge", BANK, 3, 2**41, started_ms)
        elif lot == 34:
            status, doing = h.RUNNING, SLEEPS
        elif lot < 45:
            status, doing = h.FAILED, Doing(0, "book", CARD if number % 50_000 < 1000 else BANK)
        if number % 10_000 == 50:
            status, doing = h.HELD, Doing(0, "ship", BANK, 1, 0, started_ms)
        ended_ms = 0 if status in OPEN else started_ms + 5_000
        kind = "rare" if number % 100_000 == 77 else f"type-{number % 12}"
        attributes = (("customer", f"c-{number % 5000}"),)
        yield Head(
            Run("n", f"order-{number:08d}"), b"i" * 16, kind, status, "", 1, 9, b"c" * 16, started_ms,
            ended_ms or started_ms, ended_ms, attributes=attributes, doing=doing,
        )  # fmt: skip


def fill_file(path: pathlib.Path, count: int, until_ms: int) -> None:
    """Indexes are made afterwards, which takes a tenth of the time."""
    database = sqlite3.connect(path, isolation_level=None)
    for kind in ("index", "trigger"):
        of = f"SELECT name FROM sqlite_master WHERE type = '{kind}' AND sql <> '' AND name LIKE 'heads%'"
        for (name,) in database.execute(of).fetchall():
            database.execute(f"DROP {kind} {name}")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("BEGIN")
    database.executemany(_INSERT, map(values_of, heads(count, until_ms)))
    found = "namespace, 'customer', json_extract(attributes, '$[0][1]'), started_ms, saga, run FROM heads"
    database.execute(f"INSERT INTO search_attributes SELECT {found} ORDER BY 1, 2, 3, 4 DESC, 5, 6")
    tallied = "namespace, saga_type, status, build, blocked <> '', paused <> ''"
    database.execute(f"INSERT INTO tallies SELECT {tallied}, count(*) FROM heads GROUP BY 1, 2, 3, 4, 5, 6")
    standing = "namespace, sub_state, saga_type, doing, failure_type"
    database.execute(f"INSERT INTO standings SELECT {standing}, count(*) FROM heads WHERE sub_state > 0 GROUP BY 1, 2, 3, 4, 5")
    database.execute("COMMIT")
    database.close()


async def fill_keyspace(journal: CassandraJournal, count: int, until_ms: int) -> None:
    room, parts = asyncio.Semaphore(AT_ONCE), dict[int, int]()

    async def put(head: Head, part: int) -> None:
        async with room:
            await journal._session.read("list_put", *list_row(head, part))

    tasks = list[asyncio.Task[None]]()
    for number, head in enumerate(heads(count, until_ms)):
        day = head.started_ms // DAY_MS
        if parts.get(day, 0) and number % PART_ROWS_MAX == 0:
            day = head.started_ms
        part = max([one for one in parts if one >= 10**9 and one <= head.started_ms] or [day]) if parts else day
        part = part if part >= 10**9 and part // DAY_MS == head.started_ms // DAY_MS else day
        parts[part] = parts.get(part, 0) + 1
        tasks.append(asyncio.create_task(put(head, part)))
        if len(tasks) > 1000:
            await asyncio.gather(*tasks)
            tasks = []
    await asyncio.gather(*tasks)
    for part in parts:
        await journal._session.read("day_put", "n", part)


def filters(count: int, until_ms: int) -> Iterator[tuple[str, Filter]]:
    began_ms = until_ms - count * SPACING_MS
    middle_ms = began_ms + count * SPACING_MS // 2
    yield "everything", Filter("n")
    yield "type", Filter("n", "type-3")
    yield "rare type", Filter("n", "rare")
    yield "type without sagas", Filter("n", "nothing")
    yield "type, open", Filter("n", "type-3", OPEN)
    yield "failed", Filter("n", statuses=frozenset({h.FAILED}))
    yield "retrying", Filter("n", sub_states=frozenset({h.RETRYING}))
    yield "retrying, of a type", Filter("n", "type-3", sub_states=frozenset({h.RETRYING}))
    yield "waiting or sleeping", Filter("n", sub_states=frozenset({h.WAITING, h.SLEEPING}))
    yield "held", Filter("n", sub_states=frozenset({h.FAILED_AND_HELD}))
    yield "running", Filter("n", sub_states=frozenset({h.SUB_STATE_UNSPECIFIED}))
    yield "failure type", Filter("n", failure_type=CARD)
    yield "failure type, of ended ones", Filter("n", statuses=frozenset({h.FAILED}), failure_type=CARD)
    yield "failure type that nobody has", Filter("n", failure_type="builtins.NothingError")
    yield "ended in ten minutes, half way", Filter("n", ended_after_ms=middle_ms, ended_before_ms=middle_ms + 600_000)
    yield (
        "failed in ten minutes, half way",
        Filter("n", statuses=frozenset({h.FAILED}), ended_after_ms=middle_ms, ended_before_ms=middle_ms + 600_000),
    )
    yield "ended in the first half", Filter("n", ended_after_ms=began_ms, ended_before_ms=middle_ms)
    yield "prefix of one", Filter("n", id_prefix=f"order-{count // 2:08d}")
    yield "prefix of a thousand", Filter("n", id_prefix=f"order-{count // 2:08d}"[:-3])
    yield "prefix of all", Filter("n", id_prefix="order-")
    yield "attribute", Filter("n", attributes=(("customer", "c-7"),))
    yield "attribute, failed", Filter("n", statuses=frozenset({h.FAILED}), attributes=(("customer", "c-40"),))
    yield "rare type, failure type", Filter("n", "rare", failure_type=BANK)


async def measure(journal: Journal, count: int, until_ms: int) -> None:
    for words, wanted in filters(count, until_ms):
        took = []
        for _ in range(CALLS):
            begin = time.perf_counter()
            found = await journal.index.listing(wanted, PAGE, "")
            took.append((time.perf_counter() - begin) * 1000)
        more = ", and a next page" if found.next_page else ""
        say(words, took, f"{len(found.heads)} rows{more}")
    for words, ask in (("counts by state and trouble", journal.index.standings), ("tallies", journal.index.tallies)):
        took = []
        for _ in range(CALLS):
            begin = time.perf_counter()
            await ask("n")
            took.append((time.perf_counter() - begin) * 1000)
        say(words, took, "")


def say(words: str, took: list[float], what: str) -> None:
    first, rest = took[0], sorted(took)
    print(f"{words:<32} first {first:7.1f} ms  p50 {statistics.median(rest):7.1f}  max {rest[-1]:7.1f}  {what}", flush=True)


async def in_sqlite(count: int, until_ms: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "journal.db"
        journal = SqliteJournal(path)
        await journal.initialize()
        await journal.close()
        begin = time.perf_counter()
        fill_file(path, count, until_ms)
        print(f"{count} sagas written in {time.perf_counter() - begin:.0f} s, {path.stat().st_size / 1e6:.0f} MB", flush=True)
        journal = SqliteJournal(path)
        await journal.initialize()
        await measure(journal, count, until_ms)
        await journal.close()


async def in_cassandra(address: str, count: int, until_ms: int) -> None:
    keyspace = f"finding_{uuid.uuid4().hex[:8]}"
    journal = CassandraJournal([address], keyspace, strict=False, replication_factor=1)
    await journal.initialize()
    begin = time.perf_counter()
    await fill_keyspace(journal, count, until_ms)
    print(f"{count} sagas written in {time.perf_counter() - begin:.0f} s", flush=True)
    await measure(journal, count, until_ms)
    await journal._session.run(f"DROP KEYSPACE {keyspace}")
    await journal.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    until_ms = time.time_ns() // 1_000_000
    if "cassandra" not in sys.argv:
        asyncio.run(in_sqlite(count, until_ms))
        return
    node = CassandraNode()
    node.start()
    try:
        asyncio.run(in_cassandra(node.address, count, until_ms))
    finally:
        node.stop()


if __name__ == "__main__":
    main()
