"""`durable-saga worker --processes N`: real processes, killed with -9."""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from examples.demo.processes import Process

APP = """
from durable_saga import saga

@saga
async def idle() -> None: ...
"""


def children_of(pid: int) -> list[int]:
    """Worker processes, without multiprocessing's own resource tracker."""
    there = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in there if b"spawn_main" in pathlib.Path(f"/proc/{one}/cmdline").read_bytes()]


def runs(pid: int) -> bool:
    """A zombie that nobody reaped does not run."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it does not come about"
        time.sleep(0.1)


@pytest.fixture
def parent(tmp_path: pathlib.Path) -> Iterator[Process]:
    (tmp_path / "app.py").write_text(APP)
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", "127.0.0.1:0"]
    server = Process("server", command, tmp_path, "listening on")
    address = server.start({})
    worker = Process("worker", ["-m", "durable_saga", "worker", "app", "--processes", "2"], tmp_path, "worker")
    try:
        worker.start({"DURABLE_SAGA_URL": address, "PYTHONPATH": str(tmp_path)})
        wait_until(lambda: len(children_of(worker.pid)) == 2)
        yield worker
    finally:
        worker.stop()
        server.stop()


@pytest.mark.kill
def test_children_do_not_outlive_a_parent_that_was_killed(parent: Process) -> None:
    children = children_of(parent.pid)
    parent.kill()
    wait_until(lambda: not any(runs(child) for child in children))


@pytest.mark.kill
def test_a_child_that_dies_is_started_again_and_the_others_go_on(parent: Process) -> None:
    dead, other = children_of(parent.pid)
    os.kill(dead, signal.SIGKILL)
    wait_until(lambda: not runs(dead) and len(children_of(parent.pid)) == 2)
    assert other in children_of(parent.pid)
    children = children_of(parent.pid)
    assert parent.stop() == 0
    assert not any(runs(child) for child in children)
