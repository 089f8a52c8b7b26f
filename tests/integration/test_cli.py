"""The command line as a person uses it: real processes, a real file, a pipe."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from examples.demo.processes import Process

ROOT = pathlib.Path(__file__).resolve().parents[2]
APP = """
from durable_saga import saga, state, step, event, signal, Retry, NotApplied
import os, pathlib

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

@saga(keys=lambda order: [f"order={order}"], attributes=lambda order: {"order": order})
async def approved(order: str) -> str:
    await greet(order)
    return await event("approval")

@step(retry=Retry(max_attempts=1))
def guarded() -> str:
    if not pathlib.Path(__file__).with_name("open").exists():
        raise NotApplied("shut")
    return "in"

@saga(when_failed="hold")
async def careful() -> str:
    state.set("at", "the door")
    await greet("you")
    return await guarded()

@careful.query
def place(prefix: str) -> str:
    return prefix + state.get("at", "")

@careful.query
def deadly() -> None:
    os._exit(9)
"""


def cli(folder: pathlib.Path, url: str, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", *words], cwd=folder, capture_output=True, text=True, timeout=60,
        env={"DURABLE_SAGA_URL": url, "PATH": "", "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def url(tmp_path: pathlib.Path) -> Iterator[str]:
    """Of a server with a worker, both in processes of their own."""
    (tmp_path / "app.py").write_text(APP)
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", "127.0.0.1:0"]
    server = Process("server", command, tmp_path, "listening on")
    address = server.start({})
    worker = Process("worker", ["-m", "durable_saga", "worker", "app", "--processes", "2"], tmp_path, "worker")
    try:
        worker.start({"DURABLE_SAGA_URL": address, "PYTHONPATH": str(tmp_path)})
        yield address
    finally:
        assert worker.stop() == 0
        assert server.stop() == 0


def test_a_person_starts_watches_and_ends_sagas(tmp_path: pathlib.Path, url: str) -> None:
    assert json.loads(cli(tmp_path, url, "start", "hello", "world", "--id", "h-1", "--wait")) == "hello world"
    described = json.loads(cli(tmp_path, url, "describe", "h-1"))
    assert described["status"] == "COMPLETED"
    assert described["result"] == "hello world"
    assert described["steps"][0]["state"] == "done"
    cli(tmp_path, url, "history", "h-1", "--raw", "h-1.history")
    assert "the code does the same" in cli(tmp_path, url, "replay", "h-1.history", "--saga", "app:hello")
    for name in ("w-1", "w-2", "w-3"):
        json.loads(cli(tmp_path, url, "start", "waits", "--id", name))
    cli(tmp_path, url, "signal", "w-1", "go", '"now"')
    cli(tmp_path, url, "cancel", "w-2", "--reason", "no")
    cli(tmp_path, url, "terminate", "w-3")
    assert statuses(tmp_path, url) == {"h-1": "COMPLETED", "w-1": "COMPLETED", "w-2": "CANCELLED", "w-3": "TERMINATED"}
    assert "there is no saga 'x'" in cli(tmp_path, url, "describe", "x", code=1)
    assert "has no saga" in cli(tmp_path, url, "worker", "json", code=1)
    assert cli(tmp_path, url, "check", "app.py") == ""


def test_a_query_is_asked_of_a_worker_or_of_the_module_that_is_named(tmp_path: pathlib.Path, url: str) -> None:
    json.loads(cli(tmp_path, url, "start", "careful", "--id", "q-1"))
    while json.loads(cli(tmp_path, url, "describe", "q-1"))["status"] != "HELD":
        time.sleep(0.1)
    assert json.loads(cli(tmp_path, url, "query", "q-1", "place", "at ")) == "at the door"
    assert json.loads(cli(tmp_path, url, "query", "q-1", "place", "at ", "--app", "app")) == "at the door"
    assert "has no query 'plaice': did you mean 'place'?" in cli(
        tmp_path, url, "query", "q-1", "plaice", "--app", "app", code=1
    )
    assert "expected str, found int" in cli(tmp_path, url, "query", "q-1", "place", "7", "--app", "app", code=1)
    assert "there is no saga 'q-2'" in cli(tmp_path, url, "query", "q-2", "place", "--app", "app", code=1)
    lost = cli(tmp_path, url, "query", "q-1", "deadly", "--timeout", "30", code=1)
    assert "2 workers were lost while they were at it" in lost
    assert json.loads(cli(tmp_path, url, "start", "hello", "again", "--wait")) == "hello again"


def test_a_journal_that_is_none_is_told_in_one_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, and no journal of sagas at all\n")
    for words in (("dev", "--file", "notes.txt", "--listen", "127.0.0.1:0"), ("describe", "x", "--url", "sqlite:///notes.txt")):
        told = cli(tmp_path, "", *words, code=1)
        assert told.splitlines()[-1] == "Error: notes.txt isn't a journal (file is not a database): name another file"
        assert "Traceback" not in told
    told = cli(tmp_path, "", "describe", "x", "--url", "sqlite:///away/x.db", code=1)
    assert "the folder away does not exist, so make it first" in told
    assert "Traceback" not in told


def test_an_argument_of_the_wrong_type_is_refused_or_told_and_the_saga_can_be_cancelled(
    tmp_path: pathlib.Path, url: str
) -> None:
    refused = cli(tmp_path, url, "start", "hello", "7", "--id", "t-1", "--app", "app", code=1)
    assert "argument name: expected str, found int" in refused
    assert "there is no saga 't-1'" in cli(tmp_path, url, "describe", "t-1", code=1)
    assert "app has no saga 'helo', only approved" in cli(tmp_path, url, "start", "helo", "--app", "app", code=1)
    assert json.loads(cli(tmp_path, url, "start", "hello", '"7"', "--app", "app", "--wait")) == "hello 7"
    command = [sys.executable, "-m", "durable_saga", "start", "hello", "7", "--id", "t-2", "--wait", "--url", url]
    waiting = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    assert (
        "t-2 can't continue now: durable_saga.errors.DecodeError: argument name: expected str, found int"
        in waiting.stderr.readline()
    )
    assert "expected str" in json.loads(cli(tmp_path, url, "describe", "t-2"))["blocked"]
    cli(tmp_path, url, "cancel", "t-2", "--reason", "a typing error")
    assert waiting.wait(40) == 1
    assert "a typing error" in waiting.stderr.read()
    waiting.stderr.close()
    assert status(tmp_path, url, "t-2") == "CANCELLED"


def test_e3_a_person_publishes_an_event_to_a_correlation_key(tmp_path: pathlib.Path, url: str) -> None:
    json.loads(cli(tmp_path, url, "start", "approved", "o7", "--id", "a-1"))
    while "steps" not in json.loads(cli(tmp_path, url, "describe", "a-1")):
        time.sleep(0.1)  # a saga that is started by name declares its keys when it runs
    published = json.loads(cli(tmp_path, url, "publish", "approval", '"ok"', "--key", "order=o7"))
    assert published == {"event": "approval", "delivered": 1}
    assert status(tmp_path, url, "a-1") == "COMPLETED"
    assert "no open saga has the correlation key" in cli(tmp_path, url, "publish", "x", "--key", "order=8", code=1)


def test_a_person_lists_by_search_attribute_and_time(tmp_path: pathlib.Path, url: str) -> None:
    for name in ("l-1", "l-2"):
        cli(tmp_path, url, "start", "approved", name, "--id", name)
    found: list[str] = []
    for _ in range(40):
        found = cli(tmp_path, url, "list", "--where", "order=l-2", "--started-after", "2026-01-01").splitlines()
        if found:
            break
        time.sleep(0.2)  # a saga that is started by name declares its attributes when it runs
    assert [(one["key"]["saga"], one["attributes"]) for one in map(json.loads, found)] == [("l-2", {"order": "l-2"})]
    assert cli(tmp_path, url, "list", "--where", "order=l-2", "--started-before", "2026-01-01T10:00:00+0100") == ""
    assert "isn't NAME=VALUE" in cli(tmp_path, url, "list", "--where", "order", code=2)
    assert "the name of a search attribute" in cli(tmp_path, url, "list", "--where", "a-b=c", code=1)


def test_r6_r7_r9_a_person_recovers_and_compensates_and_counts(tmp_path: pathlib.Path, url: str) -> None:
    for name in ("c-1", "c-2"):
        json.loads(cli(tmp_path, url, "start", "careful", "--id", name))
        assert status(tmp_path, url, name) == "HELD"
    held = json.loads(cli(tmp_path, url, "describe", "c-1"))
    assert held["state"] == {"at": "the door"}
    assert held["recoverable"]
    (tmp_path / "open").touch()
    cli(tmp_path, url, "recover", "c-1", "--reason", "the door is open")
    cli(tmp_path, url, "compensate", "c-2", "--reason", "we go home")
    assert status(tmp_path, url, "c-1", "COMPLETED") == "COMPLETED"
    assert status(tmp_path, url, "c-2", "COMPENSATED") == "COMPENSATED"
    recorded = [json.loads(line) for line in cli(tmp_path, url, "history", "c-1").splitlines()]
    (request,) = [one["recover_requested"] for one in recorded if "recover_requested" in one]
    assert request["reason"] == "the door is open"
    assert request["who"]
    assert "COMPLETED" in cli(tmp_path, url, "recover", "c-1", code=1)
    assert json.loads(cli(tmp_path, url, "stats"))["by_type"]["careful"] == {"completed": 1, "compensated": 1}


def status(folder: pathlib.Path, url: str, name: str, wanted: str = "") -> str:
    """Once it is the wanted one, or the saga does not run any more."""
    found = ""
    for _ in range(40):
        found = str(json.loads(cli(folder, url, "describe", name))["status"])
        if found == wanted or (not wanted and found not in ("RUNNING", "COMPENSATING")):
            return found
        time.sleep(0.2)
    pytest.fail(f"{name} is {found}")


def statuses(folder: pathlib.Path, url: str) -> dict[str, str]:
    """Once nothing runs any more."""
    for _ in range(40):
        rows = [json.loads(line) for line in cli(folder, url, "list").splitlines()]
        found = {row["key"]["saga"]: row["status"] for row in rows}
        if "RUNNING" not in found.values() and "COMPENSATING" not in found.values():
            return found
        time.sleep(0.2)
    pytest.fail(f"not at rest: {found}")
