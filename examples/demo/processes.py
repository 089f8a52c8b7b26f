"""Real processes that can be killed with -9 and started again: three services, a server, workers."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
import time

from examples.demo.ledger import SERVICES

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_SECONDS_MAX = 120.0


class Process:
    """One process; `start()` returns when it has said that it is ready. `root`: where its code is."""

    def __init__(self, name: str, command: list[str], folder: pathlib.Path, ready: str, root: pathlib.Path = ROOT) -> None:
        self.name = name
        self._root = root
        self._command = command
        self._log = folder / f"{name}.log"
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: dict[str, str], *, wait: bool = True) -> str:
        """The rest of the line that says it is ready. Raises RuntimeError with the end of its log."""
        with self._log.open("ab") as log:
            before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-u", *self._command],
                cwd=self._root, stdout=log, stderr=log, env={**os.environ, **environment},
            )  # fmt: skip
        deadline = time.monotonic() + READY_SECONDS_MAX
        while wait and time.monotonic() < deadline and self._process.poll() is None:
            text = self._log.read_bytes()[before:].decode(errors="replace")
            for line in text.splitlines():
                if line.startswith(self._ready):
                    return line.removeprefix(self._ready).strip()
            time.sleep(0.05)
        if wait:
            raise RuntimeError(f"{self.name} did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
        return ""

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was started"
        return self._process.pid

    @property
    def ended(self) -> bool:
        """It was started, and runs no more."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code; -9 if it took too long."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9


def free_address() -> str:
    """127.0.0.1 and a port that is free now; a server that is started again finds it again."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


class Cell:
    """Three services, history servers, workers; `url` names the servers."""

    def __init__(self, folder: pathlib.Path, journal: str, workers: int, servers: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        addresses = [free_address() for _ in range(servers)]
        self.url = ",".join(addresses)
        self._environment: dict[str, str] = {"DURABLE_SAGA_URL": self.url}
        self._services = {
            name: Process(name, ["-m", "examples.demo.services", str(folder), name], folder, "listening on")
            for name in SERVICES
        }
        serve = ["-m", "durable_saga", "server", "--journal", journal, "--no-strict", "--listen"]
        self.servers = [
            Process(f"server-{number}", [*serve, address], folder, "listening on")
            for number, address in enumerate(addresses, start=1)
        ]
        work = ["-m", "durable_saga", "worker", "examples.demo.orders:place_order"]
        self.workers = [Process(f"worker-{number}", work, folder, "worker") for number in range(1, workers + 1)]

    @property
    def server(self) -> Process:
        """The first one."""
        return self.servers[0]

    def start(self) -> None:
        for name, process in self._services.items():
            self._environment[f"DEMO_{name.upper()}"] = process.start({})
        for process in [*self.servers, *self.workers]:
            process.start(self._environment)

    def restart(self, process: Process) -> None:
        process.start(self._environment)

    def stop(self) -> None:
        for process in [*self.workers, *self.servers, *self._services.values()]:
            process.stop()
