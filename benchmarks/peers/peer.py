"""A peer: a server (or none), a worker and a client in its own environment, and one method for each workload.

`start` and `stop` may be called again and again, with a new folder each time. A workload returns what its client found, or
`late`, `not_possible` or `error` with words; it raises nothing but `Failed`.
"""

from __future__ import annotations

import json
import pathlib
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.peers.machine import disk_written
from benchmarks.peers.processes import PLACE, Cost, DriverProcess, Process, cost, run

Answer = dict[str, Any]


class Server(Protocol):
    """What keeps the truth: a process, several, or a file."""

    durability: str

    def install(self) -> None:
        """Once; what is there already is left alone."""

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        """What the apps must know (`url`, …). Raises Failed."""

    def stop(self) -> None: ...

    def pids(self) -> list[int]: ...

    def versions(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Sizes:
    """Of one run, and how long each workload may take."""

    warm_up_seconds: float = 10
    latency_sagas: int = 100
    throughput_seconds: float = 10
    signals: int = 50
    fan_sagas: int = 20
    failing_sagas: int = 50
    replayed_steps: tuple[int, ...] = (1_000, 10_000)
    parked_sagas: int = 100_000
    seconds_max: float = 120
    replay_seconds_max: float = 180
    parked_seconds_max: float = 240


QUICK = Sizes(5, 30, 4, 15, 5, 10, (1_000, 10_000), 5_000, 45, 45, 45)


@dataclass
class Environment:
    """A virtual environment with pinned packages; none: ours."""

    name: str = ""
    packages: tuple[str, ...] = ()

    @property
    def python(self) -> pathlib.Path:
        return PLACE / self.name / "bin" / "python" if self.name else pathlib.Path(sys.executable)

    def install(self) -> None:
        wanted = PLACE / self.name / "installed.json"
        if not self.name or (wanted.exists() and json.loads(wanted.read_text()) == list(self.packages)):
            return
        run([sys.executable, "-m", "venv", PLACE / self.name])
        run([self.python, "-m", "pip", "install", "--quiet", *self.packages])
        wanted.write_text(json.dumps(self.packages))

    def versions(self) -> dict[str, str]:
        pinned = (package.split("==") for package in self.packages if "==" in package)
        return {name.split("[")[0]: version for name, version in pinned}


@dataclass
class Peer:
    """`thick`: the client's process is the worker too. `lacks`: workloads that it has nothing for, and why. A worker that
    dies is `killed` with SIGKILL and started again by the workload that measures replay."""

    name: str
    label: str
    app: str
    server: Server
    environment: Environment
    sizes: Sizes
    thick: bool = False
    lacks: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""  # to the durability of its server

    def install(self) -> None:
        self.server.install()
        self.environment.install()

    def versions(self) -> dict[str, str]:
        return self.server.versions() | self.environment.versions()

    @property
    def durability(self) -> str:
        return "; ".join(words for words in (self.server.durability, self.note) if words)

    async def start(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._worker: Process | None = None
        self._client: DriverProcess | None = None
        found = self._begin(folder)
        self._config = json.dumps({**self.options, **found, "folder": str(folder), "thick": self.thick})
        await self._start_apps()

    def _begin(self, folder: pathlib.Path) -> dict[str, Any]:
        folder.mkdir(parents=True)
        return self.server.start(folder)

    async def _start_apps(self) -> None:
        app: list[object] = [self.environment.python, "-u", "-m", f"benchmarks.peers.apps.{self.app}"]
        if not self.thick:
            self._worker = Process("worker", [*app, "worker", self._config], self._folder)
            self._worker.until_it_says("ready")
            self._worker.log.rename(self._folder / f"worker-{self._worker.pid}.log")
        if self._client is None:
            self._client = DriverProcess([*app, "client", self._config], self._folder)
            await self._client.start()

    async def _kill_worker(self) -> None:
        """With SIGKILL; where worker and client are one process, that one."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None
        elif self._client is not None:
            await self._client.kill()
            self._client = None

    async def stop(self) -> None:
        if getattr(self, "_client", None) is not None:
            await self._kill_client()
        if getattr(self, "_worker", None) is not None and self._worker is not None:
            self._worker.stop(signal.SIGKILL)
            self._worker = None
        self.server.stop()

    async def _kill_client(self) -> None:
        if self._client is not None:
            await self._client.kill()
            self._client = None

    def cost(self) -> Cost:
        """Of servers and worker; thick: the client's share is in it."""
        ours = [self._worker.pid] if self._worker is not None else []
        if self.thick and self._client is not None:
            ours.append(self._client.pid)
        return cost([*self.server.pids(), *ours])

    async def _ask(self, workload: str, seconds_max: float, **arguments: Any) -> Answer:
        if workload in self.lacks:
            return {"not_possible": self.lacks[workload]}
        if self._client is None:
            return {"error": "its client is gone"}
        return await self._client.ask(workload, seconds_max, **arguments)

    # --- the workloads -------------------------------------------------------------------------------------------------

    async def warm_up(self) -> Answer:
        """Compilers and caches; nothing of it counts."""
        return await self._ask("throughput", self.sizes.seconds_max, outstanding=10, seconds=self.sizes.warm_up_seconds)

    async def latency(self) -> Answer:
        return await self._ask("latency", self.sizes.seconds_max, count=self.sizes.latency_sagas)

    async def throughput(self, outstanding: int) -> Answer:
        """With what each step has cost."""
        before, disk_before = self.cost(), disk_written(PLACE)
        answer = await self._ask(
            "throughput", self.sizes.seconds_max, outstanding=outstanding, seconds=self.sizes.throughput_seconds
        )
        after, disk_after = self.cost(), disk_written(PLACE)
        if "found" in answer:
            found = answer["found"]
            if disk_before is not None and disk_after is not None:
                found["disk_bytes_per_step"] = (disk_after - disk_before) / found["steps"]
            found["cpu_ms_per_step"] = (after.cpu_seconds - before.cpu_seconds) * 1000 / found["steps"]
            found["written_bytes_per_step"] = (after.written_bytes - before.written_bytes) / found["steps"]
        return answer

    async def signal(self) -> Answer:
        return await self._ask("signal", self.sizes.seconds_max, count=self.sizes.signals)

    async def fan(self) -> Answer:
        return await self._ask("fan", self.sizes.seconds_max, count=self.sizes.fan_sagas)

    async def fails(self) -> Answer:
        return await self._ask("fails", self.sizes.seconds_max, count=self.sizes.failing_sagas)

    async def replay(self, steps: int) -> Answer:
        saga = f"replayed-{steps}"
        begun = await self._ask("replay_begin", self.sizes.replay_seconds_max, saga=saga, steps=steps)
        if "found" not in begun:
            return begun
        await self._kill_worker()
        await self._start_apps()
        started = begun["found"]["started"]
        ended = await self._ask("replay_end", self.sizes.replay_seconds_max, saga=saga, started=started, steps=steps)
        if "found" in ended:
            ended["found"]["seconds_to_write"] = begun["found"]["seconds"]
        return ended

    async def parked(self) -> Answer:
        before = self.cost()
        answer = await self._ask("parked", self.sizes.parked_seconds_max, count=self.sizes.parked_sagas)
        after = self.cost()
        if "found" in answer:
            answer["found"]["memory_mb"] = after.memory_bytes / 1e6
            answer["found"]["memory_before_mb"] = before.memory_bytes / 1e6
        return answer
