"""absurd on PostgreSQL: the async worker with 100 tasks at once; start, result and event are calls of stored functions."""

from __future__ import annotations

import asyncio
from typing import Any

from absurd_sdk import AsyncAbsurd, AsyncTaskContext

from benchmarks.peers.apps import driver

config: dict[str, Any] = {}
AT_ONCE = 100
CONNECTIONS = 8


class Refused(Exception):
    """A step that fails for good."""


def step(number: int) -> Any:
    async def nothing() -> dict[str, int]:
        return {"number": number}

    return nothing


async def arrive() -> dict[str, int]:
    driver.arrived(config["folder"])
    return {"number": 0}


async def refuse() -> dict[str, int]:
    raise Refused("no")


async def chain(parameters: dict[str, Any], ctx: AsyncTaskContext) -> int:
    steps: int = parameters["steps"]
    for number in range(steps):
        await ctx.step("nothing", step(number))
    return steps


async def waits(parameters: dict[str, Any], ctx: AsyncTaskContext) -> dict[str, int]:
    entered = driver.clock_ns()
    for number in range(parameters["steps"]):
        await ctx.step("nothing", step(number))
    replayed = driver.clock_ns() - entered
    await ctx.step("arrive", arrive)
    await ctx.await_event(f"go:{parameters['saga']}")
    return {"replayed_ns": replayed, "resumed_ns": driver.clock_ns()}


async def fan(parameters: dict[str, Any], ctx: AsyncTaskContext) -> int:
    steps: int = parameters["steps"]
    await asyncio.gather(*(ctx.step(f"nothing {number}", step(number)) for number in range(steps)))
    return steps


async def fails(parameters: dict[str, Any], ctx: AsyncTaskContext) -> None:
    done = []
    try:
        for number in range(parameters["steps"] - 1):
            done.append(number)
            await ctx.step("nothing", step(number))
        await ctx.step("refuse", refuse)
    except Refused:
        for number in reversed(done):
            await ctx.step("undo", step(number))
        raise


KINDS = {"chain": chain, "waits": waits, "fan": fan, "fails": fails}


class AbsurdApp:
    """A client has one connection and one call at a time on it, so there are some of them, in turn."""

    def __init__(self, clients: list[AsyncAbsurd]) -> None:
        self._clients = clients
        self._turn = 0

    def _next(self) -> AsyncAbsurd:
        self._turn = (self._turn + 1) % len(self._clients)
        return self._clients[self._turn]

    async def start(self, kind: str, saga: str, steps: int) -> str:
        attempts = 1 if kind == "fails" else None
        found = await self._next().spawn(kind, {"steps": steps, "saga": saga}, max_attempts=attempts, queue="bench")
        return str(found["task_id"])

    async def result(self, started: str) -> Any:
        found = await self._next().await_task_result(started)
        if found.state == "failed":
            raise driver.Undone
        return found.result

    async def signal(self, saga: str) -> None:
        await self._next().emit_event(f"go:{saga}", {"number": 1})


async def connected() -> AsyncAbsurd:
    one = AsyncAbsurd(config["url"], queue_name="bench")
    await one.list_queues()  # connects, before calls come at once
    return one


async def worker(given: dict[str, Any]) -> None:
    config.update(given)
    app = await connected()
    for name, function in KINDS.items():
        app.register_task(name)(function)
    print("ready", flush=True)
    await app.start_worker(concurrency=AT_ONCE)


async def client(given: dict[str, Any]) -> None:
    config.update(given)
    await driver.serve(AbsurdApp([await connected() for _ in range(CONNECTIONS)]), config["folder"])


if __name__ == "__main__":
    driver.run(worker, client)
