"""Sealed sagas in real processes that are killed with -9: the disk, the server's log, the command line, the page."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from durable_saga import Client, Handle, connect
from durable_saga.sealing import KeyFolder, Sealed
from examples.demo.processes import ROOT, Process, free_address
from tests.integration import sealed_sagas as s

APP = "tests.integration.sealed_sagas"
CODEC = f"{APP}:sealed"
COUNT = 6


class Stand:
    """A server that says all it can in its log, and a worker with the keys."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.keys = KeyFolder(folder / "keys")
        self.keys.create("customer-7")
        self.codec = Sealed(self.keys, s.owner_of)
        self.url = free_address()
        self.environment = {"SEALED_KEYS": str(folder / "keys")}
        journal = ["--journal", f"sqlite:///{folder}/j.db", "--listen", self.url, "--verbose"]
        self.server = Process("server", ["-m", "durable_saga", "server", *journal], folder, "listening on")
        worker = ["-m", "durable_saga", "worker", APP, "--url", self.url, "--codec", CODEC, "--processes", "2"]
        self.worker = Process("worker", worker, folder, "worker")

    def start(self) -> None:
        self.server.start({})
        self.worker.start(self.environment)

    def seen(self) -> bytes:
        """All that whoever has the server's machine sees."""
        return b"".join(one.read_bytes() for one in (*self.folder.glob("j.db*"), self.folder / "server.log"))

    def cli(self, *words: str, code: int = 0, codec: str = CODEC) -> str:
        environment = {**os.environ, **self.environment, "DURABLE_SAGA_URL": self.url}
        chosen = ["--codec", codec] if codec else []
        command = [sys.executable, "-m", "durable_saga", *words, *chosen]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def stand(tmp_path: pathlib.Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.worker.kill()
        made.server.kill()


async def begin(stand: Stand) -> None:
    async with connect(stand.url, codec=stand.codec) as client:
        for number in range(COUNT):
            await client.start(s.everything, s.SECRET, id=f"7/{number}")
            await client.handle(f"7/{number}").signal("tell", f"told {s.SECRET}")


async def reached(client: Client, saga: str, step: str) -> None:
    async with asyncio.timeout(60):
        while not any(one.name == step for one in (await client.handle(saga).describe(large=False)).steps):
            await asyncio.sleep(0.05)


async def end(stand: Stand) -> list[str]:
    async with connect(stand.url, codec=stand.codec) as client:
        handles: list[Handle[str]] = [client.handle(f"7/{number}") for number in range(COUNT)]
        for handle in handles:
            await reached(client, handle.id, "statement")
            await handle.signal("large", s.SECRET.encode() * 3_000)
            await client.publish("paid", f"paid {s.SECRET}", saga=handle.id)
        return [await asyncio.wait_for(handle.result(), 60) for handle in handles]


def test_nothing_on_the_servers_machine_tells_a_value_whoever_is_killed(stand: Stand) -> None:
    asyncio.run(begin(stand))
    stand.worker.kill()
    stand.server.kill()
    assert (stand.folder / "j.db-wal").stat().st_size, "it was cut off"
    assert s.SECRET.encode() not in stand.seen()
    stand.start()
    expected = f"hello {s.SECRET}; told {s.SECRET}; paid {s.SECRET}; {s.SECRET}; {s.LARGE + len(s.SECRET)}; 54000"
    assert asyncio.run(end(stand)) == [expected] * COUNT
    assert s.SECRET.encode() not in stand.seen()
    assert stand.worker.stop() == 0
    assert stand.server.stop() == 0
    assert s.SECRET.encode() not in stand.seen()
    assert [one.name for one in stand.folder.glob("j.db*")] == ["j.db"]


def test_a_person_opens_values_with_the_codec_and_is_told_the_key_without(stand: Stand) -> None:
    shown = stand.cli("start", "fails", json.dumps(s.SECRET), "--id", "7/f", "--wait", code=1)
    assert f"the bank declined {s.SECRET}" in shown
    stand.cli("start", "waits", json.dumps(s.SECRET), "--id", "7/w")
    stand.cli("signal", "7/w", "tell", json.dumps(f"by hand {s.SECRET}"))
    deadline = time.monotonic() + 30
    while json.loads(stand.cli("describe", "7/w"))["status"] != "COMPLETED" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert json.loads(stand.cli("describe", "7/w"))["result"] == f"hello {s.SECRET}, by hand {s.SECRET}"
    assert s.SECRET in stand.cli("history", "7/f")
    blind = (
        stand.cli("describe", "7/w", codec="") + stand.cli("history", "7/w", codec="") + stand.cli("describe", "7/f", codec="")
    )
    assert s.SECRET not in blind
    assert "sealed with the key customer-7:1" in blind
    assert "tests.integration.sealed_sagas.Declined: [sealed customer-7:1 " in blind
    stand.cli("history", "7/w", "--raw", str(stand.folder / "w.history"))
    assert "the code does the same" in stand.cli("replay", str(stand.folder / "w.history"), "--saga", f"{APP}:waits", codec="")
    assert (stand.folder / "w.history").stat().st_mode & 0o777 == 0o600
    stand.cli("history", "7/w", "--raw", str(stand.folder / "sealed.history"), codec="")
    told = stand.cli("replay", str(stand.folder / "sealed.history"), "--saga", f"{APP}:waits", codec="", code=1)
    assert "are sealed: write it again" in told
    assert "isn't a codec" in stand.cli("describe", "7/w", codec=f"{APP}:SECRET", code=1)
    assert s.SECRET.encode() not in stand.seen()


@pytest.mark.parametrize("codec", [CODEC, ""])
def test_the_page_opens_values_where_it_has_the_codec(stand: Stand, codec: str) -> None:
    stand.cli("start", "carried", json.dumps(s.SECRET), "--id", "7/c")
    command = ["-m", "durable_saga", "page", stand.url, "--listen", "127.0.0.1:0", *(["--codec", codec] if codec else [])]
    page = Process("page", command, stand.folder, "page on")
    try:
        address = page.start(stand.environment)
        with urllib.request.urlopen(f"{address}/saga?id=7/c", timeout=30) as reply:
            shown = reply.read().decode()
    finally:
        page.kill()
    assert (s.SECRET in shown) == bool(codec)
    assert ("sealed with the key customer-7:1" in shown) == (not codec)


def test_a_worker_takes_a_redaction_by_its_name(stand: Stand) -> None:
    (stand.folder / "hiding.py").write_text(
        "def hide(text: str) -> str:\n    return text.replace('declined', 'said no to')\n\nNOTHING = 1\n"
    )
    stand.worker.kill()
    environment = {**stand.environment, "DURABLE_SAGA_REDACT": "hiding:hide", "PYTHONPATH": str(stand.folder)}
    stand.worker.start(environment)
    shown = stand.cli("start", "fails", json.dumps(s.SECRET), "--id", "7/f", "--wait", code=1)
    assert f"the bank said no to {s.SECRET}" in shown
    assert "said no to" in (stand.folder / "worker.log").read_text()
    refused = [sys.executable, "-m", "durable_saga", "worker", APP, "--redact", "hiding:NOTHING"]
    done = subprocess.run(
        refused, cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 1
    assert "isn't a function from text to text" in done.stderr
