"""Two builds side by side, as processes: no saga stays blocked while a build that fits it has room, though a worker of each is
killed. BUILDS_SAGAS sets how many; `-s` prints what was measured."""

from __future__ import annotations

import asyncio
import os
import pathlib
import time

import pytest

from durable_saga import Client, Handle, connect
from examples.demo.processes import Process

SAGAS = int(os.environ.get("BUILDS_SAGAS", "200"))
BLOCKED_SECONDS_MAX = 1.0
LOOK_SECONDS = 0.05
CODE = """
from durable_saga import event, saga, step

@step
async def pack(number: int) -> int:
    return number

@step
async def weigh(number: int) -> int:
    return number

@saga
async def parcel(number: int) -> str:
    await {first}(number)
    await event("go")
    return "{first}"
"""


def worker(folder: pathlib.Path, name: str, build: str, first: str, address: str) -> Process:
    (code := folder / build).mkdir(exist_ok=True)
    (code / "parcel_code.py").write_text(CODE.format(first=first))
    process = Process(name, ["-m", "durable_saga", "worker", "parcel_code", "--build", build], folder, "worker")
    process.start({"DURABLE_SAGA_URL": address, "PYTHONPATH": f"{code}:{os.environ.get('PYTHONPATH', '')}"})
    return process


async def begun(client: Client, numbers: range) -> list[Handle[str]]:
    """Up to the event that they wait for."""
    handles = [await client.start("parcel", number, id=f"p-{number}") for number in numbers]
    for handle in handles:
        while len(await handle.history_page(limit=3)) < 3:
            await asyncio.sleep(0.02)
    return handles


async def watch_blocked(client: Client, seconds: dict[str, float]) -> None:
    """Counts up for how long each was seen to be blocked, in a row."""
    since: dict[str, float] = {}
    while True:
        now = time.monotonic()
        found = {one.id async for one in client.list(blocked=True)}
        since = {name: since.get(name, now) for name in found}
        for name, began in since.items():
            seconds[name] = max(seconds.get(name, 0.0), now - began)
        await asyncio.sleep(LOOK_SECONDS)


@pytest.mark.timeout(600)
def test_two_builds_side_by_side_leave_no_saga_blocked_though_a_worker_of_each_is_killed(tmp_path: pathlib.Path) -> None:
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", "127.0.0.1:0"]
    server = Process("server", command, tmp_path, "listening on")
    address = server.start({})
    workers: list[Process] = []

    async def scenario() -> None:
        async with connect(address) as client:
            workers.extend([worker(tmp_path, f"old-{number}", "1", "pack", address) for number in range(2)])
            await client.roll_out("1", reason="before the deploy")
            workers.extend([worker(tmp_path, f"new-{number}", "2", "weigh", address) for number in range(2)])
            old = await begun(client, range(SAGAS // 2))
            await client.roll_out("2", reason="the deploy")
            new = await begun(client, range(SAGAS // 2, SAGAS))
            blocked: dict[str, float] = {}
            watching = asyncio.create_task(watch_blocked(client, blocked))
            handles, began = [*old, *new], time.monotonic()
            for at, handle in enumerate(handles):
                await handle.signal("go")
                if at == SAGAS // 3:
                    workers[0].kill()
                    workers[2].kill()
            results = [await handle.result(timeout=300) for handle in handles]
            took = time.monotonic() - began
            watching.cancel()
            longest = max(blocked.values(), default=0.0)
            print(f"{SAGAS} sagas in {took:.1f} s; {len(blocked)} were seen blocked, the longest for {longest:.2f} s")
            assert results == ["pack"] * len(old) + ["weigh"] * len(new)
            assert longest <= BLOCKED_SECONDS_MAX
            rows = {one.name: one for one in await client.builds()}
            assert rows["1"].workers == rows["2"].workers == 1
            assert rows["2"].share == 1.0

    try:
        asyncio.run(asyncio.wait_for(scenario(), 560))
    finally:
        for process in (*workers, server):
            process.stop()
