"""The processes of a peer: started, found ready, killed by their own id; and what a tree of them has cost so far."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = ROOT / "var" / "peers"
READY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0
PORTS_FROM = 20_000  # below those that the system hands out: Temporal asks for it
_ports = itertools.cycle(range(PORTS_FROM, 32_000))
_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(RuntimeError):
    """A process of a peer did not do what it was started for; the message holds the end of its log."""


@dataclass(frozen=True)
class Cost:
    """Of a tree of processes: what it has used so far, and its proportional share of memory now."""

    cpu_seconds: float
    written_bytes: int
    memory_bytes: int


def free_port() -> int:
    """Another one each time."""
    for port in _ports:
        with socket.socket() as found:
            if found.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise Failed("no port is free")


def run(command: Sequence[object], *, seconds_max: float = 3_600, **options: Any) -> str:
    """Its output. Raises Failed with the end of it."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds_max,
        **options,
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(part) for part in command[:4])}: exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


class Process:
    """One server or worker; its output goes to a log in the folder. `user` is whom it runs as when we are root."""

    def __init__(self, name: str, command: Sequence[object], folder: pathlib.Path, **options: Any) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=log, cwd=options.pop("cwd", ROOT), stdin=subprocess.DEVNULL,
                **options,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def until_it_says(self, words: str) -> str:
        """The rest of the line."""
        self.until(lambda: words in self.log.read_text(errors="replace"))
        return self.log.read_text(errors="replace").split(words, 1)[1].split("\n", 1)[0].strip()

    def until_it_listens(self, port: int) -> None:
        self.until(lambda: listens(port))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()


class OneProcess:
    """The part of a server that is one process, once its `start` has set it."""

    _process: Process | None = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def pids(self) -> list[int]:
        return [self._process.pid] if self._process is not None else []


class DriverProcess:
    """The client of a peer, which answers one request at a time (apps/driver.py)."""

    def __init__(self, command: Sequence[object], folder: pathlib.Path) -> None:
        self._command = [str(part) for part in command]
        self._log = folder / "client.log"

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        if await self._line(READY_SECONDS_MAX) != b"ready\n":
            raise Failed(f"the client did not start:\n{self._log.read_text(errors='replace')[-2000:]}")

    async def _line(self, seconds_max: float) -> bytes:
        assert self._process.stdout is not None, "it has a pipe"
        return await asyncio.wait_for(self._process.stdout.readline(), seconds_max)

    async def ask(self, workload: str, seconds_max: float, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None, "it has a pipe"
        request = {"workload": workload, "arguments": arguments, "seconds_max": seconds_max}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        try:
            line = await self._line(seconds_max + 15)
        except TimeoutError:
            return {"late": f"not in {seconds_max:g} s", "progress": "its client did not answer"}
        if not line:
            return {"error": f"its client died:\n{self._log.read_text(errors='replace')[-1000:]}"}
        return dict(json.loads(line))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def until_listens(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not listens(port):
        if time.monotonic() > deadline:
            raise Failed(f"nothing listens on port {port}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


def cost(roots: Iterable[int]) -> Cost:
    """Children that have ended count through the parent that waited for them."""
    cpu, written, memory = 0.0, 0, 0
    for pid in _tree(roots):
        try:
            proc = pathlib.Path("/proc") / str(pid)
            fields = (proc / "stat").read_text().rsplit(")", 1)[1].split()
            cpu += sum(int(fields[number]) for number in (11, 12, 13, 14)) / _TICKS
            written += _field(proc / "io", "write_bytes")
            memory += _field(proc / "smaps_rollup", "Pss") * 1024
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Cost(cpu, written, memory)


def _field(file: pathlib.Path, name: str) -> int:
    lines = (line.split() for line in file.read_text().splitlines())
    return next(int(words[1]) for words in lines if words[0] == f"{name}:")


def _tree(roots: Iterable[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found
