"""Steps side by side, and one that depends on all of them (D4, D5). One that fails cancels and undoes the group.

python -m examples.parallel_order
"""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga import Parallel, Retry, Saga, SagaStep, Step
from examples.play import playing, tell
from examples.shop import Refused, inventory_service, order_service, payment_service

Context = dict[str, Any]
ONCE = Retry(max_attempts=1)


class ParallelOrderProcessing(Saga):
    name = "parallel_order_processing"
    retry = ONCE

    def define(self) -> list[SagaStep]:
        return [
            Step("validate_customer", self.validate_customer, compensation=self.invalidate_customer),
            Parallel(
                "parallel_processing",
                [
                    Step("process_payment", self.process_payment, compensation=self.refund_payment),
                    Step("reserve_inventory", self.reserve_inventory, compensation=self.unreserve_inventory),
                    Step("calculate_shipping", self.calculate_shipping, compensation=self.cancel_shipping),
                ],
            ),
            Step("create_order", self.create_order, compensation=self.cancel_order, depends_on=["parallel_processing"]),
        ]

    async def validate_customer(self, context: Context) -> str:
        return f"customer of {context['order_id']}"

    async def invalidate_customer(self, context: Context) -> None: ...

    async def process_payment(self, context: Context) -> str:
        return await payment_service.charge(context["order_id"], context["total"])

    async def refund_payment(self, context: Context) -> None:
        await payment_service.refund(context["order_id"])

    async def reserve_inventory(self, context: Context) -> str:
        await asyncio.sleep(0.1)  # so that the payment is through when this fails
        return await inventory_service.reserve(context["order_id"], context["product"], 1)

    async def unreserve_inventory(self, context: Context) -> None:
        await inventory_service.unreserve(context["order_id"], context["product"])

    async def calculate_shipping(self, context: Context) -> float:
        return 4.90

    async def cancel_shipping(self, context: Context) -> None: ...

    async def create_order(self, context: Context, results: dict[str, Any]) -> str:
        if results["calculate_shipping"] > context.get("shipping_max", 10):
            raise Refused("shipping is too dear")
        return await order_service.create(context["order_id"])

    async def cancel_order(self, context: Context) -> None:
        await order_service.cancel(context["order_id"])


async def main() -> None:
    good = {"order_id": "1", "total": 20.0, "product": "prod_1"}
    async with playing(ParallelOrderProcessing) as client:
        await tell(await client.start(ParallelOrderProcessing, good, id="whole"))
        await tell(await client.start(ParallelOrderProcessing, {**good, "order_id": "2", "product": "prod_gone"}, id="undone"))


if __name__ == "__main__":
    asyncio.run(main())
