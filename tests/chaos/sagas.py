"""What the storm runs: the orders of the demo, and sagas that collect signals."""

from __future__ import annotations

from durable_saga import saga, signal, step
from examples.demo.orders import place_order

__all__ = ["collect", "place_order"]

SIGNALS = 4


@step
async def weigh(number: int) -> int:
    return number * 2


@saga
async def collect(count: int) -> list[int]:
    """Every signal that was acknowledged, once."""
    found: list[int] = []
    for _ in range(count):
        number = await signal("number", int)
        found.append(await weigh(number))
    return found
