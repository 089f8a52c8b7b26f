"""`durable-saga dev APP --reload`: server and worker in one, the worker anew when its code changes, and what no longer fits."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from examples.demo.processes import free_address

CODE = """
from durable_saga import saga, signal, step

@step
async def reserve(number: int) -> int:
    return number

@step
async def charge(number: int) -> int:
    return number

@saga
async def place_order(number: int) -> int:
    await reserve(number)
    return await signal("go", type=int)
"""
SECONDS_MAX = 60


class Dev:
    def __init__(self, folder: pathlib.Path) -> None:
        self.code = folder / "shop_orders.py"
        self.code.write_text(CODE)
        self.address = free_address()
        self._folder = folder
        command = ["dev", "shop_orders", "--reload", "--no-page", "--listen", self.address]
        with (folder / "told.txt").open("wb") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "durable_saga", *command], cwd=folder, stdout=told, stderr=subprocess.STDOUT
            )

    def told(self) -> str:
        return (self._folder / "told.txt").read_text()

    def until(self, text: str, times: int = 1) -> None:
        for _ in range(SECONDS_MAX * 10):
            if self.told().count(text) >= times:
                return
            time.sleep(0.1)
        raise AssertionError(f"{text!r} was not told {times} times in {SECONDS_MAX} s: {self.told()}")

    def cli(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "durable_saga", *words], cwd=self._folder, capture_output=True, text=True, timeout=60,
            env={**os.environ, "DURABLE_SAGA_URL": self.address}, check=True,
        )  # fmt: skip
        return done.stdout

    def shows(self, text: str, *words: str) -> None:
        """In what a command tells, sooner or later."""
        for _ in range(SECONDS_MAX):
            if text in (told := self.cli(*words)):
                return
            time.sleep(0.5)
        raise AssertionError(f"{words} does not tell {text!r}: {told}")


@pytest.fixture
def dev(tmp_path: pathlib.Path) -> Iterator[Dev]:
    made = Dev(tmp_path)
    try:
        yield made
    finally:
        made.process.terminate()
        made.process.wait(40)


def test_a_change_starts_the_worker_anew_and_names_what_no_longer_fits(dev: Dev) -> None:
    dev.until("runs place_order")
    dev.cli("start", "place_order", "3", "--id", "o1")
    dev.shows("step_completed", "history", "o1")
    dev.code.write_text(CODE.replace("await reserve(number)", "await charge(number)"))
    dev.until("open saga o1 of place_order can't continue with this code")
    assert "the code asked for" in dev.told()
    dev.until("runs place_order", 2)
    dev.code.write_text(CODE + "\nprint(")
    dev.until("'(' was never closed")
    dev.until("the worker restarts after the next change")
    dev.code.write_text(CODE)
    dev.until("runs place_order", 3)
    dev.cli("signal", "o1", "go", "7")
    dev.shows("COMPLETED", "describe", "o1")
    assert dev.process.poll() is None


def test_reload_without_an_app_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", "dev", "--reload"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "--reload restarts the worker of APP" in done.stderr
