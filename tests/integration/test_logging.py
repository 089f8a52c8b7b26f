"""The log of a real server and a real worker: what fails leaves a line that says where, with the saga it is about."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from durable_saga import SyncClient

APP = """
import asyncio, logging
from durable_saga import Retry, saga, step

log = logging.getLogger("shop")

class BankDown(Exception): ...

@step(retry=Retry(max_attempts=2, initial=0.05))
async def charge(name: str) -> str:
    log.info("charging %s", name, extra={"amount": 7})
    raise BankDown("the bank is closed")  # here

@step(retry=Retry(max_attempts=1))
def book(name: str) -> str:
    log.warning("booking %s", name)
    return name

@book.compensation(retry=Retry(max_attempts=1))
def unbook(name: str) -> None:
    raise OSError("no line to the hotel")

@saga
async def order(name: str) -> str:
    log.info("begins")
    await book(name)
    return await charge(name)

@saga
async def wrong() -> None:
    raise ZeroDivisionError("in the saga's own code")
"""


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(APP.splitlines(), 1) if text in line)


class Dev:
    def __init__(self, folder: pathlib.Path, *options: str) -> None:
        (folder / "app.py").write_text(APP)
        self._errors = folder / "stderr"
        command = [sys.executable, "-u", "-m", "durable_saga", "dev", "app", "--no-page", "--listen", "127.0.0.1:0", *options]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip().removeprefix("listening on ")

    def until(self, found: Callable[[list[str]], bool]) -> list[str]:
        deadline = time.monotonic() + 60
        while not found(lines := self._errors.read_text().splitlines()):
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.1)
        return lines

    def stop(self) -> list[str]:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(60) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._errors.read_text().splitlines()


def test_what_fails_is_told_with_its_place_its_attempt_and_its_saga(tmp_path: pathlib.Path) -> None:
    dev = Dev(tmp_path, "--log-format", "json")
    with SyncClient(dev.url) as client:
        client.start("order", "Ann", id="o-1")
        client.start("wrong", id="w-1")
        dev.until(lambda lines: any("no line to the hotel" in line for line in lines) and any("w-1" in line for line in lines))
    found: list[dict[str, Any]] = [json.loads(line) for line in dev.stop()]

    def lines(text: str) -> list[dict[str, Any]]:
        return [one for one in found if text in one["message"]]

    app, order = f"{tmp_path}/app.py", {"saga": "o-1", "run": 1, "saga_type": "order"}
    first, last = [one for one in lines("BankDown") if "step charge" in one["message"]]
    assert first["message"].startswith(f"{app}:{line_of('# here')} in charge: app.BankDown: the bank is closed; saga o-1: ")
    assert "attempt 1; it is tried again in 0." in first["message"]
    assert last["message"].endswith("attempt 2; it is not tried again")
    for one, attempt in ((first, 1), (last, 2)):
        assert one["level"] == "WARNING"
        assert {**order, "step": "charge", "attempt": attempt}.items() <= one.items()
    (stuck,) = lines("no line to the hotel")
    assert stuck["level"] == "ERROR"
    assert {**order, "step": "unbook", "attempt": 1}.items() <= stuck.items()
    (undone,) = lines("failed and is compensated")
    assert order.items() <= undone.items()
    assert "step" not in undone
    assert undone["message"].startswith(f"{app}:{line_of('return await charge')} in order: ")
    (failed,) = lines("failed, with nothing to undo")
    assert failed["message"].startswith(f"{app}:{line_of('the saga')} in wrong: ")
    charging = lines("charging Ann")
    assert [(one["attempt"], one["step"], one["amount"], one["logger"]) for one in charging] == [
        (1, "charge", 7, "shop"), (2, "charge", 7, "shop"),
    ]  # fmt: skip
    assert [(one["step"], one["saga"]) for one in lines("booking Ann")] == [("book", "o-1")], "of a thread too"
    assert [one["saga_type"] for one in lines("begins") if one["saga"] == "o-1"] == ["order"], "a replay says nothing again"


@pytest.mark.parametrize("style", [("--log-format", "text"), ()])
def test_a_flood_of_failures_is_folded(tmp_path: pathlib.Path, style: tuple[str, ...]) -> None:
    dev = Dev(tmp_path, *style)
    with SyncClient(dev.url) as client:
        handles = [client.start("wrong", id=f"w-{number}") for number in range(40)]
        for handle in handles:
            with pytest.raises(Exception, match="in the saga's own code"):
                handle.result()
    lines = [line for line in dev.stop() if "ZeroDivisionError" in line]
    assert len(lines) == 2, "one at once, one at the end, which is before its minute is over"
    assert "[saga=w-" in lines[0]
    assert "; 39 such failures since the last line" in lines[1]
    assert "and others [saga=w-" in lines[1]
