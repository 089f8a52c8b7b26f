"""A small world for the tests of the test runner, and a dozen order sagas with one mistake each."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from durable_saga import Retry, Saga, SagaStep, Step, on_failure, pivot, saga, scope, step, step_context
from durable_saga.errors import NotApplied
from durable_saga.testing import SagaResult

ONCE = Retry(max_attempts=2, initial=0.01)


@dataclass
class Shop:
    """What the services hold. A key that comes again has no second effect, as services should have it."""

    charges: Counter[str] = field(default_factory=Counter)
    stock: int = 10
    reserved: Counter[str] = field(default_factory=Counter)
    shipped: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def first(self) -> bool:
        """Whether this idempotency key is new."""
        key = step_context().idempotency_key
        new = key not in self.keys
        self.keys.add(key)
        return new


shop = Shop()
numbers = itertools.count()


def fresh() -> Shop:
    shop.__init__()  # type: ignore[misc]  # made anew in place: the steps know it by its name
    return shop


def whole_or_undone(world: Shop, result: SagaResult) -> None:
    """The invariant of an order: all of it, or nothing of it, and money at most once."""
    assert max(world.charges.values(), default=0) <= 1, f"charged {max(world.charges.values())} times"
    assert min(world.charges.values(), default=0) >= 0, "refunded more than was charged"
    done = result.status == "completed"
    assert sum(world.charges.values()) == done, f"charged {sum(world.charges.values())} for an order that is {result.status}"
    assert sum(world.reserved.values()) == done, f"{sum(world.reserved.values())} reserved, order is {result.status}"
    assert world.stock == 10 - done, f"stock is {world.stock}, order is {result.status}"
    if not done:
        assert not world.shipped or world.log[-1] == "recalled", "shipped and not recalled"


@step(retry=ONCE)
def reserve(order: str) -> str:
    if shop.first():
        shop.stock -= 1
        shop.reserved[order] += 1
    return order


@reserve.compensation
def release(order: str) -> None:
    if shop.first() and shop.reserved[order]:
        shop.stock += 1
        shop.reserved[order] -= 1


@step(retry=ONCE)
def charge(order: str) -> str:
    if shop.first():
        shop.charges[order] += 1
    return f"receipt {order}"


@charge.compensation
def refund(order: str) -> None:
    if shop.first() and shop.charges[order]:
        shop.charges[order] -= 1


@step(retry=ONCE)
def ship(order: str) -> None:
    if shop.first():
        shop.shipped.append(order)


@ship.compensation
def recall(order: str) -> None:
    shop.log.append("recalled")


@step(retry=ONCE)
def charge_without_undo(order: str) -> None:
    if shop.first():
        shop.charges[order] += 1


@step(retry=ONCE)
def charge_without_key(order: str) -> None:
    shop.charges[order] += 1


@charge_without_key.compensation
def refund_all(order: str) -> None:
    shop.charges[order] = 0


@step(retry=ONCE)
def charge_undone_twice(order: str) -> None:
    if shop.first():
        shop.charges[order] += 1


@charge_undone_twice.compensation
def refund_without_key(order: str) -> None:
    shop.charges[order] -= 1


@step(retry=ONCE)
def charge_trusting(order: str) -> str:
    if shop.first():
        shop.charges[order] += 1
    return "receipt"


@charge_trusting.compensation
def refund_if_it_returned(order: str, result: str | None) -> None:
    if result is not None and shop.first():
        shop.charges[order] -= 1


@step(retry=ONCE)
def charge_lying(order: str) -> None:
    if shop.first():
        shop.charges[order] += 1
    if order == "refused":
        raise NotApplied("the card was declined, they say")


@charge_lying.compensation
def refund_lying(order: str) -> None:
    if shop.first():
        shop.charges[order] -= 1


@step(retry=ONCE)
def take_from_stock(order: str) -> int:
    shop.stock -= 1
    shop.reserved[order] += 1
    return shop.stock + 1


@take_from_stock.compensation
def put_stock_back(order: str, result: int | None) -> None:
    if result is not None:
        shop.stock = result
        shop.reserved[order] = 0


@saga
async def right(order: str) -> str:
    await reserve(order)
    receipt = await charge(order)
    await ship(order)
    return receipt


@saga
async def forgotten_compensation(order: str) -> None:
    await reserve(order)
    await charge_without_undo(order)
    await ship(order)


@saga
async def step_that_ignores_its_key(order: str) -> None:
    await reserve(order)
    await charge_without_key(order)
    await ship(order)


@saga
async def compensation_not_idempotent(order: str) -> None:
    await reserve(order)
    await charge_undone_twice(order)
    await ship(order)


@saga
async def compensation_that_needs_the_result(order: str) -> None:
    await reserve(order)
    await charge_trusting(order)
    await ship(order)


@saga
async def says_not_applied_after_the_effect(order: str) -> None:
    await reserve(order)
    await charge_lying(order)


@saga
async def effect_outside_a_step(order: str) -> None:
    await reserve(order)
    shop.charges[order] += 1
    on_failure(refund, order)
    await ship(order)


@saga
async def registers_the_undo_too_late(order: str) -> None:
    await reserve(order)
    await charge_without_undo(order)
    on_failure(refund, order)
    await ship(order)


@saga
async def pivot_too_early(order: str) -> None:
    await reserve(order)
    pivot()
    await charge(order)
    raise ValueError("the address is wrong")


@saga
async def swallows_the_failure(order: str) -> None:
    await reserve(order)
    try:
        await charge(order)
    except Exception:
        shop.log.append("never mind")
    await ship(order)


@saga
async def asks_the_machine(order: str) -> None:
    await reserve(order)
    if next(numbers) % 2:
        await charge(order)
    else:
        await ship(order)


@saga
async def restores_a_snapshot(order: str) -> None:
    await take_from_stock(order)
    await charge(order)


@saga
async def scope_that_hides_the_failure(order: str) -> None:
    await reserve(order)
    try:
        async with scope("payment"):
            await charge(order)
            await ship(order)
    except Exception:
        return


def recall_on_account(context: dict[str, str]) -> None:
    """The courier brings goods back only while the order is paid for."""
    if shop.charges[context["order"]] or not shop.shipped:
        shop.log.append("recalled")
    else:
        shop.log.append("the courier was not paid")


class WrongOrder(Saga):
    name = "wrong_order"

    def define(self) -> list[SagaStep]:
        return [
            Step("reserve", self.reserve, self.release, retry=ONCE),
            Step("charge", self.charge, self.refund, retry=ONCE),
            Step("ship", self.ship, recall_on_account, retry=ONCE),
        ]

    def compensation_order(self) -> list[str]:
        return ["charge", "ship", "reserve"]

    async def reserve(self, context: dict[str, str]) -> None:
        reserve.definition.function(context["order"])

    async def release(self, context: dict[str, str]) -> None:
        release(context["order"])

    async def charge(self, context: dict[str, str]) -> None:
        charge.definition.function(context["order"])

    async def refund(self, context: dict[str, str]) -> None:
        refund(context["order"])

    async def ship(self, context: dict[str, str]) -> None:
        ship.definition.function(context["order"])


@saga
async def undone_at_the_same_time(order: str) -> None:
    await asyncio.gather(reserve(order), charge(order))
    await ship(order)


FAULTY: dict[str, tuple[Any, Any, str]] = {
    "forgotten compensation": (forgotten_compensation, "order", "charge_without_undo .* after its effect happened"),
    "step that ignores its key": (step_that_ignores_its_key, "order", "charge_without_key .* the worker dies"),
    "compensation not idempotent": (compensation_not_idempotent, "order", "refunded more than was charged"),
    "compensation that needs the result": (compensation_that_needs_the_result, "order", "after its effect happened"),
    "says NotApplied after the effect": (says_not_applied_after_the_effect, "refused", "nothing goes wrong"),
    "effect outside a step": (effect_outside_a_step, "order", "it has an effect outside a step"),
    "undo registered too late": (registers_the_undo_too_late, "order", "charge_without_undo .* after its effect happened"),
    "pivot too early": (pivot_too_early, "order", "the saga ended as held"),
    "swallowed failure": (swallows_the_failure, "order", "charge .* fails for good, before it does anything"),
    "asks the machine": (asks_the_machine, "order", "NonDeterminism"),
    "restores a snapshot": (restores_a_snapshot, "order", "take_from_stock .* after its effect happened"),
    "scope that hides the failure": (scope_that_hides_the_failure, "order", "for an order that is completed"),
    "wrong order": (WrongOrder, {"order": "order"}, "undo refund, undo recall_on_account"),
}
"""What is wrong, the saga, its argument, and what the report must say."""
