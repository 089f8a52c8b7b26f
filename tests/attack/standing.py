"""A real server on a file of its own, and what is looked at after an attack: its log, its memory, its journal."""

from __future__ import annotations

import pathlib
import signal
import sqlite3
import subprocess
import sys
from typing import Any

from google.protobuf.message import DecodeError

from durable_saga.pb import history_pb2 as h
from examples.demo.processes import free_address

READY = "listening on"
STOP_SECONDS = 20


class Server:
    """From `start()` to `stop()`."""

    def __init__(self, folder: pathlib.Path, *words: str) -> None:
        """`words` are further options of its command."""
        self._words = words
        self.journal = folder / "sagas.db"
        self.log = folder / "server.log"
        self.address = free_address()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = ["server", "--journal", f"sqlite:///{self.journal}", "--listen", self.address, *self._words]
        with open(self.log, "a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "durable_saga", *words], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        assert READY in self._process.stdout.readline(), self.log.read_text()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it was started"
        return self._process

    def megabytes(self) -> int:
        """Of memory that it holds."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024

    def stop(self) -> int:
        """Its exit code; killed after STOP_SECONDS, which is a failure."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


def faults_of_log(text: str) -> list[str]:
    """What no attack may bring about: tracebacks, mistakes, lines that are not lines of the log."""
    lines = text.splitlines()
    return [line for line in lines if "Traceback" in line or "bug in durable_saga" in line or not line[:2].isdigit()]


def faults_of_journal(path: pathlib.Path) -> list[str]:
    """Whether it is whole: the file, each head, each event."""
    db = sqlite3.connect(path)
    found = [str(row[0]) for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    heads = db.execute("SELECT id, namespace, saga, run, status, next_seq, started_ms, updated_ms, wake_at_ms FROM heads")
    for number, namespace, saga, run, status, next_seq, *times in heads.fetchall():
        name = f"{namespace}/{saga}/{run}"
        if status not in h.Status.values() or status == h.STATUS_UNSPECIFIED:
            found.append(f"{name} has status {status}")
        if any(not 0 <= time < 10**15 for time in times):
            found.append(f"{name} has times {times}")
        found += [f"{name}: {fault}" for fault in _faults_of_events(db, number, next_seq, status)]
    db.close()
    return found


def _faults_of_events(db: sqlite3.Connection, number: int, next_seq: int, status: int) -> list[str]:
    rows: list[Any] = db.execute("SELECT seq, event FROM events WHERE head = ? ORDER BY seq", (number,)).fetchall()
    if [seq for seq, _ in rows] != list(range(next_seq)):
        return [f"{len(rows)} events, the head says {next_seq}"]
    try:
        events = [h.Event.FromString(event) for _, event in rows]
    except DecodeError as error:
        return [str(error)]
    last = events[-1].WhichOneof("kind")
    ended = last in ("saga_ended", "saga_terminated")
    open_statuses = (h.RUNNING, h.COMPENSATING, h.COMPENSATION_STUCK, h.HELD)
    return [] if ended == (status not in open_statuses) else [f"its status is {status}, its last event {last}"]
