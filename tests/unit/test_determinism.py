"""Order is part of the result: every construct gives one order, in processes with different hash seeds."""

from __future__ import annotations

import os
import pathlib
import random
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROCESSES = 8
PROGRAM = """
import asyncio, anyio
from durable_saga import saga, step, random, uuid4, Retry
from tests.laws.driver import Driver
order = []

@step(retry=Retry(max_attempts=1), effect=False)
def act(n): return n

async def waiter(n):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        order.append(n)
        raise

async def group():
    try:
        async with asyncio.TaskGroup() as tasks:
            for n in range(12): tasks.create_task(waiter(n))
            await act(1)
            raise ValueError
    except* ValueError: pass

async def wait():
    tasks = [asyncio.create_task(act(n)) for n in range(12)]
    while tasks:
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        order.extend(task.result() for task in done)
        tasks = list(pending)

async def completed():
    for one in asyncio.as_completed([asyncio.create_task(act(n)) for n in range(12)]):
        order.append(await one)

async def anyio_group():
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            for n in range(12): tasks.start_soon(waiter, n)
            await act(1)
            scope.cancel()

async def anyio_streams():
    send, receive = anyio.create_memory_object_stream(2)
    async with anyio.create_task_group() as tasks:
        async def sender(n):
            await send.send(n)
        for n in range(8): tasks.start_soon(sender, n)
        for _ in range(8): order.append(await receive.receive())
    send.close(); receive.close()

async def dice():
    import random as r
    order.extend([random().random(), uuid4(), r.random(), r.choice(range(99))])

async def gather():
    order.extend(await asyncio.gather(*(act(n) for n in range(12))))

async def timeouts():
    for n in range(5):
        try:
            async with asyncio.timeout(n + 1): await asyncio.sleep(3)
            order.append(n)
        except TimeoutError: order.append(-n)

async def queue():
    q = asyncio.Queue(2)
    async def put(n): await q.put(n)
    tasks = [asyncio.create_task(put(n)) for n in range(6)]
    for _ in range(6): order.append(await q.get())
    await asyncio.gather(*tasks)

@step(retry=Retry(max_attempts=1), effect=False)
async def note(n): return n

async def pause(n):
    await asyncio.sleep(1)
    return n

async def ordered(futures, value=lambda one: one.result()):
    done, _ = await asyncio.wait(futures)
    for one in done:
        order.append(value(one))
        await note(order[-1])

async def wait_gathers():
    await ordered([asyncio.gather(pause(n)) for n in range(9)], lambda one: one.result()[0])

async def wait_futures():
    futures = [asyncio.Future() for _ in range(9)]
    assert all(isinstance(one, asyncio.Future) for one in futures)
    for n, one in enumerate(futures): one.set_result(n)
    await ordered(futures)

async def wait_tasks():
    await ordered([asyncio.Task(pause(n), loop=asyncio.get_running_loop()) for n in range(9)])

async def wait_derived():
    class Own(asyncio.Future): pass
    futures = [Own() for _ in range(9)]
    for n, one in enumerate(futures): one.set_result(n)
    await ordered(futures)

async def wait_for_first():
    for n in range(3): await asyncio.wait_for(pause(n), 5)
    await ordered([asyncio.create_task(pause(n)) for n in range(9)])

async def all_tasks():
    tasks = [asyncio.create_task(pause(n), name=str(n)) for n in range(9)]
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            order.append(task.get_name())
            await note(task.get_name())

async def generator_left():
    lock = asyncio.Lock()
    async def rows():
        async with lock:
            try: yield 1
            finally:
                await note("closed")
                order.append("closed")
    async for _ in rows(): break
    await asyncio.wait_for(lock.acquire(), 5)
    order.append("locked")

async def generators_left_open():
    async def rows(n):
        try: yield n
        finally: order.append(n)
    kept = [rows(n) for n in range(9)]
    for one in kept: await anext(one)
    cycle = [kept]
    cycle.append(cycle)

@saga
async def run(name: str) -> None:
    await globals()[name]()

import sys
for name in sys.argv[1:]:
    order.clear()
    driver = Driver(run, (name,)).run()
    assert driver.status == "COMPLETED", driver.journal
    calls = [e.step_scheduled.call for e in driver.journal if e.HasField("step_scheduled")]
    print(name, order, calls)
"""
CONSTRUCTS = [
    "group", "wait", "completed", "anyio_group", "anyio_streams", "dice", "gather", "timeouts", "queue",
    "wait_gathers", "wait_futures", "wait_tasks", "wait_derived", "wait_for_first", "all_tasks", "generator_left",
    "generators_left_open",
]  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What each construct gave, in all of the processes."""
    program = tmp_path_factory.mktemp("determinism") / "program.py"
    program.write_text(PROGRAM)
    found: dict[str, set[str]] = {construct: set() for construct in CONSTRUCTS}
    for seed in range(PROCESSES):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
        order = random.Random(seed).sample(CONSTRUCTS, len(CONSTRUCTS))
        done = subprocess.run(
            [sys.executable, str(program), *order], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            construct, _, rest = line.partition(" ")
            found[construct].add(rest)
    return found


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_a_construct_gives_one_order_in_every_process(construct: str, told: dict[str, set[str]]) -> None:
    assert len(told[construct]) == 1, told[construct]
