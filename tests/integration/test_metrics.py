"""What real processes tell: the very metrics that the documentation lists, true numbers, and probes that tell the truth."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from durable_saga import SyncClient
from durable_saga.telemetry.catalogue import ALL

ROOT = pathlib.Path(__file__).resolve().parents[2]
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]
APP = """
import time
from durable_saga import Retry, saga, signal, step

class Down(Exception): ...

tries = []

@step(retry=Retry(max_attempts=3, initial=0.01))
async def charge(name: str) -> str:
    tries.append(name)
    if len(tries) < 3:
        raise Down("not yet")
    return name

@step
def book(name: str) -> str:
    return name

@book.compensation(retry=Retry(max_attempts=1))
def unbook(name: str) -> None:
    raise OSError("no line")

@step
async def blocks() -> None:
    time.sleep(5)

@saga
async def order(name: str) -> str:
    await book(name)
    return await charge(name)

@saga
async def fails(name: str) -> None:
    await book(name)
    raise ValueError("no")

@saga
async def waits() -> str:
    return await signal("go")

@saga
async def slow() -> None:
    await blocks()
"""


class Running:
    """A command of ours, with the address of its metrics."""

    def __init__(self, folder: pathlib.Path, *words: str) -> None:
        self._errors = folder / f"{words[0]}.log"
        command = [sys.executable, "-u", "-m", "durable_saga", *words, "--metrics", "127.0.0.1:0", "--verbose"]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.metrics = until(lambda: re.search(r"metrics on (http://\S+)/metrics", self._errors.read_text()))[1]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.metrics}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def values(self) -> Values:
        status, text = self.ask("/metrics")
        assert status == 200
        families = text_string_to_metric_families(text)
        return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}

    def kinds(self) -> dict[str, str]:
        return {family.name: family.type for family in text_string_to_metric_families(self.ask("/metrics")[1])}

    def value(self, name: str, **labels: str) -> float:
        return self.values().get((name, frozenset(labels.items())), 0.0)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[Running]:
    (tmp_path / "app.py").write_text(APP)
    one = Running(tmp_path, "server", "--journal", f"sqlite:///{tmp_path}/j.db", "--listen", "127.0.0.1:0")
    yield one
    one.stop()


@pytest.fixture
def url(server: Running) -> str:
    return server.line().removeprefix("listening on ")


@pytest.fixture
def worker(tmp_path: pathlib.Path, url: str) -> Iterator[Running]:
    one = Running(tmp_path, "worker", "app", "--url", url)
    one.line()
    yield one
    one.stop()


def documented() -> dict[str, str]:
    """Names and kinds of docs/metrics.md."""
    rows = re.findall(r"^\| `(durable_saga_\w+)` \| (\w+) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    return {name.removesuffix("_total") if kind == "counter" else name: kind for name, kind in rows}


def test_the_documentation_lists_each_metric_with_unit_labels_and_meaning() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    for one in ALL:
        name = one.prometheus_name + ("_total" if one.kind == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in one.labels)
        assert f"| `{name}` | {one.kind} | {one.unit.strip('{}')} | {labels} | {one.meaning} |" in text
    assert documented() == {one.prometheus_name: one.kind for one in ALL}


def check_probes_of(address: str) -> None:
    """Of a page, by any name."""
    for path, host in (("/livez", "page.example"), ("/readyz", "10.0.0.1")):
        request = urllib.request.Request(f"{address}{path}", headers={"Host": host})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert (answer.status, answer.read()) == (200, b"ok\n")


def test_real_processes_tell_what_is_documented_and_the_numbers_are_true(
    tmp_path: pathlib.Path, server: Running, url: str, worker: Running
) -> None:
    page = Running(tmp_path, "page", url, "--listen", "127.0.0.1:0")
    address = page.line().removeprefix("page on ")
    try:
        with SyncClient(url) as client:
            assert client.start("order", "Ann", id="o-1").result() == "Ann"
            client.start("fails", "Bob", id="f-1")
            client.start("waits", id="w-1")
            client.start("waits", id="w-2")
            client.handle("w-2").terminate("enough")
            until(
                lambda: worker.value(
                    "durable_saga_attempts_total", saga_type="fails", step="unbook", kind="compensation", outcome="stuck"
                )
            )
        for process in (server, worker, page):
            found = {name: kind for name, kind in process.kinds().items() if name.startswith("durable_saga")}
            assert found == documented()
        charge = {"saga_type": "order", "step": "charge"}
        step = {**charge, "kind": "step"}
        assert worker.value("durable_saga_attempts_total", **step, outcome="retried") == 2
        assert worker.value("durable_saga_attempts_total", **step, outcome="completed") == 1
        assert worker.value("durable_saga_attempt_errors_total", **charge, error="app.Down") == 2
        assert worker.value("durable_saga_attempt_duration_seconds_count", **step) == 3
        assert worker.value("durable_saga_attempt_delay_seconds_count", saga_type="order") == 4
        assert worker.value("durable_saga_sagas_ended_total", saga_type="order", status="COMPLETED") == 1
        assert worker.value("durable_saga_saga_duration_seconds_count", saga_type="order", status="COMPLETED") == 1
        assert worker.value("durable_saga_saga_failures_total", saga_type="fails", error="builtins.ValueError") == 1
        assert worker.value("durable_saga_worker_slots") == 100
        assert worker.value("durable_saga_worker_links") == 1
        assert server.value("durable_saga_sagas_started_total", saga_type="waits") == 2
        assert server.value("durable_saga_sagas_ended_total", saga_type="waits", status="TERMINATED") == 1
        assert server.value("durable_saga_commit_duration_seconds_count", outcome="committed") >= 8
        assert server.value("durable_saga_workers") == 1
        assert server.value("durable_saga_workers_room") == 1_000
        assert server.value("durable_saga_journal_size_bytes", file="journal") > 0
        assert server.value("durable_saga_disk_free_bytes") > 0
        assert server.value("durable_saga_journal_duration_seconds_count", call="runs.create") == 4
        assert until(lambda: server.value("durable_saga_sagas_open", saga_type="fails", status="COMPENSATION_STUCK"), 30) == 1
        assert server.value("durable_saga_sagas_open", saga_type="waits", status="RUNNING") == 1
        assert server.value("durable_saga_sagas_oldest_age_seconds", state="stuck") > 0
        assert server.value("process_resident_memory_bytes") > 0
        check_probes_of(address)
        assert page.ask("/readyz") == (200, "ok\n")
    finally:
        page.stop()


def test_a_worker_is_ready_when_a_server_welcomes_it_and_its_loop_turns(
    tmp_path: pathlib.Path, server: Running, url: str
) -> None:
    lonely = Running(tmp_path, "worker", "app", "--url", "127.0.0.1:1")
    try:
        status, reason = lonely.ask("/readyz")
        assert status == 503
        assert "no server has welcomed this worker" in reason
        assert lonely.ask("/livez") == (200, "ok\n")
    finally:
        lonely.stop()
    worker = Running(tmp_path, "worker", "app", "--url", url)
    try:
        worker.line()
        assert worker.ask("/readyz") == (200, "ok\n")
        with SyncClient(url) as client:
            client.start("slow", id="s-1")
            _, reason = until(lambda: (told := worker.ask("/readyz"))[0] == 503 and told)
        assert "something blocks it" in reason
        assert worker.ask("/livez") == (200, "ok\n")
        until(lambda: worker.ask("/readyz")[0] == 200)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            assert "no server has welcomed" in until(lambda: (told := worker.ask("/readyz"))[0] == 503 and told)[1]
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        until(lambda: worker.ask("/readyz")[0] == 200)
    finally:
        worker.stop()


def test_a_server_whose_journal_does_not_answer_is_not_ready(tmp_path: pathlib.Path, server: Running, url: str) -> None:
    assert server.ask("/readyz") == (200, "ok\n")
    health = [sys.executable, "-m", "durable_saga", "health", "--url", url]
    assert subprocess.run(health, check=False, capture_output=True).returncode == 0
    (tmp_path / "j.db").rename(tmp_path / "away.db")
    _, reason = until(lambda: (told := server.ask("/readyz"))[0] == 503 and told)
    assert "the journal has not answered for" in reason
    assert server.ask("/livez") == (200, "ok\n")
    until(lambda: subprocess.run(health, check=False, capture_output=True).returncode == 1)
    assert any(name == "durable_saga_journal_errors_total" for name, _ in server.values())
    (tmp_path / "away.db").rename(tmp_path / "j.db")
    until(lambda: server.ask("/readyz")[0] == 200)
    until(lambda: subprocess.run(health, check=False, capture_output=True).returncode == 0)


def test_each_worker_process_has_a_port_of_its_own(tmp_path: pathlib.Path, url: str) -> None:
    command = [sys.executable, "-m", "durable_saga", "worker", "app", "--url", url, "--processes", "2", "--metrics"]
    wrong = subprocess.run([*command, "127.0.0.1:65535"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "process 2 would need port 65536" in wrong.stderr
    wrong = subprocess.run([*command, "9465"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "give HOST:PORT" in wrong.stderr
