"""Libraries that people use in asyncio code, as they are, in saga code: they work, and a replay goes the same way."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys
import time
from typing import Any

import stamina
import structlog
from aiolimiter import AsyncLimiter

from durable_saga import now, saga, step
from durable_saga.replay.saga_log import add_context
from durable_saga.testing import SagaResult, SagaTestRunner, fails


class Busy(Exception):
    pass


@step
async def books(room: str) -> str:
    return f"booked {room}"


def play(one: Any, runner: SagaTestRunner | None = None) -> SagaResult:
    """Raises when a replay goes another way."""
    result = asyncio.run((runner or SagaTestRunner()).run(one))
    assert result.status == "completed", result.error
    return result


def test_stamina_tries_again_with_durable_pauses() -> None:
    tried: list[float] = []

    @stamina.retry(on=Busy, attempts=4, wait_initial=10, wait_max=60, wait_jitter=5)
    async def until_free() -> str:
        tried.append(now().timestamp())
        if len(tried) % 3:
            raise Busy
        return await books("12")

    @saga
    async def stays() -> str:
        return await until_free()

    result = play(stays)
    assert result.value == "booked 12"
    assert tried[:3] == tried[3:]
    assert tried[1] - tried[0] >= 10
    assert [event.WhichOneof("kind") for event in result._events].count("timer_fired") == 2


def test_a_context_of_stamina_that_gives_up_raises_what_the_step_raised() -> None:
    runner = SagaTestRunner()
    runner.mock_step("books", fails(ValueError("full")))

    @saga
    async def stays() -> str:
        try:
            async for attempt in stamina.retry_context(on=ValueError, attempts=2, wait_initial=3):
                with attempt:
                    await books("12")
        except ValueError as error:
            return f"gave up: {error}"
        return "stayed"

    result = asyncio.run(runner.run(stays))
    assert result.value == "gave up: full", result.error


def test_aiolimiter_holds_back_what_is_too_much_in_saga_time() -> None:
    @saga
    async def paced() -> list[float]:
        limiter, begun = AsyncLimiter(2, 10), []

        async def one(number: int) -> None:
            async with limiter:
                begun.append(now().timestamp())
                await books(str(number))

        await asyncio.gather(*[one(number) for number in range(5)])
        return [round(moment - begun[0]) for moment in begun]

    result = play(paced)
    assert result.value[0] == result.value[1] == 0
    assert result.value[2] >= 5
    assert len(result.names) == 5


DEBUGGED = """
import asyncio
from durable_saga import saga, step
from durable_saga.testing import SagaTestRunner

@step
async def books(room: str) -> str:
    return f"booked {room}"

@saga
async def stays() -> str:
    room = "suite"
    breakpoint()
    found = await books(room)
    return found.upper()

print("value", asyncio.run(SagaTestRunner().run(stays)).value)
"""


def test_a_debugger_stops_in_saga_code_and_steps_over_an_await(tmp_path: pathlib.Path) -> None:
    """In a process of its own: a debugger traces the whole thread."""
    (tmp_path / "debugged.py").write_text(DEBUGGED)
    done = subprocess.run(
        [sys.executable, "debugged.py"], cwd=tmp_path, input="p room\nn\nc\n" * 4, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert "'suite'" in done.stdout, done.stderr
    assert "value BOOKED SUITE" in done.stdout, done.stderr


def test_structlog_says_a_line_once_with_the_saga_it_is_of() -> None:
    said: list[dict[str, Any]] = []

    def keep(_: Any, __: str, event: Any) -> Any:
        said.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[add_context, structlog.processors.TimeStamper(fmt=None), keep])
    try:

        @step
        async def tells() -> None:
            structlog.get_logger().info("in a step")

        @saga
        async def logs() -> None:
            log = structlog.get_logger().bind(order="o-1")
            log.info("first")
            await tells()
            await asyncio.sleep(60)
            log.info("second", saga="mine")

        play(logs)
    finally:
        structlog.reset_defaults()
    assert [tuple(map(one.get, ("event", "saga", "saga_type", "step", "order"))) for one in said] == [
        ("first", "saga", "logs", None, "o-1"),
        ("in a step", "saga", None, "tells", None),
        ("second", "mine", "logs", None, "o-1"),
    ]
    assert all(one["timestamp"] <= time.time() for one in said)
