"""Where the parts of the benchmark run: counted servers on one journal, workers with room, and what both cost."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from benchmarks.waiting import cost
from benchmarks.workload import chain
from durable_saga import Client, connect
from durable_saga.cli.event_loop import run_fast
from examples.demo.processes import Process
from tests.cassandra_node import CassandraNode

STEPS = 10
WRITTEN_SECONDS = 0.5
"""So long counts may take to be in their file."""
ROOM = 1_000


@dataclass
class Settings:
    """`share` of the sizes that are meant; `say` shows progress; `tell` hands a result out."""

    folder: pathlib.Path
    journals: tuple[str, ...]
    share: float
    say: Callable[[str], None]
    tell: Callable[[dict[str, Any]], None]
    node: CassandraNode | None = None

    def sizes(self, *sizes: int) -> list[int]:
        """Scaled, without repetitions."""
        return list(dict.fromkeys(max(round(size * self.share), min(size, 10)) for size in sizes))

    def journal(self, kind: str) -> str:
        """A new one. Starts the Cassandra node, once."""
        name = f"scale_{uuid.uuid4().hex[:8]}"
        if kind == "sqlite":
            return f"sqlite:///{self.folder}/{name}.db"
        if self.node is None:
            self.say("starting Cassandra")
            self.node = CassandraNode()
            self.node.start()
        return f"cassandra://{self.node.address}/{name}?replication_factor=1"

    def close(self) -> None:
        if self.node is not None:
            self.node.stop()


class Stand:
    """Servers on one journal, and workers; `url` names the servers. Started on entry, stopped at the end."""

    def __init__(self, settings: Settings, journal: str, servers: int = 1) -> None:
        self._folder = settings.folder / uuid.uuid4().hex[:8]
        self._folder.mkdir()
        self._files = [self._folder / f"counts-{number}" for number in range(servers)]
        self.servers = [
            Process(
                f"server-{number}",
                ["-m", "benchmarks.scaling.counted_server", journal, "127.0.0.1:0", str(file)],
                self._folder,
                "listening on",
            )
            for number, file in enumerate(self._files)
        ]
        self.workers: list[Process] = []
        self.url = ""

    def __enter__(self) -> Stand:
        try:
            self.url = ",".join([one.start({}) for one in self.servers])
        except BaseException:  # also an interrupt: what has been started is stopped
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        for process in [*self.workers, *self.servers]:
            process.stop()

    def worker(self, room: int = ROOM) -> Process:
        """One more, connected."""
        name = f"worker-{len(self.workers)}"
        process = Process(name, ["-m", "benchmarks.scaling.roomy_worker", self.url, str(room)], self._folder, "worker")
        process.start({})
        self.workers.append(process)
        return process

    def counts(self) -> Counter[str]:
        """Of all servers, up to now."""
        time.sleep(WRITTEN_SECONDS)
        total: Counter[str] = Counter()
        for file in self._files:
            total.update(json.loads(file.read_text()))
        return total

    def processor_seconds(self) -> float:
        """Of all servers, up to now."""
        return sum(cost(one)[1] for one in self.servers)

    def spent(self, nodes: Sequence[CassandraNode]) -> dict[str, float]:
        """Processor seconds of everybody but the client, up to now."""
        found = {"servers": self.processor_seconds(), "workers": sum(cost(one)[1] for one in self.workers)}
        if nodes:
            found["cassandra"] = sum(cost(node)[1] for node in nodes)
        return found

    def run(self, work: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
        """With a client that is connected."""

        async def run() -> Any:
            async with connect(self.url) as client:
                return await work(client)

        return run_fast(run())

    def idle(self, seconds: float) -> dict[str, Any]:
        """What the servers do while nothing is asked of them."""
        before, spent, began = self.counts(), self.processor_seconds(), time.monotonic()
        time.sleep(seconds)
        counts = self.counts() - before
        took = time.monotonic() - began
        return {
            "processor_share": round((self.processor_seconds() - spent) / took, 4),
            "resident_mb": round(sum(cost(one)[0] for one in self.servers)),
            "per_second": rates(counts, took),
        }


def rates(counts: Counter[str], by: float) -> dict[str, float]:
    """The counts divided, and sums of their kinds."""
    found = {name: round(count / by, 3) for name, count in sorted(counts.items())}
    for kind in ("journal", "statement", "conditional"):
        total = sum(count for name, count in counts.items() if name.startswith(kind))
        if total:
            found[f"all of {kind}"] = round(total / by, 3)
    return found


async def warm_up(client: Client, sagas: int = 100) -> None:
    """So that what is compiled late, or opened late, is."""
    await many(client, sagas, 50)


async def many(client: Client, sagas: int, at_once: int, steps: int = STEPS) -> list[float]:
    """How long each took, in ms, with so many under way."""
    room, took = asyncio.Semaphore(at_once), []

    async def one() -> None:
        async with room:
            began = time.perf_counter()
            await (await client.start(chain, steps)).result()
            took.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(one() for _ in range(sagas)))
    return took


async def speed(client: Client, alone: int, sagas: int, at_once: int) -> dict[str, float]:
    """Of sagas of STEPS steps: one after the other, then many."""
    took = await many(client, alone, 1)
    began = time.perf_counter()
    await many(client, sagas, at_once)
    seconds = time.perf_counter() - began
    return {
        "p50_ms": round(statistics.median(took), 2),
        "p99_ms": round(statistics.quantiles(took, n=100)[98], 2),
        "steps_per_second": round(sagas * STEPS / seconds, 1),
    }


def journal_bytes(journal: str) -> int:
    """Of a SQLite file with what belongs to it; 0 for another journal."""
    path = journal.removeprefix("sqlite:///")
    return sum(os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end))
