"""A worker with as much room as is asked for: `python -m benchmarks.scaling.roomy_worker URL ROOM`."""

from __future__ import annotations

import asyncio
import signal
import sys

from benchmarks import workload
from durable_saga import Worker, connect
from durable_saga.cli.event_loop import run_fast
from durable_saga.declared.declarative import AnySaga

SAGAS: list[AnySaga] = [
    workload.chain,
    workload.approved,
    workload.stamped,
    workload.poked,
    workload.held_then_passed,
]


async def work(url: str, room: int) -> None:
    async with connect(url) as client:
        worker = Worker(client, sagas=SAGAS, concurrency=room, sagas_max=room)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        print(f"worker {worker.name}", flush=True)
        await worker.run()


if __name__ == "__main__":
    run_fast(work(sys.argv[1], int(sys.argv[2])))
