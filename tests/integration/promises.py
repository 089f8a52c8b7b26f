"""More sagas for the lines of the feature list: undoing that takes time or fails, children that are held or hear events."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from durable_saga import Retry, SagaFunction, event, saga, sleep, step
from tests.integration.features import Refused, wobbly
from tests.integration.sagas import FAILURES, ONCE, WORLD, book, decline


@step(retry=ONCE)
def glue(name: str) -> None: ...


@glue.compensation(retry=Retry(max_attempts=2, initial=0.01))
def unglue(name: str) -> None:
    WORLD.append(f"unglue {name}")
    raise Refused("it holds")


@saga
async def never_undone() -> None:
    await book("before")
    await glue("x")
    await decline("end")


@step(retry=ONCE, timeout=timedelta(seconds=0.1))
async def too_slow(name: str) -> str:
    WORLD.append(f"begin {name}")
    await asyncio.sleep(30)
    return name


@too_slow.compensation
def undo_slow(name: str, result: str | None) -> None:
    WORLD.append(f"undo {name} {result}")


@saga
async def slow_step() -> None:
    await book("before")
    await too_slow("snail")


@step(retry=ONCE)
def lent(name: str) -> None: ...


@lent.compensation(timeout=0.1, retry=Retry(max_attempts=None, initial=0.01))
async def give_back(name: str) -> None:
    """Hangs, fails four times, then works: more often than a step's own policy allows."""
    FAILURES[name] = FAILURES.get(name, 0) + 1
    if FAILURES[name] == 1:
        await asyncio.sleep(30)
    if FAILURES[name] <= 5:
        raise Refused("not now")
    WORLD.append(f"gave {name} back")


@saga
async def patient() -> None:
    await lent("book")
    await decline("end")


@saga
async def goes_on_without() -> str:
    await book("kept")
    try:
        await decline("optional")
    except Exception:
        WORLD.append("goes on")
    if await event("end") == "badly":
        raise Refused("badly")
    return "well"


@saga
async def hears_twice() -> list[int]:
    return [await event("paid"), await event("paid")]


@step(retry=ONCE)
def room(name: str) -> str:
    return name


@room.compensation
async def leave_room(name: str) -> None:
    WORLD.append(f"leaves {name}")
    while not FAILURES.get(f"may leave {name}"):
        await asyncio.sleep(0.01)


@saga
async def rooms() -> None:
    await room("first")
    await room("second")
    await event("go")
    raise Refused("no")


@saga(when_failed="hold", keys=lambda name, failures: [f"child:{name}"])
async def held_child(name: str, failures: int) -> str:
    await book(f"{name} a")
    return await wobbly(name, failures)


@saga
async def parent_of_held(failures: int) -> list[str]:
    before = await book("before")
    try:
        found = await held_child("kept", failures)
    except Refused:
        WORLD.append("the parent saw it")
        raise
    return [before, found, await book("after")]


@saga(keys=lambda name: [f"child:{name}"])
async def hearing_child(name: str) -> Any:
    await book(name)
    return await event("paid")


@saga
async def parent_of_hearing() -> Any:
    await book("parent")
    return await hearing_child("ear")


@saga
async def naps() -> None:
    await sleep(0.01)


FUNCTIONS: list[SagaFunction[..., Any]] = [
    never_undone, slow_step, patient, goes_on_without, hears_twice, rooms, held_child, parent_of_held, hearing_child,
    parent_of_hearing, naps,
]  # fmt: skip
