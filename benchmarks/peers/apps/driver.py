"""The measuring loop, the same for every peer: it runs in the peer's client process and reads one JSON request a line.

    {"workload": "latency", "arguments": {"count": 100}, "seconds_max": 60}
    {"found": {...}} | {"late": "not in 60 s", "progress": "..."} | {"not_possible": "..."} | {"error": "..."}

Standard library only, because the virtual environments of the peers have nothing else in common. Every app has four kinds
of saga: `chain` (n steps), `waits` (n steps, the step `arrive`, then a signal), `fan` (n steps at once), `fails` (n - 1 steps
with a compensation each, then a step that fails for good).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pathlib
import statistics
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

STEPS = 10
SETTLED_SECONDS = 2.0
STARTS_AT_ONCE = 200


class Undone(Exception):
    """The saga failed as it had to, and what it had done was undone."""


class NotPossible(Exception):
    """This peer has nothing that does this; the message says what it lacks."""


class App(Protocol):
    async def start(self, kind: str, saga: str, steps: int) -> str:
        """Returns once the start is durable: the name by which `result` finds it, in another process too."""

    async def result(self, started: str) -> Any:
        """Waits for the end. Raises Undone."""

    async def signal(self, saga: str) -> None:
        """Returns once the message is durable."""


def clock_ns() -> int:
    """One clock for all processes of a machine; no engine here puts its own in its place."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def arrived(folder: str) -> None:
    """The effect of the step `arrive`: one byte, so that whoever measures can count."""
    file = os.open(pathlib.Path(folder) / "arrived", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b".")
    os.close(file)


class Workloads:
    """The measurements of one client; `progress` says how far the current one is."""

    def __init__(self, app: App, folder: str) -> None:
        self._app = app
        self._arrivals = pathlib.Path(folder) / "arrived"
        self._ids = (f"saga-{os.getpid()}-{number}" for number in itertools.count())
        self.progress = ""

    def _arrived(self) -> int:
        return self._arrivals.stat().st_size if self._arrivals.exists() else 0

    async def _until_arrived(self, count: int) -> None:
        while (now := self._arrived()) < count:
            self.progress = f"{now} of {count} arrived"
            await asyncio.sleep(0.005)

    async def _run(self, kind: str, steps: int) -> Any:
        return await self._app.result(await self._app.start(kind, next(self._ids), steps))

    async def _timed(self, kind: str, steps: int, count: int) -> dict[str, Any]:
        starts, ends = [], []
        for number in range(count):
            self.progress = f"{number} of {count} sagas"
            began = clock_ns()
            started = await self._app.start(kind, next(self._ids), steps)
            starts.append(clock_ns() - began)
            try:
                await self._app.result(started)
                assert kind != "fails", "this saga has to fail"
            except Undone:
                assert kind == "fails", "this saga must not fail"
            ends.append(clock_ns() - began)
        return {"start_p50_ms": ms(starts, 0.5), "p50_ms": ms(ends, 0.5), "p99_ms": ms(ends, 0.99), "sagas": count}

    async def latency(self, count: int) -> dict[str, Any]:
        return await self._timed("chain", STEPS, count)

    async def fan(self, count: int) -> dict[str, Any]:
        await self._run("fan", 100)
        return await self._timed("fan", 100, count)

    async def fails(self, count: int) -> dict[str, Any]:
        return await self._timed("fails", STEPS, count)

    async def throughput(self, outstanding: int, seconds: float) -> dict[str, Any]:
        """A closed loop for so many seconds; what has begun then is waited for and counts."""
        began, done = time.monotonic(), 0

        async def one_after_the_other() -> None:
            nonlocal done
            while not done or time.monotonic() - began < seconds:
                await self._run("chain", STEPS)
                done += 1
                self.progress = f"{done} sagas in {time.monotonic() - began:.1f} s"

        await together([one_after_the_other() for _ in range(outstanding)])
        took = time.monotonic() - began
        return {"steps_per_second": done * STEPS / took, "steps": done * STEPS, "seconds": took}

    async def signal(self, count: int) -> dict[str, Any]:
        """From the call to the code of the saga that goes on; it has waited for some seconds."""
        before, ids = self._arrived(), [next(self._ids) for _ in range(count)]
        started = [await self._app.start("waits", one, 1) for one in ids]
        await self._until_arrived(before + count)
        await asyncio.sleep(SETTLED_SECONDS)
        took = []
        for number, saga in enumerate(ids):
            self.progress = f"{number} of {count} signals"
            began = clock_ns()
            await self._app.signal(saga)
            found = await self._app.result(started[number])
            took.append(found["resumed_ns"] - began)
        return {"p50_ms": ms(took, 0.5), "p99_ms": ms(took, 0.99), "signals": count}

    async def replay_begin(self, saga: str, steps: int) -> dict[str, Any]:
        before = self._arrived()
        began = time.monotonic()
        started = await self._app.start("waits", saga, steps)
        await self._until_arrived(before + 1)
        took = time.monotonic() - began
        await asyncio.sleep(SETTLED_SECONDS)
        return {"started": started, "seconds": took}

    async def replay_end(self, saga: str, started: str, steps: int) -> dict[str, Any]:
        """In another life of the worker."""
        self.progress = "written, its worker started again, the signal sent; it did not go on"
        began = clock_ns()
        await self._app.signal(saga)
        found = await self._app.result(started)
        return {
            "ms": found["replayed_ns"] / 1e6,
            "steps_per_second": steps / (found["replayed_ns"] / 1e9),
            "signal_to_resumed_ms": (found["resumed_ns"] - began) / 1e6,
        }

    async def parked(self, count: int) -> dict[str, Any]:
        before, begun = self._arrived(), 0
        numbers = iter(range(count))

        async def starter() -> None:
            nonlocal begun
            for _ in numbers:
                await self._app.start("waits", next(self._ids), 1)
                begun += 1
                self.progress = f"{begun} of {count} started, {self._arrived() - before} of them wait"

        began = time.monotonic()
        await together([starter() for _ in range(min(count, STARTS_AT_ONCE))])
        starting = time.monotonic() - began
        await self._until_arrived(before + count)
        waiting = time.monotonic() - began
        await asyncio.sleep(SETTLED_SECONDS)
        return {"sagas": count, "starts_per_second": count / starting, "seconds": waiting}


async def together(works: list[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


def ms(values_ns: list[int], share: float) -> float:
    ordered = sorted(values_ns)
    if share == 0.5:
        return statistics.median(ordered) / 1e6
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


async def answer(workloads: Workloads, request: dict[str, Any]) -> dict[str, Any]:
    seconds = request["seconds_max"]
    try:
        async with asyncio.timeout(seconds) as limit:
            return {"found": await getattr(workloads, request["workload"])(**request["arguments"])}
    except TimeoutError:
        if limit.expired():
            return {"late": f"not in {seconds:g} s", "progress": workloads.progress}
        return {"error": traceback.format_exc(limit=-4)}
    except NotPossible as reason:
        return {"not_possible": str(reason)}
    except Exception as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        return {"error": "".join(traceback.format_exception(cause, limit=-4))[-2000:]}


async def serve(app: App, folder: str) -> None:
    """Answers requests until standard input ends. What libraries print goes to the log."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    workloads = Workloads(app, folder)
    print("ready", file=out)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await answer(workloads, json.loads(line))), file=out)


def run(worker: Callable[[dict[str, Any]], Awaitable[None]], client: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """`MODULE worker|client CONFIG`, on uvloop where the environment has it."""
    role, config = sys.argv[1], json.loads(sys.argv[2])

    async def work() -> None:
        await (worker if role == "worker" else client)(config)

    try:
        import uvloop
    except ImportError:
        asyncio.run(work())
    else:
        uvloop.run(work())
