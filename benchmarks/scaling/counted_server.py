"""A history server that counts: `python -m benchmarks.scaling.counted_server JOURNAL LISTEN FILE`.

Calls of the journal by method, statements of Cassandra by name, items of Work streams by kind and by whether this server is
the home of their run. FILE has the counts as JSON and is written anew WRITES_PER_SECOND times.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import pathlib
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal.open import open_journal
from durable_saga_server.keys import run_of
from durable_saga_server.service import HistoryService

from durable_saga.cli.event_loop import run_fast

WRITES_PER_SECOND = 5


class CountedJournal:
    """Everything of a journal, with each call of its facets counted. Nothing more is done: it is measured."""

    def __init__(self, journal: Any, counts: Counter[str]) -> None:
        self._journal = journal
        for name in ("runs", "inbox", "hints", "chunks", "members", "index", "claims", "ledger"):
            setattr(self, name, CountedFacet(name, getattr(journal, name), counts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class CountedFacet:
    def __init__(self, name: str, facet: Any, counts: Counter[str]) -> None:
        self._name = name
        self._facet = facet
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._facet, name)
        if inspect.iscoroutinefunction(found):
            found = counted(found, self._counts, lambda args: [f"journal {self._name}.{name}"])
            setattr(self, name, found)
        return found


def counted(call: Callable[..., Any], counts: Counter[str], names: Callable[[Any], list[str]]) -> Callable[..., Any]:
    def counting(*args: Any, **options: Any) -> Any:
        counts.update(names(args))
        return call(*args, **options)

    return counting


def count_statements(journal: Any, counts: Counter[str]) -> None:
    """Of a Cassandra journal. A batch is one statement, under the name of its condition."""
    session = journal._session
    session.read = counted(session.read, counts, lambda args: [f"statement {args[0]}"])
    session.conditional = counted(session.conditional, counts, lambda args: [f"conditional {args[0][0]}"])


def count_items(service: HistoryService, counts: Counter[str]) -> None:
    """A commit for a run whose home is elsewhere is a wrong route; `owned` is what a worker tells the home for that reason.
    A nudge is what an engine asks of another one through the journal."""

    def names(args: Any) -> list[str]:
        item = args[1]
        kind = item.WhichOneof("kind")
        if kind not in ("commit", "release", "owned"):
            return [f"item {kind}"]
        is_home = service.cell.is_home(run_of(getattr(item, kind).key))
        return [f"item {kind}" if is_home else f"foreign {kind}"]

    streams: Any = service.streams
    streams._item = counted(streams._item, counts, names)
    mailbox: Any = service.waker.mailbox
    mailbox.nudge = counted(mailbox.nudge, counts, lambda args: ["nudge"])


async def serve(journal_url: str, listen: str, file: pathlib.Path) -> None:
    counts: Counter[str] = Counter()
    journal: Any = open_journal(journal_url, strict=False)
    if journal_url.startswith("cassandra"):
        count_statements(journal, counts)
    service = HistoryService(CountedJournal(journal, counts), name=listen)
    count_items(service, counts)
    await service.start_up()
    server = GrpcServer(service, listen)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start()
    host = listen.rpartition(":")[0]
    await service.join(f"{host}:{server.port}")
    print(f"listening on {host}:{server.port}", flush=True)
    while not stop.is_set():
        written = file.with_suffix(".new")
        written.write_text(json.dumps(counts))
        written.rename(file)
        try:
            async with asyncio.timeout(1 / WRITES_PER_SECOND):
                await stop.wait()
        except TimeoutError:
            pass  # write again
    await service.drain()
    stopping = asyncio.create_task(server.stop(1))
    await service.shut_down()
    await stopping


if __name__ == "__main__":
    run_fast(serve(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])))
