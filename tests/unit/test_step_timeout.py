"""Steps without a time-out get the worker's; an attempt that nothing ends is told in the log, once."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from durable_saga_server.history import view

from durable_saga import Retry, Worker, compensation, connect, saga, step, step_context
from durable_saga.cli import main
from durable_saga.errors import SagaFailed
from durable_saga.worker import attempts
from tests.unit.test_attempts import Bench, play

ONCE = Retry(max_attempts=1)


@step(retry=ONCE)
async def hangs() -> None:
    await asyncio.sleep(30)


@step(retry=ONCE, timeout=20)
async def has_its_own() -> None:
    await asyncio.sleep(0.05)


@step(retry=ONCE)
def hangs_in_thread() -> None:
    time.sleep(0.3)


@step
async def undone() -> None: ...


@undone.compensation
@compensation(retry=ONCE)
async def undo() -> None:
    await asyncio.sleep(0.05)


def outcome(one: Any) -> str:
    async def act(bench: Bench) -> None:
        bench.undo(one) if one is undone else bench.run(one)
        await bench.until(1)

    event = play(act, step_timeout_ms=20).facts[0]
    return f"{event.WhichOneof('kind')} {event.step_failed.failure.message}".strip()


def test_it_is_for_steps_that_declare_none_in_tasks_and_threads() -> None:
    assert outcome(hangs) == "step_failed hangs took longer than 0.02 s"
    assert outcome(hangs_in_thread) == "step_failed hangs_in_thread took longer than 0.02 s"
    assert outcome(has_its_own) == "step_completed"
    assert outcome(undone) == "compensation_completed"


@saga
async def waits() -> None:
    await hangs()


def test_a_worker_takes_it_and_refuses_what_is_no_time() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[waits], step_timeout=0.05):
            with pytest.raises(SagaFailed, match=r"hangs took longer than 0\.05 s"):
                await (await client.start(waits)).result(timeout=20)
        with pytest.raises(ValueError, match="step_timeout"):
            Worker(client, sagas=[waits], step_timeout=-1)

    asyncio.run(scenario())
    assert "step_timeout" in {one.name for one in main.commands["worker"].params}


def test_what_is_at_work_for_long_without_one_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(bench: Bench) -> None:
        bench.run(hangs)
        await asyncio.sleep(0.02)
        bench.attempts.tell_slow()
        assert caplog.records == [], "it has not been long"
        monkeypatch.setattr(attempts, "TELL_SLOW_SECONDS", 0.001)
        bench.attempts.tell_slow()
        bench.attempts.tell_slow()

    async def limited(bench: Bench) -> None:
        bench.run(has_its_own)
        await asyncio.sleep(0.02)
        bench.attempts.tell_slow()

    with caplog.at_level(logging.WARNING, "durable_saga"):
        play(act)
        play(limited)
    (told,) = [one.getMessage() for one in caplog.records]
    assert told.startswith("saga s: step hangs (call 1) has been at work for ")
    assert told.endswith("in attempt 1 and has no time-out, so nothing ends it: give it one by @step(timeout=), or all steps by"
                         " step_timeout= of the worker")  # fmt: skip


def test_a_worker_looks_for_them_with_each_beat(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "TELL_SLOW_SECONDS", 0.02)

    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[waits], heartbeat=0.01):
            handle = await client.start(waits, id="slow")
            async with asyncio.timeout(20):
                while not any("saga slow: step hangs" in one.getMessage() for one in caplog.records):
                    await asyncio.sleep(0.01)
            await handle.terminate()

    with caplog.at_level(logging.WARNING, "durable_saga"):
        asyncio.run(scenario())


@step
async def fails_once_and_hangs() -> None:
    if step_context().attempt == 1:
        raise ConnectionError("once")
    await asyncio.sleep(3600)


@saga
async def both() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(hangs())
        group.create_task(fails_once_and_hangs())
        group.create_task(has_its_own())


def test_describe_warns_of_it_as_long_as_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "TELL_SLOW_MS", 50)

    async def warned(step_timeout: float | None) -> str:
        async with (
            connect("memory:") as client,
            Worker(client, sagas=[both], retry=Retry(initial=0.01), step_timeout=step_timeout),
        ):
            handle = await client.start(both, id="slow")
            assert (await handle.describe()).warning == "", "it has not been long"
            await asyncio.sleep(0.5)
            warning = (await handle.describe()).warning
            await handle.terminate()
            assert (await handle.describe()).warning == "", "it is over"
            return warning

    told = asyncio.run(warned(None))
    assert told.startswith("step hangs (call ")
    assert " and 1 more has been at work for 0 s and has no time-out, so nothing ends" in told
    assert asyncio.run(warned(3600)) == ""
