"""Us: a history server on SQLite or on a Cassandra node, or the engine inside the process of worker and client."""

from __future__ import annotations

import importlib.metadata
import pathlib
import subprocess
import sys
from typing import Any

from benchmarks.peers.cassandra import SharedNode
from benchmarks.peers.processes import ROOT, OneProcess, Process


def our_version() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return f"{importlib.metadata.version('durable-saga')} ({done.stdout.strip() or 'no git'})"


class OnSqlite(OneProcess):
    durability = "SQLite: WAL, synchronous FULL"

    def __init__(self, *, thick: bool) -> None:
        self._thick = thick

    def install(self) -> None: ...

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        journal = f"sqlite:///{folder}/journal.db"
        if self._thick:
            return {"url": journal}
        self._process, url = start_server(journal, folder)
        return {"url": url}

    def versions(self) -> dict[str, str]:
        return {"durable-saga": our_version()}


class OnCassandra(OneProcess):
    durability = SharedNode.durability

    def __init__(self) -> None:
        self._node = SharedNode()

    def install(self) -> None: ...

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        self._node.start()
        self._process, url = start_server(f"cassandra://{self._node.address}/bench?replication_factor=1", folder)
        return {"url": url}

    def stop(self) -> None:
        super().stop()
        self._node.stop()

    def pids(self) -> list[int]:
        return super().pids() + self._node.pids()

    def versions(self) -> dict[str, str]:
        return {"durable-saga": our_version()} | self._node.versions()


def start_server(journal: str, folder: pathlib.Path) -> tuple[Process, str]:
    command = ["-u", "-m", "durable_saga", "server", "--journal", journal, "--listen", "127.0.0.1:0", "--no-strict"]
    server = Process("server", [sys.executable, *command], folder)
    return server, server.until_it_says("listening on")
