"""anyio's cancelled scopes end what is in them at its next checkpoint, as on asyncio; what is due never, waits."""

from __future__ import annotations

import asyncio
import datetime
import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from durable_saga import saga, step
from durable_saga.testing import SagaTestRunner


@step
async def work() -> None: ...


async def a_checkpoint_in_a_cancelled_scope() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await checkpoint()
        raise AssertionError("it went on")


async def a_stream_in_a_cancelled_scope_keeps_its_item() -> None:
    send, receive = anyio.create_memory_object_stream[str](2)
    with send, receive:
        send.send_nowait("hello")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await receive.receive()
        assert await receive.receive() == "hello"


async def a_loop_of_checkpoints() -> None:
    with anyio.move_on_after(0):
        while True:
            await checkpoint()


async def a_loop_of_checkpoints_behind_a_shield() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
        while True:
            await checkpoint()


async def a_deadline_that_has_passed() -> None:
    with anyio.move_on_after(-1):
        await checkpoint()
        raise AssertionError("it went on")


async def sleeping_for_ever() -> None:
    with anyio.move_on_after(1):
        await anyio.sleep_forever()
    with anyio.move_on_after(math.inf):
        await anyio.sleep(1)


async def what_is_due_never() -> None:
    for seconds in (math.inf, 1e17, 1e300, datetime.timedelta.max.total_seconds()):
        async with asyncio.timeout(math.inf):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.sleep(seconds), 1)


SAME: list[Callable[[], Awaitable[None]]] = [
    a_checkpoint_in_a_cancelled_scope, a_stream_in_a_cancelled_scope_keeps_its_item, a_loop_of_checkpoints,
    a_loop_of_checkpoints_behind_a_shield, a_deadline_that_has_passed, sleeping_for_ever, what_is_due_never,
]  # fmt: skip


@pytest.mark.parametrize("body", SAME, ids=lambda body: body.__name__)
def test_it_ends_in_a_saga(body: Callable[[], Awaitable[None]]) -> None:
    @saga
    async def run() -> None:
        await body()

    result = asyncio.run(SagaTestRunner().run(run))
    assert result.status == "completed", result.error


def test_a_step_in_a_cancelled_scope_does_not_run() -> None:
    @saga
    async def run() -> Any:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await work()
        return scope.cancelled_caught

    result = asyncio.run(SagaTestRunner().run(run))
    assert result.value is True
    assert result.names == []


@pytest.mark.parametrize(("name", "words"), [("set_exception_handler", "fails the saga"), ("stop", "return from the saga")])
def test_a_method_of_the_loop_that_is_refused_says_what_to_do(name: str, words: str) -> None:
    @saga
    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert loop.get_exception_handler() is None
        getattr(loop, name)(None)

    assert words in (asyncio.run(SagaTestRunner().run(run)).error or "")
