"""No saga harms another (L3): its code swallows everything, never yields or ends the process, and a neighbour ends in time."""

from __future__ import annotations

import asyncio
import pathlib
import time
from collections.abc import Awaitable, Callable

import pytest

from durable_saga import Client, Handle, connect
from durable_saga.client import raw
from durable_saga.errors import SagaError
from durable_saga.pb import client_pb2 as c
from examples.demo.processes import Process

APP = """
import asyncio, socket, sys, threading, time
from durable_saga import event, saga, sleep, step

@step
async def tick(number: int) -> int:
    return number

@saga
async def innocent() -> str:
    for number in range(4):
        await tick(number)
        await sleep(0.5)
    return "ok"

@saga
async def listener() -> None:
    while True:
        try:
            await tick(await event("job"))
        except BaseException:
            pass

@saga
async def spins() -> None:
    await tick(1)
    while True:
        pass

@saga
async def spins_and_swallows() -> None:
    while True:
        try:
            while True:
                len("x")
        except BaseException:
            pass

@saga
async def exits() -> None:
    await tick(1)
    sys.exit(3)

@saga
async def exits_in_a_task() -> None:
    async def leave() -> None:
        raise KeyboardInterrupt
    task = asyncio.create_task(leave())
    await event("never")
    await task

@saga
async def exits_in_a_callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 4)
    await event("never")

@saga
async def fails_in_a_callback() -> str:
    task = asyncio.create_task(tick(1))
    task.add_done_callback(lambda _: 1 / 0)
    await task
    async def forgotten() -> None:
        raise KeyError("nobody looks")
    asyncio.create_task(forgotten())
    await sleep(2)
    await tick(2)
    return "went on"

@step
async def hangs() -> None:
    await asyncio.sleep(600)

@step
async def takes_no_notice() -> None:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@step
async def blocks() -> None:
    while True:
        pass

@step
def sleeps() -> None:
    time.sleep(3600)

@step(timeout=0.5)
def sleeps_beyond_its_time() -> None:
    time.sleep(3600)

@step
def waits_for_a_lock() -> None:
    lock = threading.Lock()
    with lock, lock:
        pass

@step
def waits_for_bytes() -> None:
    here, there = socket.socketpair()
    here.recv(1)

@step
def spins_in_a_thread() -> None:
    while True:
        pass

@step
async def fails() -> None:
    await asyncio.sleep(0)

@fails.compensation
def hangs_in_its_undo() -> None:
    time.sleep(3600)

@saga
async def works(how: str) -> None:
    await globals()[how]()
    raise ValueError("to be undone")
"""
HUNG = ["sleeps", "sleeps_beyond_its_time", "waits_for_a_lock", "waits_for_bytes", "spins_in_a_thread", "fails"]
STOP_SECONDS = 30.0
"""What process managers wait."""
EXITS = ["exits", "exits_in_a_task", "exits_in_a_callback"]
Play = Callable[..., str]


@pytest.fixture
def play(tmp_path: pathlib.Path) -> object:
    """Runs a scenario beside a worker process, which must still live at its end; gives the worker's log."""
    (tmp_path / "nasty.py").write_text(APP)
    processes: list[Process] = []

    def run(scenario: Callable[[Client], Awaitable[None]], code: int = 0) -> str:
        command = ["-m", "durable_saga", "server", "--journal", f"sqlite:///{tmp_path}/d.db", "--listen", "127.0.0.1:0"]
        server = Process("server", command, tmp_path, "listening on")
        processes.append(server)
        url = server.start({})
        command = ["-m", "durable_saga", "worker", "nasty", "--activation-seconds-max", "1"]
        worker = Process("worker", command, tmp_path, "worker")
        processes.append(worker)
        worker.start({"DURABLE_SAGA_URL": url, "PYTHONPATH": str(tmp_path)})

        async def play() -> None:
            async with connect(url) as client:
                await scenario(client)

        asyncio.run(play())
        assert worker.stop() == code, "the worker lived, and ended by SIGTERM"
        return (tmp_path / "worker.log").read_text()

    yield run
    for process in processes:
        process.kill()


@pytest.mark.parametrize("how", ["takes_no_notice", "blocks"])
def test_a_worker_ends_in_its_time_whatever_its_steps_do(play: Play, how: str) -> None:
    async def scenario(client: Client) -> None:
        for one in ("hangs", how):
            handle = await client.start("works", one, id=one)
            while len(await raw.history(handle)) < 2:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)

    began = time.monotonic()
    log = play(scenario, 1)
    assert "is killed; its threads were here" in log
    assert time.monotonic() - began < 60


def test_a_worker_ends_in_its_time_while_threads_of_plain_steps_hang(play: Play) -> None:
    """Those threads end with it: nothing waits for them, whether their attempts run still or were given up."""
    asked = []

    async def scenario(client: Client) -> None:
        handles = [await client.start("works", one, id=one) for one in HUNG]
        for handle in handles:
            kind = {"sleeps_beyond_its_time": "step_attempt_failed", "fails": "compensation_scheduled"}.get(
                handle.id, "step_scheduled"
            )
            while not any(event.HasField(kind) for event in await raw.history(handle)):
                await asyncio.sleep(0.05)
        assert await (await client.start("innocent", id="other")).result(60) == "ok"
        asked.append(time.monotonic())

    log = play(scenario)
    assert time.monotonic() - asked[0] < STOP_SECONDS
    assert "is killed; its threads were here" not in log, "it was not ended by force"


async def blocked(handle: Handle[object]) -> c.Description:
    while not (found := await raw.describe(handle)).blocked:
        await asyncio.sleep(0.1)
    return found


def test_a_saga_that_swallows_everything_is_given_up_alone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        nasty = await client.start("listener", id="nasty")
        assert await (await client.start("innocent", id="first")).result(20) == "ok"
        told = await asyncio.wait_for(blocked(nasty), 50)
        assert "nasty.py:20 in listener" in told.blocked
        assert await (await client.start("innocent", id="second")).result(20) == "ok"
        await nasty.cancel()

    log = play(scenario)
    assert log.count("saga nasty can't be continued by this worker") == 1


@pytest.mark.parametrize("name", ["spins", "spins_and_swallows"])
def test_a_saga_that_never_yields_is_taken_out_and_its_step_is_not_repeated(play: Play, name: str) -> None:
    async def scenario(client: Client) -> None:
        nasty = await client.start(name, id="nasty")
        other = await client.start("innocent", id="other")
        told = await asyncio.wait_for(blocked(nasty), 50)
        assert "nasty.py" in told.blocked
        assert f"in {name}" in told.blocked
        assert "activation_seconds_max is 1" in told.blocked
        assert await other.result(50) == "ok"
        if name == "spins":
            assert [one.state for one in told.steps] == ["done"]

    log = play(scenario)
    assert "sent nothing for" not in log


def test_a_saga_that_ends_the_process_fails_alone(play: Play) -> None:
    async def scenario(client: Client) -> None:
        for name in EXITS:
            with pytest.raises(SagaError, match=r"SystemExit|KeyboardInterrupt"):
                await (await client.start(name, id=name)).result(20)
        assert await (await client.start("innocent", id="other")).result(20) == "ok"

    play(scenario)


def test_what_nobody_waits_for_is_told_in_the_log_and_the_saga_goes_on(play: Play) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start("fails_in_a_callback", id="careless")).result(20) == "went on"

    log = play(scenario)
    assert log.count("ZeroDivisionError: division by zero") == 1
    assert log.count("saga careless: Exception in callback") == 1
    assert log.count("exception was never retrieved") == 1
