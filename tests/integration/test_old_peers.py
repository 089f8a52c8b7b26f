"""Servers and workers of an earlier version beside today's: real processes over gRPC, the old ones with code from the history
of this repository. Nothing is blocked, lost or done twice, whoever has a saga first."""

from __future__ import annotations

import asyncio
import os
import pathlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from durable_saga import Client, connect
from durable_saga.errors import SagaCancelled
from examples.demo.processes import ROOT, Process, free_address
from tests.integration.old_code import tree_of

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]
OLD = "c6fa316"
"""The last commit without versions, builds, pauses and unwinds from the journal."""
SAGAS, SECONDS_MAX = 24, 60.0
CODE = """
import os
from durable_saga import saga, scope, signal, step

def note(text: str) -> None:
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{text}\\n")

@step
async def work(name: str, number: int) -> int:
    note(f"{name} {number}")
    return number

@work.compensation
async def undo(name: str, number: int) -> None:
    note(f"{name} undo {number}")

@saga(name="part")
async def part(name: str) -> int:
    return await work(name, 2)

@saga
async def order(name: str) -> int:
    total = await work(name, 1)
    total += await part(name)
    async with scope():
        total += await work(name, 3)
    total += await signal("go", int)
    return total + await work(name, 4)
"""


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """The whole tree of that commit."""
    folder = tree_of(OLD, tmp_path_factory.mktemp("old"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Peers:
    folder: pathlib.Path
    old: pathlib.Path
    address: str

    def start(self, what: str, root: pathlib.Path) -> Process:
        path = os.pathsep.join(map(str, (root, root / "server", self.folder)))
        command = {
            "server": ["server", "--journal", f"sqlite:///{self.folder}/journal.db", "--listen", self.address],
            "worker": ["worker", "old_and_new"],
        }[what]
        process = Process(
            what, ["-m", "durable_saga", *command], self.folder, "listening on" if what == "server" else "worker", root
        )
        process.start({"PYTHONPATH": path, "NOTES": str(self.folder / "notes"), "DURABLE_SAGA_URL": self.address})
        return process

    def done(self) -> Counter[str]:
        notes = self.folder / "notes"
        return Counter(notes.read_text().splitlines()) if notes.exists() else Counter()


@pytest.fixture
def peers(tmp_path: pathlib.Path, old_code: pathlib.Path) -> Peers:
    (tmp_path / "old_and_new.py").write_text(CODE)
    return Peers(tmp_path, old_code, free_address())


async def waiting(client: Client, names: list[str]) -> None:
    """All have come to the signal, and none is blocked."""
    until = time.monotonic() + SECONDS_MAX
    for name in names:
        while True:
            found = await client.handle(name).describe()
            assert found.blocked == "", f"{name} is blocked: {found.blocked}"
            if [one.state for one in found.steps if one.name == "work"] == ["done"] * 3:
                break
            assert time.monotonic() < until, f"{name} does not go on: {found}"
            await asyncio.sleep(0.1)


async def go_through(peers: Peers, before: Process, after: Process) -> None:
    """Sagas that one worker has begun are ended by another one."""
    names = [f"o-{number}" for number in range(SAGAS)]
    async with connect(peers.address) as client:
        for name in names:
            await client.start("order", name, id=name)
        await waiting(client, names)
        before.kill()
        for name in names[::2]:
            await client.handle(name).signal("go", 5)
        for name in names[1::2]:
            await client.handle(name).cancel("no longer wanted")
        for name in names[::2]:
            assert await asyncio.wait_for(client.handle(name).result(), SECONDS_MAX) == 15
        for name in names[1::2]:
            with pytest.raises(SagaCancelled):
                await asyncio.wait_for(client.handle(name).result(), SECONDS_MAX)
    done = peers.done()
    assert not after.ended
    for place, name in enumerate(names):
        steps = 3 + (place % 2 == 0)
        assert [done[f"{name} {number}"] for number in range(1, 5)] == [1] * steps + [0] * (4 - steps), name
        assert [done[f"{name} undo {number}"] for number in range(1, 4)] == [place % 2] * 3, name


@pytest.mark.parametrize("server_is_old", [False, True], ids=["new-server", "old-server"])
@pytest.mark.parametrize("first_is_old", [False, True], ids=["new-worker-first", "old-worker-first"])
def test_old_and_new_go_on_where_the_other_was(peers: Peers, server_is_old: bool, first_is_old: bool) -> None:
    server = peers.start("server", peers.old if server_is_old else ROOT)
    workers = [peers.start("worker", peers.old if first_is_old else ROOT)]
    try:
        workers.append(peers.start("worker", ROOT if first_is_old else peers.old))
        asyncio.run(go_through(peers, *workers))
    finally:
        for one in [*workers, server]:
            one.stop()
