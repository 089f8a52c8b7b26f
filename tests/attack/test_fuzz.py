"""Nonsense by every call and every frame: the honest ones notice nothing, and nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import pathlib
import sqlite3
import subprocess
import sys

import pytest

from durable_saga.pb import access_pb2 as a
from tests.attack.fuzzing import HONEST, HOSTILE, Fuzzer, Told
from tests.attack.standing import Server, faults_of_journal, faults_of_log

INPUTS = int(os.environ.get("FUZZ_INPUTS", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
MEGABYTES_MAX = 400
REPEAT = f"FUZZ_SEED={SEED} FUZZ_INPUTS={INPUTS} .venv/bin/python -m pytest tests/attack/test_fuzz.py"


@pytest.mark.timeout(60 + INPUTS // 100)
def test_nonsense_hurts_nobody_else(tmp_path: pathlib.Path) -> None:
    attack(Server(tmp_path), INPUTS)


@pytest.mark.timeout(60 + INPUTS // 100)
def test_nonsense_of_somebody_who_is_known_does_nothing_where_they_have_no_role(tmp_path: pathlib.Path) -> None:
    server = Server(tmp_path, "--tokens")
    roles = ("reader", "sender", "operator", "worker", "monitor")
    tokens = {who: token_of(server, who, who, *roles) for who in (HOSTILE, HONEST)}
    told = attack(server, INPUTS // 4, hostile=tokens[HOSTILE], honest=tokens[HONEST])
    assert told.codes["OK"] > 20, REPEAT  # within their own namespace they may
    assert told.codes["PERMISSION_DENIED"] > 20, REPEAT
    db = sqlite3.connect(server.journal)
    touched = {namespace for (namespace,) in db.execute("SELECT namespace FROM heads UNION SELECT namespace FROM inbox")}
    touched |= {namespace for (namespace,) in db.execute("SELECT namespace FROM claims UNION SELECT namespace FROM keys")}
    assert touched <= {HOSTILE, HONEST}, REPEAT
    assert {name for (name,) in db.execute("SELECT name FROM tokens")} == {HOSTILE, HONEST}, REPEAT
    rows = db.execute(
        "SELECT entry FROM audit WHERE who = ? AND namespace != ? AND verb != 'Login'", (HOSTILE, HOSTILE)
    ).fetchall()
    done = [one for (row,) in rows if (one := a.AuditEntry.FromString(row)).outcome != "PERMISSION_DENIED"]
    assert done == [], REPEAT
    db.close()


def token_of(server: Server, name: str, namespace: str, *roles: str) -> str:
    words = ["token", "create", name, "--namespace", namespace, "--url", f"sqlite:///{server.journal}"]
    words += [word for role in roles for word in ("--role", role)]
    command = [sys.executable, "-m", "durable_saga", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def attack(server: Server, inputs: int, **tokens: str) -> Told:
    server.start()
    try:
        told = asyncio.run(Fuzzer(server.address, SEED, inputs, **tokens).run())
        print(told, server.megabytes(), "MB")
        assert server.process.poll() is None, REPEAT
        assert server.megabytes() < MEGABYTES_MAX, REPEAT
        assert told.honest >= 20, REPEAT
        assert told.faults == [], REPEAT
    finally:
        code = server.stop()
    assert code == 0, REPEAT
    assert faults_of_log(server.log.read_text()) == [], REPEAT
    assert faults_of_journal(server.journal) == [], REPEAT
    return told
