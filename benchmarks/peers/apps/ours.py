"""Us. Thick: engine, worker and client in one process."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.peers.apps import driver
from benchmarks.workload import chain, nothing
from durable_saga import Client, Worker, connect, event, saga, step
from durable_saga.cli.event_loop import tune
from durable_saga.errors import NotApplied, SagaCompensated

config: dict[str, Any] = {}


@step
async def undoable(number: int) -> dict[str, int]:
    return {"number": number}


@undoable.compensation
async def undo(number: int) -> None: ...


@step
async def arrive() -> dict[str, int]:
    driver.arrived(config["folder"])
    return {"number": 0}


@step
async def refuse(number: int) -> dict[str, int]:
    raise NotApplied(f"no {number}")


@saga
async def waits(steps: int) -> dict[str, int]:
    entered = driver.clock_ns()
    for number in range(steps):
        await nothing(number)
    replayed = driver.clock_ns() - entered
    await arrive()
    await event("go")
    return {"replayed_ns": replayed, "resumed_ns": driver.clock_ns()}


@saga
async def fan(steps: int) -> int:
    await asyncio.gather(*(nothing(number) for number in range(steps)))
    return steps


@saga
async def fails(steps: int) -> None:
    for number in range(steps - 1):
        await undoable(number)
    await refuse(steps)


KINDS = {"chain": chain, "waits": waits, "fan": fan, "fails": fails}


class OurApp:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, kind: str, saga: str, steps: int) -> str:
        await self._client.start(KINDS[kind], steps, id=saga)
        return saga

    async def result(self, started: str) -> Any:
        try:
            return await self._client.handle(started).result()
        except SagaCompensated as error:
            raise driver.Undone from error

    async def signal(self, saga: str) -> None:
        await self._client.publish("go", {"number": 1}, saga=saga)


async def worker(given: dict[str, Any]) -> None:
    config.update(given)
    async with connect(config["url"]) as client, Worker(client, sagas=list(KINDS.values())):
        print("ready", flush=True)
        await asyncio.Event().wait()


async def client(given: dict[str, Any]) -> None:
    config.update(given)
    async with connect(config["url"]) as client:
        if not config["thick"]:
            await driver.serve(OurApp(client), config["folder"])
            return
        async with Worker(client, sagas=list(KINDS.values())):
            await driver.serve(OurApp(client), config["folder"])


if __name__ == "__main__":
    tune()  # as `durable-saga worker` does
    driver.run(worker, client)
