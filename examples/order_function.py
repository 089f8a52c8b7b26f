"""The same order as a function: ordinary async Python (C1, C6).

python -m examples.order_function
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from durable_saga import NotApplied, Retry, on_failure, saga, step
from examples.play import playing, tell
from examples.shop import Refused, inventory_service, order_service, payment_service


@dataclass
class Order:
    id: str
    card: str
    total: float
    items: dict[str, int]


@step(timeout=30)
async def validate_payment(order: Order) -> str:
    try:
        return await payment_service.validate(order.id, order.card, order.total)
    except Refused as error:
        raise NotApplied("the card was refused") from error  # nothing happened: nothing to undo, nothing to try again


@validate_payment.compensation
async def release_payment(order: Order) -> None:
    await payment_service.release(order.id)


@step(timeout=15, retry=Retry(max_attempts=4, initial=0.1, non_retryable=(Refused,)))
async def reserve(order: str, product: str, quantity: int) -> str:
    return await inventory_service.reserve(order, product, quantity)


@reserve.compensation
async def unreserve(order: str, product: str, quantity: int) -> None:
    await inventory_service.unreserve(order, product)


@step(timeout=10)
async def create_order(order: str) -> str:
    return await order_service.create(order)


async def cancel_order(order: str) -> None:
    await order_service.cancel(order)


@step(timeout=30)
async def charge_payment(order: str, amount: float) -> str:
    return await payment_service.charge(order, amount)


@charge_payment.compensation
async def refund_payment(order: str, amount: float, result: str | None) -> None:
    """`result` is what the charge returned, None if it never answered."""
    await payment_service.refund(order)


@saga
async def place_order(order: Order) -> str:
    await validate_payment(order)
    await asyncio.gather(*(reserve(order.id, product, quantity) for product, quantity in order.items.items()))
    on_failure(cancel_order, order.id)
    await create_order(order.id)
    return await charge_payment(order.id, order.total)


async def main() -> None:
    async with playing(place_order) as client:
        await tell(await client.start(place_order, Order("7", "tok_1", 30.0, {"prod_1": 1, "prod_2": 2}), id="good"))
        await tell(await client.start(place_order, Order("8", "tok_1", 30.0, {"prod_1": 1, "prod_gone": 1}), id="gone"))
        await tell(await client.start(place_order, Order("9", "tok_stolen", 30.0, {"prod_1": 1}), id="stolen"))


if __name__ == "__main__":
    asyncio.run(main())
