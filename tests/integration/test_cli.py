"""The command line as a person uses it: real processes, a real file, a pipe."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time

import pytest

from examples.demo.processes import Process

ROOT = pathlib.Path(__file__).resolve().parents[2]
APP = """
from durable_saga import saga, step, signal, Retry

@step
def greet(name: str) -> str:
    return f"hello {name}"

@greet.compensation
def ungreet(name: str) -> None: ...

@saga
async def hello(name: str) -> str:
    return await greet(name)

@saga
async def waits() -> str:
    await greet("you")
    return await signal("go")
"""


def cli(folder: pathlib.Path, url: str, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", *words], cwd=folder, capture_output=True, text=True, timeout=60,
        env={"DURABLE_SAGA_URL": url, "PATH": "", "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_person_can_do_everything_from_the_command_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", "127.0.0.1:0"]
    server = Process(
        "server",
        command,
        tmp_path,
        "listening on",
    )
    url = server.start({})
    worker = Process("worker", ["-m", "durable_saga", "worker", "app", "--processes", "2"], tmp_path, "worker")
    try:
        worker.start({"DURABLE_SAGA_URL": url, "PYTHONPATH": str(tmp_path)})
        assert json.loads(cli(tmp_path, url, "start", "hello", "world", "--id", "h-1", "--wait")) == "hello world"
        described = json.loads(cli(tmp_path, url, "describe", "h-1"))
        assert described["status"] == "COMPLETED"
        assert described["result"] == "hello world"
        assert described["steps"][0]["state"] == "done"
        cli(tmp_path, url, "history", "h-1", "--raw", "h-1.history")
        assert "replay alike" in cli(tmp_path, url, "replay", "h-1.history", "--saga", "app:hello")
        json.loads(cli(tmp_path, url, "start", "waits", "--id", "w-1"))
        json.loads(cli(tmp_path, url, "start", "waits", "--id", "w-2"))
        json.loads(cli(tmp_path, url, "start", "waits", "--id", "w-3"))
        cli(tmp_path, url, "signal", "w-1", "go", '"now"')
        cli(tmp_path, url, "cancel", "w-2", "--reason", "no")
        cli(tmp_path, url, "terminate", "w-3")
        assert statuses(tmp_path, url) == {"h-1": "COMPLETED", "w-1": "COMPLETED", "w-2": "CANCELLED", "w-3": "TERMINATED"}
        assert "there is no saga 'x'" in cli(tmp_path, url, "describe", "x", code=1)
        assert "holds no saga" in cli(tmp_path, url, "worker", "json", code=1)
        assert cli(tmp_path, url, "check", "app.py") == ""
    finally:
        assert worker.stop() == 0
        assert server.stop() == 0


def statuses(folder: pathlib.Path, url: str) -> dict[str, str]:
    """Once nothing runs any more."""
    for _ in range(40):
        rows = [json.loads(line) for line in cli(folder, url, "list").splitlines()]
        found = {row["key"]["saga"]: row["status"] for row in rows}
        if "RUNNING" not in found.values() and "COMPENSATING" not in found.values():
            return found
        time.sleep(0.2)
    pytest.fail(f"not at rest: {found}")
