"""The workload of the benchmarks: sagas of steps that do nothing, or that tell when they ran."""

from __future__ import annotations

import asyncio
import os
import pathlib
import time
from typing import Any

from durable_saga import event, saga, signal, step

GATE_SECONDS = 0.1


@step
async def nothing(number: int) -> dict[str, int]:
    return {"number": number}


@saga
async def chain(steps: int) -> int:
    for number in range(steps):
        await nothing(number)
    return steps


@saga
async def approved(number: int) -> Any:
    await nothing(number)
    return await event("approval", timeout=86_400)


@step
async def stamp(number: int) -> int:
    return time.perf_counter_ns()


@saga
async def stamped(steps: int) -> None:
    for number in range(steps):
        await stamp(number)


@saga
async def poked(signals: int) -> list[tuple[int, int]]:
    """What it was sent, in the order in which it read it."""
    return [tuple(await signal("poke")) for _ in range(signals)]


_gates: dict[str, asyncio.Event] = {}
_watching: set[asyncio.Task[None]] = set()


async def _watch(folder: str) -> None:
    while not (pathlib.Path(folder) / "gate").exists():
        await asyncio.sleep(GATE_SECONDS)
    _gates[folder].set()


def _tell(folder: str, name: str, number: int) -> None:
    with open(f"{folder}/{name}", "ab", buffering=0) as told:
        told.write(f"{number} {os.getpid()} {time.monotonic():.4f}\n".encode())


@step
async def held(folder: str, number: int) -> None:
    """A long step: it tells who runs it, and lasts until the file `gate` is there."""
    _tell(folder, "held", number)
    if folder not in _gates:
        _gates[folder] = asyncio.Event()
        task = asyncio.create_task(_watch(folder))
        _watching.add(task)
        task.add_done_callback(_watching.discard)
    await _gates[folder].wait()


@step
async def passed(folder: str, number: int) -> None:
    _tell(folder, "passed", number)


@saga
async def held_then_passed(folder: str, number: int) -> None:
    await held(folder, number)
    await passed(folder, number)
