"""Saga code that takes no notice of being stopped or dropped is given up: nothing hangs, whatever it is written in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from durable_saga import SagaFunction, codec, event, saga, scope, sleep, step
from durable_saga.errors import LimitExceeded
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.replay import loop as bounds
from durable_saga.testing import SagaTestRunner


@step
async def tick(number: int = 0) -> int:
    return number


async def swallow(what: Callable[[], Awaitable[Any]]) -> None:
    while True:
        try:
            await what()
        except BaseException:
            pass


@saga
async def events() -> None:
    await swallow(lambda: event("job"))


@saga
async def timed_events() -> None:
    await swallow(lambda: event("job", timeout=60))


@saga
async def sleeps() -> None:
    await swallow(lambda: sleep(1e6))


@saga
async def in_a_group() -> None:
    async def forever() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(swallow(lambda: event("a")))
            group.create_task(swallow(lambda: event("b")))

    await forever()


@saga
async def in_finally() -> None:
    try:
        await event("job")
    finally:
        await swallow(lambda: tick(1))


@saga
async def in_a_scope() -> None:
    async with scope():
        await swallow(lambda: event("job"))


@saga
async def child() -> None:
    await swallow(lambda: event("job"))


@saga
async def parent() -> None:
    await child()


@saga
async def from_a_generator() -> None:
    async def jobs() -> AsyncIterator[Any]:
        while True:
            try:
                yield await event("job")
            except BaseException:
                pass

    async for _ in jobs():
        pass


@saga
async def in_a_task() -> None:
    task = asyncio.create_task(swallow(lambda: event("job")))
    await event("never")
    await task


@saga
async def yields_at_the_close() -> None:
    try:
        await event("job")
    except BaseException:
        await asyncio.sleep(1)
        await asyncio.sleep(1)


SWALLOWING: list[SagaFunction[..., Any]] = [
    events, timed_events, sleeps, in_a_group, in_finally, in_a_scope, parent, from_a_generator, in_a_task,
    yields_at_the_close,
]  # fmt: skip


def start_of(one: SagaFunction[..., Any]) -> list[h.Event]:
    start = h.SagaStarted(saga_type=one.definition.name, seed=b"s" * 16)
    start.input.data = codec.encode_call((), {}, where="input")
    return [h.Event(saga_started=start)]


def started(one: SagaFunction[..., Any], *, run: bool = True) -> Core:
    core = Core(one.definition, h.RunKey(namespace="test", saga="saga", run=1))
    if run:
        core.replay(start_of(one))
    return core


@pytest.mark.parametrize("one", SWALLOWING, ids=lambda one: one.definition.name)
def test_it_leaves_memory_and_is_not_run_again(one: SagaFunction[..., Any]) -> None:
    core = started(one)
    place = core.discard()
    assert not core.loop.tasks
    assert core.discard() == ""
    if one is not yields_at_the_close and one is not from_a_generator:
        assert "test_swallowing.py" in place


@pytest.mark.parametrize("one", SWALLOWING, ids=lambda one: one.definition.name)
def test_a_cancel_ends_it(one: SagaFunction[..., Any]) -> None:
    core = started(one)
    core.feed(h.Event(cancel_requested=h.CancelRequested(message_id="1", reason="enough")), 1)
    assert core.ended
    assert core.status in (h.CANCELLED, h.FAILED, h.COMPENSATED)
    core.discard()


def test_code_that_lets_itself_be_closed_is_no_trouble() -> None:
    @saga
    async def ordinary() -> None:
        async with asyncio.TaskGroup() as outer, scope():
            outer.create_task(event("a"))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(event("b"))
                try:
                    await event("c", timeout=60)
                finally:
                    await tick(1)

    assert started(ordinary).discard() == ""


def test_a_loop_that_only_lets_others_run_is_stopped_by_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    @saga
    async def busy() -> None:
        await swallow(lambda: asyncio.sleep(0))

    monkeypatch.setattr(bounds, "CALLBACKS_PER_ACTIVATION_MAX", 10_000)
    core = started(busy, run=False)
    with pytest.raises(LimitExceeded, match="CALLBACKS_PER_ACTIVATION_MAX"):
        core.replay(start_of(busy))
    assert "test_swallowing.py" in core.discard()


def test_a_loop_that_only_lets_others_run_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async def turns() -> None:
        while True:
            await asyncio.sleep(0)

    @saga
    async def busy_in_a_task() -> None:
        await asyncio.gather(event("never"), turns())

    monkeypatch.setattr(bounds, "CALLBACKS_PER_ACTIVATION_MAX", 10_000)
    core = started(busy_in_a_task, run=False)
    line = turns.__code__.co_firstlineno + 2
    with pytest.raises(
        LimitExceeded, match=rf"test_swallowing\.py:{line} in .*turns: the saga's code runs without ever waiting"
    ):
        core.replay(start_of(busy_in_a_task))
    core.discard()


def test_a_callback_that_calls_itself_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def again() -> None:
        asyncio.get_running_loop().call_soon(again)

    @saga
    async def busy_in_a_callback() -> None:
        again()
        await event("never")

    monkeypatch.setattr(bounds, "CALLBACKS_PER_ACTIVATION_MAX", 10_000)
    core = started(busy_in_a_callback, run=False)
    with pytest.raises(
        LimitExceeded, match=rf"test_swallowing\.py:{again.__code__.co_firstlineno} in .*again: the saga's code"
    ):
        core.replay(start_of(busy_in_a_callback))
    core.discard()


def test_the_runner_and_explore_come_back() -> None:
    async def play() -> None:
        runner = SagaTestRunner()
        runner.publish("job")
        assert (await runner.run(events)).status == "running"
        assert (await runner.explore(events, invariant=lambda result: True)).complete

    asyncio.run(play())
