"""What a page of the listing costs on Cassandra: `python -m benchmarks.listing [ROWS]`, 20,000 rows of one day if not given.

The rows are written as servers write them; a page of 100 is then read by each kind of filter, and once to the end.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import uuid

from durable_saga_server.journal import Filter, Head, Run
from durable_saga_server.journal.cassandra import CassandraJournal
from durable_saga_server.journal.cassandra.listing import list_row

from durable_saga.pb import history_pb2 as h
from tests.cassandra_node import CassandraNode

AT_ONCE = 64
CALLS = 30
PAGE = 100
STATUSES = (h.COMPLETED,) * 95 + (h.RUNNING,) * 3 + (h.FAILED, h.HELD)


async def fill(journal: CassandraJournal, rows: int) -> None:
    began_ms = time.time_ns() // 1_000_000 // 86_400_000 * 86_400_000
    room = asyncio.Semaphore(AT_ONCE)

    async def put(number: int) -> None:
        attributes = (("customer", f"c-{number % 1000}"), ("tier", ("gold", "silver", "iron")[number % 3]))
        head = Head(
            Run("n", f"saga-{number}"), uuid.uuid4().bytes, f"type-{number % 5}", STATUSES[number // 5 % 100], "", 1, 9,
            uuid.uuid4().bytes, began_ms + number, began_ms + number, attributes=attributes,
        )  # fmt: skip
        async with room:
            await journal._session.read("list_put", *list_row(head, began_ms // 86_400_000))

    await asyncio.gather(*(put(number) for number in range(rows)))
    await journal._session.read("day_put", "n", began_ms // 86_400_000)


async def measure(journal: CassandraJournal, words: str, wanted: Filter) -> None:
    took, count = [], 0
    for _ in range(CALLS):
        begin = time.perf_counter()
        count = len((await journal.index.listing(wanted, PAGE, "")).heads)
        took.append((time.perf_counter() - begin) * 1000)
    took.sort()
    print(f"{words:<40} {count:>4} rows  p50 {statistics.median(took):6.1f} ms  max {took[-1]:6.1f} ms", flush=True)


async def run(address: str, rows: int) -> None:
    journal = CassandraJournal([address], f"listing_{uuid.uuid4().hex[:8]}", strict=False, replication_factor=1)
    await journal.initialize()
    begin = time.perf_counter()
    await fill(journal, rows)
    print(f"{rows} rows written in {time.perf_counter() - begin:.1f} s")
    running, failed = frozenset({h.RUNNING}), frozenset({h.FAILED, h.HELD})
    for words, wanted in (
        ("everything", Filter("n")),
        ("type and status", Filter("n", "type-3", running)),
        ("two statuses", Filter("n", "", failed)),
        ("one attribute", Filter("n", attributes=(("customer", "c-7"),))),
        (
            "type, status and two attributes",
            Filter("n", "type-2", frozenset({h.COMPLETED}), (("customer", "c-7"), ("tier", "gold"))),
        ),
        ("an attribute that no row has", Filter("n", attributes=(("customer", "nobody"),))),
    ):
        await measure(journal, words, wanted)
    begin, pages, page, wanted = time.perf_counter(), 0, "", Filter("n", "type-3", frozenset({h.COMPLETED}))
    while pages == 0 or page:
        page, pages = (await journal.index.listing(wanted, PAGE, page)).next_page, pages + 1
    print(f"type and status, to the end: {pages} pages in {time.perf_counter() - begin:.2f} s")
    await journal.close()


def main() -> None:
    node = CassandraNode()
    node.start()
    try:
        asyncio.run(run(node.address, int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
    finally:
        node.stop()


if __name__ == "__main__":
    main()
