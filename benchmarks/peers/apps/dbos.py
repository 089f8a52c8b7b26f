"""DBOS, a library: worker and client are one process. Async workflows and steps; what it stores is in the system database."""

from __future__ import annotations

import asyncio
from typing import Any

from dbos import DBOS, SetWorkflowID

from benchmarks.peers.apps import driver

config: dict[str, Any] = {}
A_DAY = 86_400.0


class Refused(Exception):
    """A step that fails for good."""


@DBOS.step()
async def nothing(number: int) -> dict[str, int]:
    return {"number": number}


@DBOS.step()
async def undo(number: int) -> dict[str, int]:
    return {"number": number}


@DBOS.step()
async def arrive() -> dict[str, int]:
    driver.arrived(config["folder"])
    return {"number": 0}


@DBOS.step()
async def refuse(number: int) -> dict[str, int]:
    raise Refused(f"no {number}")


@DBOS.workflow()
async def chain(steps: int) -> int:
    for number in range(steps):
        await nothing(number)
    return steps


@DBOS.workflow()
async def waits(steps: int) -> dict[str, int]:
    entered = driver.clock_ns()
    for number in range(steps):
        await nothing(number)
    replayed = driver.clock_ns() - entered
    await arrive()
    await DBOS.recv_async("go", timeout_seconds=A_DAY)
    return {"replayed_ns": replayed, "resumed_ns": driver.clock_ns()}


@DBOS.workflow()
async def fan(steps: int) -> int:
    await asyncio.gather(*(nothing(number) for number in range(steps)))
    return steps


@DBOS.workflow()
async def fails(steps: int) -> None:
    done = []
    try:
        for number in range(steps - 1):
            done.append(number)
            await nothing(number)
        await refuse(steps)
    except Refused:
        for number in reversed(done):
            await undo(number)
        raise


KINDS = {"chain": chain, "waits": waits, "fan": fan, "fails": fails}


class DbosApp:
    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    async def start(self, kind: str, saga: str, steps: int) -> str:
        with SetWorkflowID(saga):
            self._handles[saga] = await DBOS.start_workflow_async(KINDS[kind], steps)
        return saga

    async def result(self, started: str) -> Any:
        handle = self._handles.pop(started, None) or await DBOS.retrieve_workflow_async(started)
        try:
            return await handle.get_result()
        except Refused as error:
            raise driver.Undone from error

    async def signal(self, saga: str) -> None:
        await DBOS.send_async(saga, {"number": 1}, "go")


async def worker(given: dict[str, Any]) -> None:
    raise SystemExit("DBOS has no worker process: its client is the worker (thick=True in the catalogue)")


async def client(given: dict[str, Any]) -> None:
    config.update(given)
    DBOS(config={"name": "bench", "system_database_url": config["url"], "run_admin_server": False, "log_level": "WARNING"})
    DBOS.launch()
    await driver.serve(DbosApp(), config["folder"])


if __name__ == "__main__":
    driver.run(worker, client)
