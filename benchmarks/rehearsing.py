"""How long `durable-saga rehearse` takes: `python -m benchmarks.rehearsing [SAGAS]`, 10,000 open ones if not given.

A server with a SQLite journal and a worker in processes of their own; each saga has done STEPS steps and waits for a signal.
Then the command itself runs, in a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from durable_saga import connect
from examples.demo.processes import Process

STEPS = 10
AT_ONCE = 200
SHOP = f"""
from durable_saga import saga, signal, step

@step
async def work(number: int) -> int:
    return number

@saga
async def order(number: int) -> int:
    for place in range({STEPS}):
        await work(place)
    await signal("go")
    return number
"""


async def fill(address: str, sagas: int) -> None:
    room = asyncio.Semaphore(AT_ONCE)
    async with connect(address) as client:

        async def one(number: int) -> None:
            async with room:
                handle = await client.start("order", number, id=f"o-{number}")
                while (await handle.describe()).next_seq < 2 * STEPS + 1:
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(one(number) for number in range(sagas)))


def main(sagas: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "shop.py").write_text(SHOP)
        command = ["-m", "durable_saga", "dev", "--file", f"{folder}/d.db", "--listen", "127.0.0.1:0"]
        server = Process("server", command, folder, "listening on")
        address = server.start({})
        worker = Process("worker", ["-m", "durable_saga", "worker", "shop"], folder, "worker")
        try:
            worker.start({"DURABLE_SAGA_URL": address, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"})
            asyncio.run(fill(address, sagas))
            worker.stop()
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "durable_saga", "rehearse", "shop", "--url", address, "--limit", str(sagas)],
                cwd=folder, check=True,
            )  # fmt: skip
            took = time.perf_counter() - begin
            print(f"{sagas} open sagas of {STEPS} steps rehearsed in {took:.1f} s")
        finally:
            worker.stop()
            server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
