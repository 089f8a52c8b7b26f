"""Plays a suite in processes of their own: once on asyncio, and in sagas with three hash seeds, side by side."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.conformance.differences import Difference, compare

ROOT = pathlib.Path(__file__).resolve().parents[2]
HASH_SEEDS = ("0", "1", "4711")
SECONDS_MAX = 600
PLAIN_FAILURES_MAX = 5
Found = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Played:
    plain: Found
    sagas: list[Found]

    def check(self, rows: tuple[Difference, ...]) -> None:
        """The same on asyncio and in a saga, but for what the rows say; and the same in each process."""
        failed = [test for test, found in self.plain.items() if found["outcome"] == "fail"]
        assert len(failed) <= PLAIN_FAILURES_MAX, f"they fail on asyncio already: {failed}"
        wrong, unneeded = compare(self.plain, self.sagas[0], rows)
        assert not wrong, "\n".join(wrong)
        assert not unneeded, f"no test needs these rows any more: {unneeded}"
        first, *others = self.sagas
        for other in others:
            differ = [test for test in first if first[test]["digest"] != other.get(test, {}).get("digest")]
            assert not differ, f"another journal in another process: {differ}"


def play(command: Callable[[str, pathlib.Path], list[str]], folder: pathlib.Path) -> Played:
    """`command(mode, out)`: what to run."""

    def one(mode: str, seed: str) -> Found:
        out = folder / f"{mode}-{seed}.json"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        environment.pop("PYTEST_ADDOPTS", None)
        done = subprocess.run(
            [sys.executable, *command(mode, out)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        assert out.exists(), f"{mode}, hash seed {seed}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        found: Found = json.loads(out.read_text())
        return found

    with ThreadPoolExecutor(max_workers=len(HASH_SEEDS) + 1) as pool:
        plain = pool.submit(one, "asyncio", "0")
        sagas = [pool.submit(one, "saga", seed) for seed in HASH_SEEDS]
        return Played(plain.result(), [saga.result() for saga in sagas])
