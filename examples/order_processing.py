"""A saga as a table of steps, each with what undoes it (D1 to D3, C6).

python -m examples.order_processing
"""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga import Retry, Saga, SagaStep, Step
from examples.play import playing, tell
from examples.shop import Refused, inventory_service, order_service, payment_service

Context = dict[str, Any]
ORDER: Context = {
    "order_id": "12345",
    "order_total": 109.97,
    "payment_info": {"card_token": "tok_123456"},
    "order_items": [{"product_id": "prod_1", "quantity": 2}, {"product_id": "prod_2", "quantity": 1}],
}


class OrderProcessing(Saga):
    name = "order_processing"
    retry = Retry(max_attempts=4, backoff="exponential", initial=0.1, non_retryable=(Refused,))

    def define(self) -> list[SagaStep]:
        return [
            Step("validate_payment", self.validate_payment, compensation=self.release_payment, timeout=30),
            Step("reserve_inventory", self.reserve_inventory, compensation=self.unreserve_inventory, timeout=15),
            Step("create_order", self.create_order, compensation=self.cancel_order, timeout=10),
            Step("charge_payment", self.charge_payment, compensation=self.refund_payment, timeout=30),
            Step("update_inventory", self.update_inventory, compensation=self.restore_inventory, timeout=10),
        ]

    async def validate_payment(self, context: Context) -> str:
        card = context["payment_info"]["card_token"]
        return await payment_service.validate(context["order_id"], card, context["order_total"])

    async def release_payment(self, context: Context) -> None:
        await payment_service.release(context["order_id"])

    async def reserve_inventory(self, context: Context) -> list[str]:
        for item in context["order_items"]:
            await inventory_service.reserve(context["order_id"], item["product_id"], item["quantity"])
        return [item["product_id"] for item in context["order_items"]]

    async def unreserve_inventory(self, context: Context, result: list[str] | None) -> None:
        """`result` is None when the step never answered: what it did all the same, its service knows."""
        products = result if result is not None else await inventory_service.reservations(context["order_id"])
        for product in products:
            await inventory_service.unreserve(context["order_id"], product)

    async def create_order(self, context: Context) -> str:
        return await order_service.create(context["order_id"])

    async def cancel_order(self, context: Context) -> None:
        await order_service.cancel(context["order_id"])

    async def charge_payment(self, context: Context, results: dict[str, Any]) -> str:
        return await payment_service.charge(context["order_id"], context["order_total"])

    async def refund_payment(self, context: Context) -> None:
        await payment_service.refund(context["order_id"])

    async def update_inventory(self, context: Context) -> None:
        await inventory_service.take(context["order_id"])

    async def restore_inventory(self, context: Context) -> None:
        await inventory_service.restore(context["order_id"])


async def main() -> None:
    async with playing(OrderProcessing) as client:
        await tell(await client.start(OrderProcessing, ORDER, id="order-1"))
        gone = {
            **ORDER,
            "order_id": "12346",
            "order_items": [*ORDER["order_items"], {"product_id": "prod_gone", "quantity": 1}],
        }
        await tell(await client.start(OrderProcessing, gone, id="order-2"))


if __name__ == "__main__":
    asyncio.run(main())
