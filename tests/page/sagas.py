"""Sagas that a person looks at in a browser: one that waits, one that is undone, one that gets stuck, one that is held."""

from __future__ import annotations

import asyncio
import os
import pathlib
from typing import Any

from durable_saga import NotApplied, Retry, continue_as_new, event, on_failure, saga, scope, signal, sleep, state, step
from durable_saga.authoring.compensation import compensation

ONCE = Retry(max_attempts=1)
HOSTILE_NAME = "<script>document.title=1</script>"
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def is_there(thing: str) -> bool:
    """A file in the folder of the test's processes."""
    return (pathlib.Path(os.environ["PAGE_TEST_FOLDER"]) / thing).exists()


class CardDeclined(Exception):
    code = "DECLINED"


@step(retry=Retry(max_attempts=3, initial=0.05))
async def reserve(order: str, items: int) -> dict[str, Any]:
    await asyncio.sleep(0.03)
    return {"reservation": f"r-{order}", "items": items}


@reserve.compensation
async def release(order: str, items: int, result: dict[str, Any] | None) -> None:
    await asyncio.sleep(0.02)


@step(retry=ONCE)
async def charge(order: str, amount: int) -> str:
    await asyncio.sleep(0.05)
    if amount > 500:
        raise CardDeclined(f"{order}: {amount} is over the limit")
    return f"payment-{order}"


@charge.compensation
async def refund(order: str, amount: int) -> None:
    await asyncio.sleep(0.02)


@step(retry=ONCE)
async def ship(order: str) -> str:
    return f"parcel-{order}"


@ship.compensation
@compensation(retry=Retry(max_attempts=2, initial=0.01))
async def recall(order: str) -> None:
    if not is_there("carrier"):
        raise ConnectionError("the carrier does not answer")


async def notice(text: str) -> None: ...


@saga
async def packing(order: str) -> str:
    await reserve(order, 2)
    return await ship(order)


@saga
async def place_order(order: str, amount: int) -> dict[str, str]:
    state.set("order", {"id": order, "amount": amount})
    await asyncio.gather(reserve(f"{order}/a", 1), reserve(f"{order}/b", 3))
    on_failure(notice, "sorry")
    payment = await charge(order, amount)
    parcel = await packing(order)
    return {"payment": payment, "parcel": parcel}


@saga
async def gets_stuck(order: str) -> None:
    await reserve(order, 1)
    await ship(order)
    await charge(order, 900)


@saga
async def approval(order: str) -> str:
    state.set("asked", order)
    async with scope("reservation"):
        await reserve(order, 1)
    return str(await signal("decide"))


@saga(when_failed="hold")
async def careful(order: str) -> str:
    await reserve(order, 1)
    return await guarded()


@step(retry=ONCE)
async def guarded() -> str:
    if not is_there("open-door"):
        raise NotApplied("the door is shut")
    return "in"


@step(name=f"step {HOSTILE_NAME}", retry=ONCE)
async def nasty(text: str) -> None:
    raise ValueError(HOSTILE)


@saga(name=f"type {HOSTILE_NAME}")
async def hostile(text: str) -> str:
    state.set(HOSTILE_NAME, HOSTILE)
    await reserve(HOSTILE, 1)
    await nasty(HOSTILE)
    return text


@step(effect=False)
async def look(number: int) -> int:
    return number


@saga
async def long_one(steps: int) -> int:
    for number in range(steps):
        state.set("at", await look(number))
    return steps


@saga(keys=lambda order: [f"order={order}"], attributes=lambda order: {"buyer": f"b{order}"})
async def paid(order: str) -> str:
    return str(await event("payment"))


@saga
async def counting(to: int, at: int = 0) -> int:
    if at < to:
        await continue_as_new(to, at + 1)
    return at


@saga
async def sleeper() -> None:
    await sleep(3600)


@saga
async def holds_much(size: int) -> str:
    state.set("much", "x" * size)
    return str(await signal("go"))
