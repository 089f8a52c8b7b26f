"""What counting costs: the same steps with the instruments and without, by turns in one process. `make bench-metrics`.

Without: each instrument's `add` and `record` is a function that does nothing. The figure is processor time a step, of all
threads, client, server and worker together; ROUNDS (9) is how often each has its turn.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from typing import Any

from benchmarks.measured import STEPS, chain
from durable_saga import Client, Worker, connect
from durable_saga.cli.event_loop import run_fast
from durable_saga.telemetry.instruments import Counter, Histogram

SAGAS, AT_ONCE = 300, 50


async def microseconds_a_step(client: Client) -> float:
    room = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with room:
            await (await client.start(chain, STEPS)).result()

    began = time.process_time()
    await asyncio.gather(*(one() for _ in range(SAGAS)))
    return (time.process_time() - began) / (SAGAS * STEPS) * 1_000_000


def nothing(*_: Any) -> None: ...


async def measure(rounds: int) -> dict[str, list[float]]:
    with_them = Counter.add, Histogram.record
    found: dict[str, list[float]] = {"without": [], "with": []}
    async with connect("memory:") as client, Worker(client, sagas=[chain]):
        await microseconds_a_step(client)
        for number in range(2 * rounds):
            turn = ("without", "with")[(number + number // 2) % 2]
            add, record = with_them if turn == "with" else (nothing, nothing)
            setattr(Counter, "add", add)  # noqa: B010 - mypy knows of no method that is given another body
            setattr(Histogram, "record", record)  # noqa: B010 - as above
            found[turn].append(await microseconds_a_step(client))
    return found


def main() -> None:
    found = run_fast(measure(int(os.environ.get("ROUNDS", "9"))))
    without, with_them = (statistics.median(found[turn]) for turn in ("without", "with"))
    ratio = statistics.median(b / a for a, b in zip(found["without"], found["with"], strict=True))
    print(f"{without:.1f} µs of processor time a step without, {with_them:.1f} with: {ratio:.4f} (median of the pairs)")


if __name__ == "__main__":
    main()
