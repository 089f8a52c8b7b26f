"""A system is backed up under load by the command, stopped, and goes on from the copy: real processes."""

from __future__ import annotations

import asyncio
import pathlib
import stat
import subprocess
import sys

from durable_saga import Client, Handle, connect
from examples.demo.processes import Process, free_address

APP = """
from durable_saga import saga, step

@step
def add(number: int) -> int:
    return number + 1

@add.compensation
def take_away(number: int) -> None: ...

@saga
async def counts(start: int) -> int:
    number = start
    for _ in range(5):
        number = await add(number)
    return number
"""


def begin(folder: pathlib.Path, file: str, address: str) -> list[Process]:
    journal = ["--journal", f"sqlite:///{folder}/{file}"]
    server = Process(f"server-{file}", ["-m", "durable_saga", "server", *journal, "--listen", address], folder, "listening")
    server.start({})
    command = ["-m", "durable_saga", "worker", "counting", "--url", address]
    worker = Process(f"worker-{file}", command, folder, "worker ")
    worker.start({"PYTHONPATH": str(folder)})
    return [worker, server]


def cli(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def load(client: Client, acknowledged: list[str], stopped: asyncio.Event) -> None:
    async def one(lane: int) -> None:
        number = 0
        while not stopped.is_set():
            name = f"{lane}-{number}"
            await client.start("counts", number, id=name)
            acknowledged.append(name)
            number += 1

    await asyncio.gather(*(one(lane) for lane in range(4)))


async def back_up_under_load(address: str, journal: str, copy: str) -> list[str]:
    """What was acknowledged before the copy was begun."""
    acknowledged: list[str] = []
    stopped = asyncio.Event()
    async with connect(address) as client:
        loading = asyncio.create_task(load(client, acknowledged, stopped))
        while len(acknowledged) < 200:
            await asyncio.sleep(0.05)
        before = list(acknowledged)
        told = await asyncio.to_thread(cli, "journal", "backup", copy, "--journal", journal)
        assert "complete" in told
        stopped.set()
        await loading
        assert len(acknowledged) > len(before), "it went on meanwhile"
    return before


async def results(address: str, names: list[str]) -> list[int]:
    async with connect(address) as client:
        handles: list[Handle[int]] = [client.handle(name) for name in names]
        return [await asyncio.wait_for(handle.result(), 60) for handle in handles]


def test_a_system_goes_on_from_a_copy_that_was_made_under_load(tmp_path: pathlib.Path) -> None:
    (tmp_path / "counting.py").write_text(APP)
    address, copy = free_address(), tmp_path / "copy.db"
    first = begin(tmp_path, "first.db", address)
    try:
        before = asyncio.run(back_up_under_load(address, f"sqlite:///{tmp_path}/first.db", str(copy)))
        for process in first:
            assert process.stop() == 0
    finally:
        for process in first:
            process.kill()
    assert not [one.name for one in tmp_path.glob("first.db-*")], "a clean stop leaves one file"
    assert [stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob("*.db")] == [0o600, 0o600]

    cli("journal", "restore", str(copy), "--journal", f"sqlite:///{tmp_path}/second.db")
    second = begin(tmp_path, "second.db", address)
    try:
        expected = [int(name.partition("-")[2]) + 5 for name in before]
        assert asyncio.run(results(address, before)) == expected
    finally:
        for process in second:
            process.kill()
