"""`make bench-waiting`: many sagas that wait a day for an event, on SQLite, with one server and one worker process.

Prints how fast they were started, what the waiting ones cost in memory and processor time, and how fast an event wakes some.
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

from rich.progress import Progress

from benchmarks.workload import approved
from durable_saga import Client, connect
from durable_saga.cli.event_loop import run_fast
from examples.demo.processes import Process
from tests.cassandra_node import CassandraNode

SAGAS = int(os.environ.get("SAGAS", "100000"))
STARTS_AT_ONCE, WOKEN_ALONE, WOKEN_TOGETHER = 200, 200, 1_000
IDLE_SECONDS = 20.0
LAST_LOOKS_SECONDS = 120
"""Each saga that was at work is looked at once or twice more: `rehint_ms` and `message_write_ms` of the server's Config."""
PARKED_SECONDS_MAX = 120.0
SEED = 7


def cost(process: Process | CassandraNode) -> tuple[float, float]:
    """(resident MB, processor seconds so far)."""
    proc = pathlib.Path("/proc") / str(process.pid)
    pages = int((proc / "statm").read_text().split()[1])
    fields = (proc / "stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, ticks / os.sysconf("SC_CLK_TCK")


async def start_all(client: Client, progress: Progress) -> float:
    task = progress.add_task("started", total=SAGAS)
    numbers = iter(range(SAGAS))

    async def starter() -> None:
        for number in numbers:
            await client.start(approved, number, id=f"w-{number}")
            progress.advance(task)

    began = time.perf_counter()
    await asyncio.gather(*(starter() for _ in range(STARTS_AT_ONCE)))
    return time.perf_counter() - began


async def all_wait(client: Client, progress: Progress) -> float:
    """Until the last one has come to its event and left the worker."""
    task = progress.add_task("waiting, in no process", total=None)
    began = time.perf_counter()
    last = client.handle(f"w-{SAGAS - 1}", approved)
    while (described := await last.describe()).owner or not described.steps or described.steps[-1].state != "done":
        assert time.perf_counter() - began < PARKED_SECONDS_MAX, described
        await asyncio.sleep(0.2)
    await asyncio.sleep(3)
    progress.update(task, total=1, completed=1)
    return time.perf_counter() - began


async def wake(client: Client, number: int) -> float:
    began = time.perf_counter()
    await client.publish("approval", {"by": "ann"}, saga=f"w-{number}")
    await client.handle(f"w-{number}").result()
    return (time.perf_counter() - began) * 1000


async def measure(client: Client, processes: dict[str, Process], progress: Progress) -> dict[str, object]:
    starting = await start_all(client, progress)
    settling = await all_wait(client, progress)
    task = progress.add_task("the last looks at what was at work", total=LAST_LOOKS_SECONDS)
    for _ in range(LAST_LOOKS_SECONDS):
        await asyncio.sleep(1)
        progress.advance(task)
    idle = {name: cost(one) for name, one in processes.items()}
    await asyncio.sleep(IDLE_SECONDS)
    after = {name: cost(one) for name, one in processes.items()}
    chosen = random.Random(SEED).sample(range(SAGAS), WOKEN_ALONE + WOKEN_TOGETHER)
    alone = [await wake(client, number) for number in chosen[:WOKEN_ALONE]]
    began = time.perf_counter()
    await asyncio.gather(*(wake(client, number) for number in chosen[WOKEN_ALONE:]))
    together = time.perf_counter() - began
    return {
        "sagas": SAGAS,
        "starts_per_second": SAGAS / starting,
        "seconds_until_all_wait": settling,
        "resident_mb": {name: after[name][0] for name in processes},
        "idle_processor_share": {name: (after[name][1] - idle[name][1]) / IDLE_SECONDS for name in processes},
        "wake_p50_ms": statistics.median(alone),
        "wake_p99_ms": statistics.quantiles(alone, n=100)[98],
        f"wake_{WOKEN_TOGETHER}_at_once_seconds": together,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name, Progress(disable=not sys.stderr.isatty()) as progress:
        folder = pathlib.Path(name)
        command = ["-m", "durable_saga", "server", "--journal", f"sqlite:///{folder}/waiting.db", "--listen", "127.0.0.1:0"]
        server = Process("server", command, folder, "listening on")
        worker = Process("worker", ["-m", "durable_saga", "worker", "benchmarks.workload:approved"], folder, "worker")
        url = server.start({})
        worker.start({"DURABLE_SAGA_URL": url})

        async def run() -> dict[str, object]:
            async with connect(url) as client:
                return await measure(client, {"server": server, "worker": worker}, progress)

        try:
            found = run_fast(run())
            found["journal_mb"] = sum(one.stat().st_size for one in folder.glob("waiting.db*")) / 1e6
        finally:
            worker.stop()
            server.stop()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
