"""The parts of the storm: three Cassandra nodes, two servers behind links, three workers, three services: real processes."""

from __future__ import annotations

import os
import pathlib
import signal
import sys

from durable_saga_server.journal import Journal
from durable_saga_server.journal.open import open_journal

from examples.demo.ledger import SERVICES
from examples.demo.processes import Process, free_address
from tests.cassandra_node import CassandraNode, NoCassandraError, free_port
from tests.chaos.links import Link

NODES, SERVERS, WORKERS = 3, 2, 3


class ChaosCell:
    """`url` names the links to the servers. Nodes, servers and workers can be killed, paused and started again."""

    def __init__(self, folder: pathlib.Path, commits: str = "conditional") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        ports = free_port(), free_port()
        self.nodes = [CassandraNode(host=f"127.0.0.{n}", ports=ports) for n in range(1, NODES + 1)]
        hosts = ",".join(f"{node.host}:{ports[0]}" for node in self.nodes)
        self._journal = f"cassandra://{hosts}/chaos?replication_factor=3&commits={commits}"
        self._addresses = [free_address() for _ in range(SERVERS)]
        self.links = [Link(address) for address in self._addresses]
        self.servers: list[Process] = []
        self.workers: list[Process] = []
        self._services: list[Process] = []
        self._environment: dict[str, str] = {}

    @property
    def url(self) -> str:
        return ",".join(link.address for link in self.links)

    def open_journal(self) -> Journal:
        """A way to the nodes beside that of the servers; the tables are ready once a server is."""
        return open_journal(self._journal, strict=True)

    def start_nodes(self) -> None:
        for node in self.nodes:
            try:
                node.start()
            except NoCassandraError as error:
                print(f"once more: {error}", file=sys.stderr, flush=True)
                node.start()

    def start_processes(self) -> None:
        """After the links are open: the servers advertise them."""
        for name in SERVICES:
            process = Process(name, ["-m", "examples.demo.services", str(self.folder), name], self.folder, "listening on")
            self._environment[f"DEMO_{name.upper()}"] = process.start({})
            self._services.append(process)
        for number, (address, link) in enumerate(zip(self._addresses, self.links, strict=True), start=1):
            command = ["-m", "durable_saga", "server", "--journal", self._journal, "--listen", address]
            command += ["--advertise", link.address]
            self.servers.append(Process(f"server-{number}", command, self.folder, "listening on"))
        self._environment["DURABLE_SAGA_URL"] = self.url
        work = ["-m", "durable_saga", "worker", "tests.chaos.sagas"]
        self.workers = [Process(f"worker-{number}", work, self.folder, "worker") for number in range(1, WORKERS + 1)]
        for process in [*self.servers, *self.workers]:
            process.start(self._environment)

    def restart(self, process: Process) -> None:
        """Without waiting: the journal may not be there just now."""
        process.start(self._environment, wait=False)

    def stop(self) -> None:
        for process in [*self.workers, *self.servers, *self._services]:
            process.stop()
        for node in self.nodes:
            node.stop()


def pause(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def resume(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass  # it was killed while it stood still
