"""Steps that run only under a condition (D6): a skipped one stands in the journal as skipped and is never undone.

python -m examples.conditional_discount
"""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga import Saga, SagaStep, Step
from examples.play import playing

Context = dict[str, Any]


class Discount(Saga):
    name = "discount"

    def define(self) -> list[SagaStep]:
        return [
            Step("check_customer_tier", self.check_customer_tier),
            Step(
                "apply_premium_discount", self.apply_premium, compensation=self.remove_discount,
                condition=lambda context, results: results["check_customer_tier"]["tier"] == "premium",
            ),
            Step(
                "apply_standard_discount", self.apply_standard, compensation=self.remove_discount,
                condition=lambda context, results: results["check_customer_tier"]["tier"] == "standard",
            ),
        ]  # fmt: skip

    async def check_customer_tier(self, context: Context) -> dict[str, str]:
        return {"tier": "premium" if context["customer_id"].startswith("vip") else "standard"}

    async def apply_premium(self, context: Context) -> int:
        return 20

    async def apply_standard(self, context: Context) -> int:
        return 5

    async def remove_discount(self, context: Context) -> None: ...


async def main() -> None:
    async with playing(Discount) as client:
        for customer in ("vip_1", "cust_789"):
            handle = await client.start(Discount, {"customer_id": customer}, id=customer)
            print(customer, await handle.result(), "skipped", (await handle.overview()).skipped_steps)


if __name__ == "__main__":
    asyncio.run(main())
