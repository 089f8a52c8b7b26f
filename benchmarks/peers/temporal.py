"""Temporal: the development server of its command line on SQLite, or the full server, built from its module, on PostgreSQL or
on the Cassandra node that we are measured on. One process, four shards, visibility in the store (Cassandra: in memory).

As the server comes, the queue of a shard is read at most 20 times a second. With the hundreds of shards of a real cluster
nobody meets that limit; with one to four it is all that one sees: 10 activities in a row take a second. So it is raised.
"""

from __future__ import annotations

import json
import os
import pathlib
import time
from typing import Any, Protocol

from benchmarks.peers.cassandra import SharedNode
from benchmarks.peers.postgres import PostgresServer
from benchmarks.peers.processes import PLACE, Failed, OneProcess, Process, free_port, run

CLI_VERSION, SERVER_VERSION = "v1.5.1", "v1.29.1"
GO = PLACE / "go"
BINARIES = GO / "bin"
SCHEMA = GO / "pkg" / "mod" / f"go.temporal.io/server@{SERVER_VERSION}" / "schema"
SHARDS = 4
READS = "history.transferProcessorMaxPollRPS"
READS_PER_SECOND = 1_000
NAMESPACE_SECONDS_MAX = 60.0


def go_install(program: str, module: str, version: str) -> None:
    """About ten minutes for the first one on two cores. `-p=1` leaves the other core to whoever works here."""
    if (BINARIES / program).exists():
        return
    environment = {**os.environ, "GOPATH": str(GO), "GOFLAGS": "-modcacherw -p=1", "GOBIN": str(BINARIES)}
    run(["nice", "-n", "10", "go", "install", f"{module}@{version}"], env=environment)


def command_line(address: str, *arguments: str) -> str:
    return run([BINARIES / "temporal", *arguments, "--address", address], seconds_max=30)


class DevelopmentServer(OneProcess):
    durability = "SQLite: rollback journal, synchronous FULL (start-dev sets neither)"

    def __init__(self, *, as_it_comes: bool = False) -> None:
        self._settings = [] if as_it_comes else ["--dynamic-config-value", f"{READS}={READS_PER_SECOND}"]

    def install(self) -> None:
        go_install("temporal", "github.com/temporalio/cli/cmd/temporal", CLI_VERSION)

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        port = free_port()
        command = [BINARIES / "temporal", "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
        more = [*self._settings, "--http-port", str(free_port()), "--metrics-port", str(free_port()), "--log-level", "error"]
        self._process = Process("server", [*command, *more, "--db-filename", folder / "temporal.db"], folder)
        self._process.until_it_listens(port)
        until_it_serves(f"127.0.0.1:{port}")
        return {"url": f"127.0.0.1:{port}"}

    def versions(self) -> dict[str, str]:
        return {"Temporal": SERVER_VERSION[1:], "temporal CLI": CLI_VERSION[1:]}


class Store(Protocol):
    """Where the full server keeps its truth."""

    durability: str

    def install(self) -> None: ...

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        """The data stores of the server's configuration, with the schema in them."""

    def stop(self) -> None: ...

    def pids(self) -> list[int]: ...

    def versions(self) -> dict[str, str]: ...


class InPostgres:
    durability = PostgresServer.durability

    def __init__(self) -> None:
        self._server = PostgresServer()

    def install(self) -> None:
        self._server.install()
        go_install("sql", "go.temporal.io/server/cmd/tools/sql", SERVER_VERSION)

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        port = self._server.start(folder)["port"]
        stores = {}
        for store, database, schema in (("truth", "temporal", "temporal"), ("visible", "visibility", "visibility")):
            tool = [BINARIES / "sql", "--plugin", "postgres12", "--ep", "127.0.0.1", "-p", str(port), "-u", "bench"]
            tool += ["--db", database]
            run([*tool, "create"])
            run([*tool, "setup-schema", "-v", "0.0"])
            run([*tool, "update-schema", "-d", SCHEMA / "postgresql" / "v12" / schema / "versioned"])
            place = {"pluginName": "postgres12", "databaseName": database, "connectAddr": f"127.0.0.1:{port}", "user": "bench"}
            stores[store] = {"sql": {**place, "connectProtocol": "tcp", "maxConns": 20, "maxIdleConns": 20}}
        return stores

    def stop(self) -> None:
        self._server.stop()

    def pids(self) -> list[int]:
        return self._server.pids()

    def versions(self) -> dict[str, str]:
        return self._server.versions()


class InCassandra:
    durability = SharedNode.durability + "; visibility in memory"

    def __init__(self) -> None:
        self._node = SharedNode()

    def install(self) -> None:
        go_install("cassandra", "go.temporal.io/server/cmd/tools/cassandra", SERVER_VERSION)

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        self._node.start()
        host, _, port = self._node.address.rpartition(":")
        tool = [BINARIES / "cassandra", "--ep", host, "-p", port]
        run([*tool, "create", "-k", "temporal", "--rf", "1"])
        run([*tool, "-k", "temporal", "setup-schema", "-v", "0.0"])
        run([*tool, "-k", "temporal", "update-schema", "-d", SCHEMA / "cassandra" / "temporal" / "versioned"])
        memory: dict[str, Any] = {"pluginName": "sqlite", "databaseName": "visible"}
        memory |= {"connectAddr": "localhost", "connectProtocol": "tcp"}
        memory |= {"connectAttributes": {"mode": "memory", "cache": "private"}, "maxConns": 1, "maxIdleConns": 1}
        return {"truth": {"cassandra": {"hosts": host, "port": int(port), "keyspace": "temporal"}}, "visible": {"sql": memory}}

    def stop(self) -> None:
        self._node.stop()

    def pids(self) -> list[int]:
        return self._node.pids()

    def versions(self) -> dict[str, str]:
        return self._node.versions()


class FullServer:
    def __init__(self, store: Store) -> None:
        self.durability = store.durability
        self._store = store
        self._process: Process | None = None

    def install(self) -> None:
        go_install("temporal", "github.com/temporalio/cli/cmd/temporal", CLI_VERSION)
        go_install("server", "go.temporal.io/server/cmd/server", SERVER_VERSION)
        self._store.install()

    def start(self, folder: pathlib.Path) -> dict[str, Any]:
        frontend = free_port()
        config = folder / "config"
        config.mkdir()
        written = _configuration(self._store.start(folder), frontend)
        (config / "dynamic.yaml").write_text(json.dumps({READS: [{"value": READS_PER_SECOND}]}))
        written["dynamicConfigClient"] = {"filepath": str(config / "dynamic.yaml"), "pollInterval": "60s"}
        (config / "bench.yaml").write_text(json.dumps(written, indent=1))  # JSON is YAML
        command = [BINARIES / "server", "--root", folder, "--config", "config", "--env", "bench", "--allow-no-auth", "start"]
        self._process = Process("server", command, folder)
        self._process.until_it_listens(frontend)
        address = f"127.0.0.1:{frontend}"
        until_it_serves(address, create=True)
        return {"url": address}

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None
        self._store.stop()

    def pids(self) -> list[int]:
        return ([self._process.pid] if self._process is not None else []) + self._store.pids()

    def versions(self) -> dict[str, str]:
        return {"Temporal": SERVER_VERSION[1:]} | self._store.versions()


def _configuration(stores: dict[str, Any], frontend: int) -> dict[str, Any]:
    names = ("frontend", "matching", "history", "worker")
    services = {
        name: {"rpc": {"grpcPort": free_port(), "membershipPort": free_port(), "bindOnLocalHost": True}} for name in names
    }
    services["frontend"]["rpc"] |= {"grpcPort": frontend, "httpPort": free_port()}
    address = f"127.0.0.1:{frontend}"
    cluster = {"enabled": True, "initialFailoverVersion": 1, "rpcName": "frontend", "rpcAddress": address}
    return {
        "log": {"stdout": True, "level": "error"},
        "persistence": {
            "defaultStore": "truth", "visibilityStore": "visible", "numHistoryShards": SHARDS, "datastores": stores,
        },
        "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1"}},
        "services": services,
        "clusterMetadata": {
            "enableGlobalNamespace": False, "failoverVersionIncrement": 10, "masterClusterName": "active",
            "currentClusterName": "active", "clusterInformation": {"active": cluster},
        },
        "dcRedirectionPolicy": {"policy": "noop"},
        "publicClient": {"hostPort": address},
    }  # fmt: skip


def until_it_serves(address: str, *, create: bool = False) -> None:
    """A new namespace is known everywhere some seconds later: until then a start of a workflow is refused."""
    deadline = time.monotonic() + NAMESPACE_SECONDS_MAX
    probe = ("workflow", "start", "--type", "nobody", "--task-queue", "nobody", "--workflow-id", "probe")
    while True:
        try:
            if create:
                command_line(address, "operator", "namespace", "create", "--namespace", "default", "--retention", "24h")
                create = False
            command_line(address, *probe)
            command_line(address, "workflow", "terminate", "--workflow-id", "probe")
            return
        except Failed as error:
            if time.monotonic() > deadline:
                raise
            if create and "already" in str(error):
                create = False
            time.sleep(1)
