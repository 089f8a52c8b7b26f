"""`make bench`: how fast, on this machine, in one run. Figures of different runs do not compare; ratios within one do.

All processes run on uvloop. SQLite: WAL, synchronous FULL. TLS is that of the server's port; with identity each call is looked
at and each start is recorded in the audit log. CASSANDRA=1 adds a real node, started here, once with a commit log
that syncs before it answers (what `strict` asks for) and once with Cassandra's own default, which syncs every ten seconds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.workload import chain
from durable_saga import Client, codec, connect
from durable_saga.cli.event_loop import run_fast
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import Core
from examples.demo.processes import Process

STEPS, ONE_AT_A_TIME, THROUGHPUT_SAGAS, OUTSTANDING, REPLAYED_STEPS, LIVE_SAGAS = 10, 100, 300, 50, 5_000, 500


async def measure(client: Client) -> dict[str, float]:
    await (await client.start(chain, STEPS)).result()
    starts, ends = [], []
    for _ in range(ONE_AT_A_TIME):
        began = time.perf_counter()
        handle = await client.start(chain, STEPS)
        starts.append(time.perf_counter() - began)
        await handle.result()
        ends.append(time.perf_counter() - began)
    room = asyncio.Semaphore(OUTSTANDING)

    async def one() -> None:
        async with room:
            await (await client.start(chain, STEPS)).result()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(THROUGHPUT_SAGAS)))
    seconds = time.perf_counter() - began
    return {
        "p50_ms": statistics.median(ends) * 1000,
        "p99_ms": statistics.quantiles(ends, n=100)[98] * 1000,
        "start_p50_ms": statistics.median(starts) * 1000,
        "steps_per_second": THROUGHPUT_SAGAS * STEPS / seconds,
    }


@dataclass(frozen=True)
class Door:
    """What the server asks for, and what worker and client show."""

    words: tuple[str, ...] = ()
    scheme: str = ""
    ca: str = ""
    token: str = ""


def with_tls(folder: pathlib.Path) -> Door:
    from tests.access.authority import Authority

    ca = Authority(folder)
    pair = ca.issue("server", ["127.0.0.1"])
    return Door(("--tls-cert", pair.cert, "--tls-key", pair.key), "grpcs://", ca.file)


def with_token(door: Door, journal: str) -> Door:
    command = [sys.executable, "-m", "durable_saga", "token", "create", "bench", "--role", "admin", "--url", journal]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return replace(door, words=(*door.words, "--tokens"), token=made)


def with_processes(journal: str, folder: pathlib.Path, door: Door | None = None) -> dict[str, float]:
    """Server and worker in processes of their own, through gRPC."""
    door = door or Door()
    command = ["-m", "durable_saga", "server", "--journal", journal, "--listen", "127.0.0.1:0", "--no-strict", *door.words]
    server = Process("server", command, folder, "listening on")
    worker = Process("worker", ["-m", "durable_saga", "worker", "benchmarks.workload:chain"], folder, "worker")
    url = door.scheme + server.start({})
    worker.start({"DURABLE_SAGA_URL": url, "DURABLE_SAGA_CA": door.ca, "DURABLE_SAGA_TOKEN": door.token})

    async def run() -> dict[str, float]:
        async with connect(url, ca=door.ca, token=door.token) as client:
            return await measure(client)

    try:
        return run_fast(run())  # type: ignore[no-any-return]
    finally:
        worker.stop()
        server.stop()


async def thick(journal: str) -> dict[str, float]:
    """Engine, worker and client in one process."""
    from durable_saga import Worker

    async with connect(journal, strict=False) as client, Worker(client, sagas=[chain]):
        return await measure(client)


def started(steps: int) -> h.Event:
    data = codec.encode_call((steps,), {}, where="input")
    return h.Event(seq=0, time_ms=1, saga_started=h.SagaStarted(saga_type="chain", input=p.Payload(data=data), seed=b"0" * 16))


def core_figures() -> dict[str, float]:
    """Replayed events a second in the core alone, and bytes of a live saga that waits in its second step."""
    key = h.RunKey(namespace="n", saga="s", run=1)
    core = Core(chain.definition, key)
    core.replay([started(REPLAYED_STEPS)])
    journal = [started(REPLAYED_STEPS), *core.take().events]
    while not core.ended:
        call = journal[-1].step_scheduled.call
        payload = p.Payload(data=codec.encode({"number": 1}, where="r"))
        core.feed(h.Event(step_completed=h.StepCompleted(call=call, result=payload, attempt=1)), 2)
        journal += core.take().events
    began = time.perf_counter()
    Core(chain.definition, key).replay(journal)
    seconds = time.perf_counter() - began
    gc.collect()
    tracemalloc.start()
    alive = [Core(chain.definition, key) for _ in range(LIVE_SAGAS)]
    for one in alive:
        one.replay(journal[:4])
        one.take()
    size = tracemalloc.get_traced_memory()[0] / LIVE_SAGAS
    tracemalloc.stop()
    return {"replayed_events_per_second": len(journal) / seconds, "live_saga_bytes": size}


def main() -> None:
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows["SQLite, gRPC"] = with_processes(f"sqlite:///{folder}/served.db", folder)
        tls = with_tls(folder)
        rows["SQLite, gRPC, TLS"] = with_processes(f"sqlite:///{folder}/tls.db", folder, tls)
        guarded = f"sqlite:///{folder}/guarded.db"
        rows["SQLite, gRPC, TLS, identity and audit"] = with_processes(guarded, folder, with_token(tls, guarded))
        rows["SQLite, thick"] = run_fast(thick(f"sqlite:///{folder}/thick.db"))
        if os.environ.get("CASSANDRA"):
            from tests.cassandra_node import CassandraNode

            for commitlog in ("group", "periodic"):
                node = CassandraNode(commitlog=commitlog)
                node.start()
                for label, option in (("", ""), (", commits in a log", "&commits=log")):
                    journal = f"cassandra://{node.address}/bench{len(rows)}?replication_factor=1{option}"
                    rows[f"Cassandra, one node, commit log {commitlog}, gRPC{label}"] = with_processes(journal, folder)
                node.stop()
    core = core_figures()
    if not sys.stdout.isatty():
        print(json.dumps({"rows": rows, "core": core}))
        return
    table = Table("journal", "10 steps p50 ms", "p99 ms", "start p50 ms", "steps/s, 50 outstanding")
    for label, row in rows.items():
        table.add_row(label, *(f"{row[key]:,.1f}" for key in ("p50_ms", "p99_ms", "start_p50_ms", "steps_per_second")))
    Console().print(table)
    print(
        f"core: {core['replayed_events_per_second']:,.0f} replayed events/s, {core['live_saga_bytes']:,.0f} bytes a live saga"
    )


if __name__ == "__main__":
    main()
