"""A cell is upgraded from a version that knows no logs, one server at a time, then goes to commits in logs, and back again.

Real processes on a real Cassandra, the old ones with code from the history of this repository. Sagas are always under way.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from cassandra.cluster import Cluster
from cassandra.io.libevreactor import LibevConnection

from durable_saga import Client, Handle, connect
from durable_saga.errors import Unavailable
from durable_saga.pb.payloads import DETERMINISM_RULES
from examples.demo.processes import ROOT, Process, free_address
from tests.integration.old_code import tree_of

pytestmark = [pytest.mark.cassandra, pytest.mark.kill, pytest.mark.timeout(500)]
BEFORE_LOGS = "9950510"
"""The last commit whose tables have schema version 5."""
FIRST_LOGS = "ec9da91"
"""A commit of schema version 6, whose servers know logs: `UPGRADE_FROM=9950510,ec9da91` takes both."""
STAGES, SAGAS_PER_STAGE, BUSY_SAGAS = 7, 4, 4
GO_ON_SECONDS_MAX = 60.0
SAGAS = """
import os
from durable_saga import saga, signal, step

@step
async def note(saga: str, number: int) -> int:
    with open(os.environ["UPGRADE_NOTES"], "a") as notes:
        notes.write(f"{saga} {number}\\n")
    return number * 2

@saga
async def stages(name: str, count: int) -> list[int]:
    found = []
    for _ in range(count):
        number = await signal("number", int)
        found.append(await note(name, number))
    return found

@saga
async def busy(name: str, count: int) -> int:
    for number in range(count):
        await note(name, number)
    return count
"""


@pytest.fixture(scope="module", params=os.environ.get("UPGRADE_FROM", BEFORE_LOGS).split(","))
def old_code(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """The whole tree of that commit."""
    folder = tree_of(request.param, tmp_path_factory.mktemp("old"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Upgrade:
    """Two servers and two workers, each of which may be replaced by another version of itself at the same address."""

    folder: pathlib.Path
    old: pathlib.Path
    address: str
    keyspace: str = field(default_factory=lambda: f"upgrade_{uuid.uuid4().hex[:8]}")
    addresses: list[str] = field(default_factory=lambda: [free_address(), free_address()])
    servers: list[Process] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)

    @property
    def notes(self) -> pathlib.Path:
        return self.folder / "notes"

    def _start(self, name: str, command: list[str], root: pathlib.Path, ready: str) -> Process:
        path = os.pathsep.join(map(str, (root, root / "server", self.folder)))
        environment = {"PYTHONPATH": path, "UPGRADE_NOTES": str(self.notes), "DURABLE_SAGA_URL": ",".join(self.addresses)}
        process = Process(name, ["-m", "durable_saga", *command], self.folder, ready, root)
        process.start(environment)
        return process

    def server(self, number: int, root: pathlib.Path, commits: str = "") -> Process:
        journal = f"cassandra://{self.address}/{self.keyspace}?replication_factor=1"
        journal += f"&commits={commits}" if commits else ""
        command = ["server", "--journal", journal, "--no-strict", "--listen", self.addresses[number]]
        return self._start(f"server-{number}", command, root, "listening on")

    def worker(self, number: int, root: pathlib.Path) -> Process:
        return self._start(f"worker-{number}", ["worker", "upgrade_sagas"], root, "worker")

    def begin(self) -> None:
        (self.folder / "upgrade_sagas.py").write_text(SAGAS)
        self.servers = [self.server(number, self.old) for number in range(2)]
        self.workers = [self.worker(number, self.old) for number in range(2)]

    def replace_server(self, number: int, commits: str) -> None:
        assert self.servers[number].stop() == 0
        self.servers[number] = self.server(number, ROOT, commits)

    def replace_workers(self) -> None:
        for number, process in enumerate(self.workers):
            assert process.stop() == 0
            self.workers[number] = self.worker(number, ROOT)

    def stop(self) -> None:
        for process in [*self.workers, *self.servers]:
            process.stop()

    def ask(self, text: str) -> list[Any]:
        host, _, port = self.address.partition(":")
        with Cluster([host], port=int(port), connection_class=LibevConnection, protocol_version=5) as cluster:
            return list(cluster.connect(self.keyspace).execute(text))


class Load:
    """Some sagas that go one stage on with each call of `stage()`, others that begin all the time, until `end()`."""

    def __init__(self, client: Client, notes: pathlib.Path) -> None:
        self._client, self._notes = client, notes
        self._handles: dict[str, Handle[Any]] = {}
        self._sent: dict[str, list[int]] = {}
        self._is_over = False
        self._busy = [asyncio.create_task(self._keep_busy(number)) for number in range(BUSY_SAGAS)]
        self.done = 0

    async def _again(self, call: Callable[[], Any]) -> Any:
        """Until it is acknowledged; a server that is being replaced may not answer."""
        deadline = time.monotonic() + GO_ON_SECONDS_MAX
        while True:
            try:
                return await call()
            except Unavailable:
                assert time.monotonic() < deadline, "the cell stands still"
                await asyncio.sleep(0.3)

    async def _keep_busy(self, place: int) -> None:
        number = 0
        while not self._is_over:
            name, number = f"busy-{place}-{number}", number + 1
            handle = await self._again(lambda name=name: self._client.start("busy", name, 5, id=name))  # type: ignore[misc]
            assert await self._again(lambda handle=handle: handle.result(timeout=GO_ON_SECONDS_MAX)) == 5  # type: ignore[misc]
            self.done += 1

    async def stage(self, number: int) -> None:
        """Some more sagas begin, and each of those that are there goes on by a step, which is waited for."""
        for one in range(SAGAS_PER_STAGE):
            name, left = f"stages-{number}-{one}", STAGES - number
            self._handles[name] = await self._again(
                lambda name=name, left=left: self._client.start("stages", name, left, id=name)  # type: ignore[misc]
            )
            self._sent[name] = []
        done = self.done
        for name, handle in self._handles.items():
            self._sent[name].append(number)
            sent = f"{name}-{number}"
            await self._again(lambda handle=handle, sent=sent: handle.signal("number", number, message_id=sent))  # type: ignore[misc]
        deadline = time.monotonic() + GO_ON_SECONDS_MAX
        wanted = {f"{name} {number}" for name in self._handles}
        while not (wanted <= set(self._notes.read_text().splitlines()) and self.done > done):
            assert time.monotonic() < deadline, "a saga stands still"
            for task in self._busy:
                assert not task.done(), task
            await asyncio.sleep(0.1)

    async def end(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._busy)
        for name, handle in self._handles.items():
            found = await self._again(lambda handle=handle: handle.result(timeout=GO_ON_SECONDS_MAX))  # type: ignore[misc]
            assert found == [2 * number for number in self._sent[name]], name
        counted = Counter(self._notes.read_text().splitlines())
        assert [line for line, count in counted.items() if count > 1] == [], "an effect was repeated"
        assert len(counted) == sum(map(len, self._sent.values())) + 5 * self.done


def rules_of(tree: pathlib.Path) -> int:
    code = "from durable_saga.pb.payloads import DETERMINISM_RULES; print(DETERMINISM_RULES)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, check=True
    )
    return int(found.stdout)


SWITCHES = (("", False), ("log", True), ("", False))
"""From the old code to the new one, to logs, and back: `commits` of the URL, and whether steps are rows of a log then."""


async def no_run_is_in_a_log(cell: Upgrade) -> None:
    """Each of them has gone on since; the next commit of some may be on its way."""
    deadline = time.monotonic() + GO_ON_SECONDS_MAX
    while any(log for (log,) in cell.ask("SELECT log FROM runs WHERE seq = -1 ALLOW FILTERING")):
        assert time.monotonic() < deadline, "a run stays in a log"
        await asyncio.sleep(0.5)


async def play(cell: Upgrade) -> None:
    async with connect(",".join(cell.addresses)) as client:
        load = Load(client, cell.notes)
        await load.stage(0)
        if rules_of(cell.old) != DETERMINISM_RULES:  # then docs/operating.md wants the workers first
            await asyncio.to_thread(cell.replace_workers)
        for at, (commits, has_log) in enumerate(SWITCHES):
            for number in range(2):
                await asyncio.to_thread(cell.replace_server, number, commits)
                await load.stage(1 + 2 * at + number)
            if not has_log:
                await no_run_is_in_a_log(cell)
            assert bool(cell.ask("SELECT saga FROM logs LIMIT 1")) is (at > 0)
            if at == 0:
                await asyncio.to_thread(cell.replace_workers)
        await load.end()


def test_a_cell_is_upgraded_one_server_at_a_time_goes_to_logs_and_back(
    tmp_path: pathlib.Path, cassandra: str, old_code: pathlib.Path
) -> None:
    cell = Upgrade(tmp_path, old_code, cassandra)
    try:
        cell.begin()
        asyncio.run(play(cell))
        for log in tmp_path.glob("*.log"):
            assert "Traceback" not in log.read_text(), log
    finally:
        cell.stop()
