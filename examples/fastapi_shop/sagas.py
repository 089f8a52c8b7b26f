"""The saga of the service: it reserves, waits for the payment that a webhook tells of, and ships."""

from __future__ import annotations

from pydantic import BaseModel, Field

from durable_saga import Retry, event, saga, step


class Order(BaseModel):
    item: str
    amount: int = Field(gt=0)


@step(timeout=10)
async def reserve(item: str) -> str:
    return f"reservation of {item}"  # call your service here


@reserve.compensation
async def release(item: str, result: str | None) -> None:
    print("release", result or item)


@step(timeout=10, retry=Retry(max_attempts=2, initial=0.1))
async def ship(item: str, payment: str) -> str:
    if item == "unicorn":
        raise ValueError("nobody ships unicorns")
    return f"{item}, paid by {payment}"


@saga
async def place_order(order: Order) -> str:
    await reserve(order.item)
    payment: str = await event("paid", timeout=3600, type=str)
    return await ship(order.item, payment)
