"""A worker's resources are open before its first step and closed after its last, whatever happens between."""

from __future__ import annotations

import asyncio
import logging
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

from durable_saga import Worker, connect, saga, step, worker_lifespan
from durable_saga.errors import LifespanFailed
from durable_saga.testing import SagaTestRunner
from examples.demo.processes import free_address
from tests.integration.test_supervising import wait_until

POOL: ContextVar[str] = ContextVar("pool")
LINES: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LINES.clear()


@worker_lifespan
async def database() -> AsyncIterator[None]:
    """A pool."""
    LINES.append("open database")
    POOL.set("pool of orders")
    yield
    LINES.append("close database")


@worker_lifespan
async def bank() -> AsyncIterator[None]:
    LINES.append(f"open bank with {POOL.get()}")
    yield
    LINES.append("close bank")


@worker_lifespan
async def unreachable() -> AsyncIterator[None]:
    raise ConnectionError("no route to the database")
    yield


@worker_lifespan
async def stays_open() -> AsyncIterator[None]:
    yield
    raise RuntimeError("the pool is in use")


@worker_lifespan
async def never() -> AsyncIterator[None]:
    if LINES is None:
        yield


@worker_lifespan
async def twice() -> AsyncIterator[None]:
    yield
    yield


@step
async def write(order: str) -> str:
    LINES.append("write")
    return POOL.get()


@step
def write_in_thread(order: str) -> str:
    return POOL.get()


@saga
async def place_order(order: str) -> list[str]:
    return [await write(order), await write_in_thread(order)]


@step
async def fails() -> None:
    raise LookupError(POOL.get())


@saga
async def failing() -> None:
    await fails()


async def worked(*lifespans: Any) -> list[str]:
    async with connect("memory:") as client, Worker(client, sagas=[place_order], lifespans=lifespans):
        LINES.append("works")
        return await (await client.start(place_order, "o-1")).result(timeout=20)


def test_steps_in_tasks_and_threads_have_what_it_opened() -> None:
    assert asyncio.run(worked(database, bank)) == ["pool of orders"] * 2
    assert LINES == ["open database", "open bank with pool of orders", "works", "write", "close bank", "close database"]


def test_a_worker_that_is_cancelled_closes_them_in_order() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client:
            running = asyncio.create_task(Worker(client, sagas=[place_order], lifespans=[database, bank]).run())
            await (await client.start(place_order, "o-1")).result(timeout=20)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(scenario())
    assert LINES[-2:] == ["close bank", "close database"]


def test_what_cannot_open_keeps_the_worker_from_starting_and_says_where() -> None:
    with pytest.raises(
        LifespanFailed, match=r"unreachable \(.*test_lifespan\.py:\d+\).*no route.*, at .*test_lifespan\.py"
    ) as e:
        asyncio.run(worked(database, unreachable, bank))
    assert isinstance(e.value.__cause__, ConnectionError)
    assert LINES == ["open database", "close database"], "what was open is closed, and nothing works"
    with pytest.raises(LifespanFailed, match="without a yield"):
        asyncio.run(worked(never))


def test_what_cannot_close_is_logged_with_file_and_line_and_the_others_close(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "durable_saga"):
        assert asyncio.run(worked(database, stays_open, twice)) == ["pool of orders"] * 2
    told = [one.getMessage() for one in caplog.records if one.name == "durable_saga.worker.lifespan"]
    assert len(told) == 2
    assert "twice" in told[0]
    assert "second time" in told[0]
    assert "could not close: RuntimeError: the pool is in use, at " in told[1]
    assert "test_lifespan.py:" in told[1].rpartition(", at ")[2]
    assert LINES[-1] == "close database"


def test_the_runner_opens_them_for_a_run_and_once_for_an_exploration() -> None:
    runner = SagaTestRunner(lifespans=[database])
    result = asyncio.run(runner.run(place_order, "o-1"))
    assert result.value == ["pool of orders"] * 2
    assert LINES == ["open database", "write", "close database"]
    LINES.clear()
    asyncio.run(runner.explore(place_order, "o-1", invariant=lambda result: result.status != "running"))
    assert (LINES.count("open database"), LINES[-1]) == (1, "close database")
    assert "pool of orders" in str(asyncio.run(runner.run(failing)).error)
    with pytest.raises(LifespanFailed):
        asyncio.run(SagaTestRunner(lifespans=[unreachable]).run(place_order, "o-1"))


def test_what_is_none_is_refused_where_it_is_written() -> None:
    async def plain() -> None: ...

    async def needs(pool: str) -> AsyncIterator[None]:
        yield

    with pytest.raises(TypeError, match=r"test_lifespan\.py:\d+: @worker_lifespan needs .*plain. with a yield"):
        worker_lifespan(plain)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs takes pool: a worker_lifespan gets no arguments"):
        worker_lifespan(needs)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="isn't a worker_lifespan"):
        SagaTestRunner(lifespans=[needs])  # type: ignore[list-item]


APP = """
import os, pathlib
from durable_saga import saga, step, worker_lifespan

def tell(word):
    with open("told.txt", "a") as file:
        file.write(f"{word} {os.getpid()}\\n")

@worker_lifespan
async def resources():
    if os.path.exists("wrong"):
        raise ConnectionError("no route")
    tell("open")
    yield
    tell("close")

@step
async def write(order: str) -> None: ...

@saga
async def place_order(order: str) -> None:
    await write(order)
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def told(folder: pathlib.Path) -> list[list[str]]:
    file = folder / "told.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def ends_well(folder: pathlib.Path, command: list[str], opens: int) -> list[list[str]]:
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "durable_saga", *command], cwd=folder, stdout=output, stderr=output)
    try:
        wait_until(lambda: len(told(folder)) == opens and (folder / "output.txt").read_text().count(" runs ") == opens)
    finally:
        process.terminate()
        process.wait(60)
    return told(folder)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("command", "opens"),
    [
        (["worker", "app", "--url", "sqlite:///orders.db"], 1),
        (["worker", "app:place_order", "--processes", "2", "--url", "sqlite:///orders.db"], 2),
        (["dev", "app", "--no-page", "--listen", "127.0.0.1:0"], 1),
    ],
    ids=["worker", "processes", "dev"],
)
def test_the_commands_open_and_close_them_once_in_each_process(folder: pathlib.Path, command: list[str], opens: int) -> None:
    found = ends_well(folder, command, opens)
    assert sorted(word for word, _ in found) == ["close"] * opens + ["open"] * opens
    assert len({pid for _, pid in found}) == opens


@pytest.mark.timeout(100)
def test_the_command_says_why_it_does_not_start(folder: pathlib.Path) -> None:
    (folder / "wrong").touch()
    done = subprocess.run(
        [sys.executable, "-m", "durable_saga", "worker", "app", "--url", "sqlite:///orders.db"],
        cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "worker_lifespan resources (" in done.stderr
    assert "app.py:9) could not open: ConnectionError: no route, at" in done.stderr
    assert " runs " not in done.stdout


@pytest.mark.timeout(100)
def test_a_worker_says_that_it_runs_when_a_server_has_welcomed_it(folder: pathlib.Path) -> None:
    address = free_address()
    with (folder / "output.txt").open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "durable_saga", "worker", "app", "--url", address], cwd=folder, stdout=output, stderr=output
        )
    server = None
    try:
        wait_until(lambda: address in (folder / "output.txt").read_text())
        assert [word for word, _ in told(folder)] == ["open"]
        assert " runs " not in (folder / "output.txt").read_text()
        server = subprocess.Popen(
            [sys.executable, "-m", "durable_saga", "dev", "--no-page", "--listen", address],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: " runs place_order" in (folder / "output.txt").read_text())
    finally:
        for process in filter(None, (worker, server)):
            process.terminate()
            process.wait(60)
