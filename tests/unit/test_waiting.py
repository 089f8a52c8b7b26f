"""Waiting for the end of a saga: what the server sends, and to whom."""

from __future__ import annotations

import asyncio

import pytest

from durable_saga import Worker, codec, connect, continue_as_new, event, saga, step
from durable_saga.errors import SagaCompensated, SagaFailed
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h


@step
async def one(number: int) -> int:
    return number


@saga
async def waits_and_doubles(number: int) -> int:
    await one(number)
    await event("go")
    return 2 * number


@saga
async def goes_on(left: int) -> int:
    await one(left)
    if left:
        await continue_as_new(left - 1)
    return 7


@saga
async def fails() -> None:
    await one(1)
    raise ValueError("no")


def test_the_outcome_of_a_completed_saga_comes_without_its_steps() -> None:
    async def scenario() -> None:
        async with connect("memory:", strict=False) as client, Worker(client, sagas=[waits_and_doubles]):
            handle = await client.start(waits_and_doubles, 21, id="s")

            def ask(*, outcome: bool, run: int = 0) -> asyncio.Task[c.Description]:
                key = h.RunKey(namespace="default", saga="s", run=run)
                request = c.WaitRequest(key=key, wait_ms=20_000, outcome=outcome)
                return asyncio.create_task(client.transport.call("wait", request))

            early = [ask(outcome=True), ask(outcome=False), ask(outcome=True, run=1)]
            await asyncio.sleep(0.05)
            assert not any(one.done() for one in early)
            await client.publish("go", saga="s")
            for steps, waiting in zip((0, 1, 0), early, strict=True):
                found = await waiting
                assert (found.status, len(found.steps), found.key.run) == (h.COMPLETED, steps, 1)
                assert codec.decode(found.result.data, int, where="result") == 42
            late = await ask(outcome=True)
            assert (late.status, len(late.steps), late.result.data) == (h.COMPLETED, 0, found.result.data)
            assert await handle.result() == 42

    asyncio.run(scenario())


def test_a_result_is_that_of_the_last_run_and_a_failure_has_its_cause() -> None:
    async def scenario() -> None:
        async with connect("memory:", strict=False) as client, Worker(client, sagas=[goes_on, fails]):
            handle = await client.start(goes_on, 2)
            assert await handle.result() == 7
            assert await handle.result() == 7
            with pytest.raises((SagaFailed, SagaCompensated), match="no"):
                await (await client.start(fails)).result()

    asyncio.run(scenario())
