"""Sagas with queries. The old version of `shop_cart` is for histories that the code of today does not fit."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from durable_saga import Retry, Saga, SagaFunction, SagaStep, Step, WaitForEvent, saga, signal, sleep, state, step
from durable_saga.authoring.query import UnwindProgress, unwind_progress


@dataclass
class Item:
    name: str
    price: Decimal


@step
async def reserve(name: str) -> str:
    return f"reserved {name}"


@reserve.compensation
async def release(name: str, result: str | None) -> None: ...


@step(retry=Retry(max_attempts=1))
async def decline() -> None:
    raise ValueError("declined")


@saga
async def shop_cart(customer: str) -> str:
    state.set("customer", customer)
    while (item := await signal("add", Item | None)) is not None:
        await reserve(item.name)
        state.set("items", [*state.get("items", []), item])
    if customer == "bad":
        await decline()
    return customer


@shop_cart.query
def total(currency: str, rate: Decimal = Decimal(1)) -> Decimal:
    if currency not in ("EUR", "USD"):
        raise LookupError(f"no rate for {currency}")
    return sum((one.price for one in state.get("items", [])), Decimal(0)) * rate


@shop_cart.query
def names() -> list[str]:
    return [one["name"] if isinstance(one, dict) else one.name for one in state.get("items", [])]


class Unspeakable(BaseException):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@shop_cart.query
def nasty(how: str) -> None:
    raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "unspeakable": Unspeakable()}[how]


@shop_cart.query(name="unwind")
def progress() -> UnwindProgress | None:
    return unwind_progress()


@shop_cart.query
def wrong(how: str) -> Any:
    ways: dict[str, Callable[[], Any]] = {
        "step": lambda: reserve("x"), "set": lambda: state.set("a", 1), "sleep": lambda: sleep(1),
        "open": lambda: pathlib.Path("there").read_text(), "loop": lambda: loop_for_ever(),
    }  # fmt: skip
    return ways[how]()


def loop_for_ever() -> None:
    while True:
        pass


def other_cart() -> SagaFunction[..., Any]:
    """The same saga by other code: it does not fit the histories of the one above once an item was added."""

    @saga(name="shop_cart")
    async def other(customer: str) -> str:
        state.set("customer", customer)
        await decline()
        return customer

    other.query(names)
    return other


@saga
async def counted(steps: int) -> int:
    for number in range(steps):
        await note(number)
        state.set("done", number + 1)
    await signal("go")
    return steps


@step(effect=False)
async def note(number: int) -> int:
    return number


@counted.query
def done() -> int:
    return int(state.get("done", 0))


class Shipping(Saga):
    name = "shipping_queried"

    def define(self) -> list[SagaStep]:
        return [Step("pack", self.pack), WaitForEvent("pick_up", "picked_up")]

    async def pack(self, context: dict[str, Any]) -> str:
        return "packed"

    @Saga.query
    def last(self, fallback: str) -> str:
        return str(state.get("last_successful_step", fallback))
