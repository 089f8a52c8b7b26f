"""Temporal: steps are activities, or local activities (`local`); the sandbox of workflows stays on, as it is by default."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.peers.apps import driver

QUEUE = "bench"
LIMIT = timedelta(seconds=60)
REFUSED = (ActivityError, ApplicationError)  # of an activity, of a local one
config: dict[str, Any] = {}


@activity.defn
async def nothing(number: int) -> dict[str, int]:
    return {"number": number}


@activity.defn
async def arrive(folder: str) -> dict[str, int]:
    driver.arrived(folder)
    return {"number": 0}


@activity.defn
async def refuse(number: int) -> dict[str, int]:
    raise ApplicationError(f"no {number}", non_retryable=True)


async def step(local: bool, function: Any, argument: Any) -> Any:
    if local:
        return await workflow.execute_local_activity(function, argument, start_to_close_timeout=LIMIT)
    return await workflow.execute_activity(function, argument, start_to_close_timeout=LIMIT, retry_policy=RetryPolicy())


@workflow.defn(name="chain")
class Chain:
    @workflow.run
    async def run(self, steps: int, local: bool, folder: str) -> int:
        for number in range(steps):
            await step(local, nothing, number)
        return steps


@workflow.defn(name="waits")
class Waits:
    def __init__(self) -> None:
        self._gone = False

    @workflow.run
    async def run(self, steps: int, local: bool, folder: str) -> dict[str, int]:
        entered = driver.clock_ns()
        for number in range(steps):
            await step(local, nothing, number)
        replayed = driver.clock_ns() - entered
        await step(local, arrive, folder)
        await workflow.wait_condition(lambda: self._gone)
        return {"replayed_ns": replayed, "resumed_ns": driver.clock_ns()}

    @workflow.signal
    def go(self, message: dict[str, int]) -> None:
        self._gone = True


@workflow.defn(name="fan")
class Fan:
    @workflow.run
    async def run(self, steps: int, local: bool, folder: str) -> int:
        await asyncio.gather(*(step(local, nothing, number) for number in range(steps)))
        return steps


@workflow.defn(name="fails")
class Fails:
    @workflow.run
    async def run(self, steps: int, local: bool, folder: str) -> None:
        done = []
        try:
            for number in range(steps - 1):
                done.append(number)
                await step(local, nothing, number)
            await step(local, refuse, steps)
        except REFUSED:
            for number in reversed(done):
                await step(local, nothing, number)
            raise


class TemporalApp:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, kind: str, saga: str, steps: int) -> str:
        arguments = [steps, config["local"], config["folder"]]
        await self._client.start_workflow(kind, args=arguments, id=saga, task_queue=QUEUE)
        return saga

    async def result(self, started: str) -> Any:
        try:
            return await self._client.get_workflow_handle(started).result()
        except WorkflowFailureError as error:
            if isinstance(error.cause, REFUSED):
                raise driver.Undone from error
            raise

    async def signal(self, saga: str) -> None:
        await self._client.get_workflow_handle(saga).signal("go", {"number": 1})


async def worker(given: dict[str, Any]) -> None:
    client = await Client.connect(given["url"])
    kinds = [Chain, Waits, Fan, Fails]
    async with Worker(client, task_queue=QUEUE, workflows=kinds, activities=[nothing, arrive, refuse]):
        print("ready", flush=True)
        await asyncio.Event().wait()


async def client(given: dict[str, Any]) -> None:
    config.update(given)
    await driver.serve(TemporalApp(await Client.connect(config["url"])), config["folder"])


if __name__ == "__main__":
    driver.run(worker, client)
