"""Restate: its server is the binary of an npm package; one node with its own log and RocksDB, as it comes."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from benchmarks.peers.processes import PLACE, OneProcess, Process, free_port, run

VERSION = "1.7.12"
PACKAGE = "@restatedev/restate-server-linux-x64"
NPM = PLACE / "npm"
BINARY = NPM / "node_modules" / PACKAGE / "bin" / "restate-server"


class RestateServer(OneProcess):
    durability = "its own log in RocksDB, write-ahead log synced (default)"

    def install(self) -> None:
        if not BINARY.exists():
            NPM.mkdir(parents=True, exist_ok=True)
            run(["npm", "install", "--no-audit", "--no-fund", "--prefix", NPM, f"{PACKAGE}@{VERSION}"])

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        ingress, admin, fabric, worker = (free_port() for _ in range(4))
        environment = {
            "RESTATE_BASE_DIR": str(folder / "restate"),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{fabric}",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        }
        self._process = Process("server", [BINARY, "--no-logo"], folder, env={**os.environ, **environment})
        self._process.until_it_listens(ingress)
        self._process.until_it_listens(admin)
        return {"url": f"http://127.0.0.1:{ingress}", "admin_port": admin, "worker_port": worker}

    def versions(self) -> dict[str, str]:
        return {"Restate": VERSION}
