"""Sagas of the tests, one for each thing that is claimed. `WORLD` records what really ran."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from durable_saga import (
    NotApplied,
    Retry,
    SagaFunction,
    compensation,
    on_failure,
    saga,
    signal,
    sleep,
    state,
    step,
    step_context,
)
from durable_saga.errors import StepTimedOut

ONCE = Retry(max_attempts=1)
WORLD: list[str] = []
FAILURES: dict[str, int] = {}


@step(retry=ONCE)
async def book(what: str) -> str:
    WORLD.append(f"book {what}")
    return f"booked {what}"


@book.compensation
async def unbook(what: str, result: str | None) -> None:
    WORLD.append(f"unbook {what} {result}")


@step(retry=ONCE)
def refuse(what: str) -> None:
    raise NotApplied(what)


@refuse.compensation
def undo_refuse(what: str) -> None:
    WORLD.append("this must never run")


class Declined(Exception):
    code = "DECLINED"


@step(retry=ONCE)
def decline(what: str) -> None:
    raise Declined(f"{what} declined")


@decline.compensation
def undo_decline(what: str, result: None) -> None:
    WORLD.append(f"undo decline {what} {result}")


@step(retry=Retry(max_attempts=3, initial=0.05))
def flaky(name: str, failures: int) -> int:
    FAILURES[name] = FAILURES.get(name, 0) + 1
    if FAILURES[name] <= failures:
        raise ConnectionError(f"attempt {step_context().attempt}")
    return step_context().attempt


@step(retry=ONCE, timeout=0.1)
async def slow() -> None:
    await asyncio.sleep(30)


@step(retry=ONCE)
def blocking(seconds: float) -> str:
    time.sleep(seconds)
    return step_context().idempotency_key


@step(retry=ONCE)
async def fragile(name: str) -> None:
    WORLD.append(f"fragile {name}")


@fragile.compensation
@compensation(retry=Retry(max_attempts=1))
async def mend(name: str) -> None:
    FAILURES[name] = FAILURES.get(name, 0) + 1
    if FAILURES[name] == 1:
        raise RuntimeError(f"{name} can't be mended")
    WORLD.append(f"mended {name}")


@saga
async def trip(names: list[str]) -> list[str]:
    return [await book(name) for name in names]


@saga
async def failing_trip() -> None:
    await book("car")
    await asyncio.gather(book("hotel"), book("flight"))
    await decline("insurance")


@saga
async def refused_only() -> None:
    await refuse("nothing")


@saga
async def handled() -> str:
    try:
        await decline("card")
    except Declined as error:
        return f"{error} {error.code}"
    return "no"


@saga
async def flaky_saga(name: str, failures: int) -> int:
    return await flaky(name, failures)


@saga
async def slow_saga() -> str:
    try:
        await slow()
    except StepTimedOut as error:
        return type(error).__name__
    return "no"


@saga
async def blocking_saga() -> str:
    return await blocking(0.01)


@saga
async def stuck_saga(name: str) -> None:
    await book(name)
    await fragile(name)
    await decline(name)


@saga
async def sleeper(seconds: float) -> float:
    before = asyncio.get_running_loop().time()
    await sleep(seconds)
    return asyncio.get_running_loop().time() - before


@saga
async def approval() -> str:
    await book("desk")
    answer: str = await signal("approve", str)
    return answer


@saga
async def counting() -> int:
    while state.get("sum", 0) < 10:
        await sleep(0.01)
    return int(state.get("sum"))


@counting.signal
async def add(number: int) -> None:
    state.set("sum", state.get("sum", 0) + number)


@saga(timeout=0.3)
async def too_long() -> None:
    await book("room")
    await sleep(3600)


@saga
async def registered() -> None:
    on_failure(note, "first")
    on_failure(note, "second")
    await decline("late")


def note(what: str) -> None:
    WORLD.append(f"note {what}")


@saga
async def reads_the_clock() -> None:
    open("somewhere")  # noqa: ASYNC230, SIM115  what saga code must not do


SAGAS: list[SagaFunction[..., Any]] = [
    trip, failing_trip, refused_only, handled, flaky_saga, slow_saga, blocking_saga, stuck_saga, sleeper, approval, counting,
    too_long, registered, reads_the_clock,
]  # fmt: skip
