"""Nonsense by every call and every frame: the honest ones notice nothing, and nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import pathlib

import pytest

from tests.attack.fuzzing import Fuzzer
from tests.attack.standing import Server, faults_of_journal, faults_of_log

INPUTS = int(os.environ.get("FUZZ_INPUTS", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
MEGABYTES_MAX = 400
REPEAT = f"FUZZ_SEED={SEED} FUZZ_INPUTS={INPUTS} .venv/bin/python -m pytest tests/attack/test_fuzz.py"


@pytest.mark.timeout(60 + INPUTS // 100)
def test_nonsense_hurts_nobody_else(tmp_path: pathlib.Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        told = asyncio.run(Fuzzer(server.address, SEED, INPUTS).run())
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
