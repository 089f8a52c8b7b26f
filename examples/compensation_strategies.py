"""Compensations at once, at the end, or under a condition, in an order of one's own (C2 to C5).

python -m examples.compensation_strategies
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from durable_saga import Retry, Saga, SagaStep, Step
from examples.play import playing, tell
from examples.shop import Refused

Context = dict[str, Any]


class AdvancedCompensation(Saga):
    name = "advanced_compensation"
    retry = Retry(max_attempts=1)

    def define(self) -> list[SagaStep]:
        return [
            Step("step1", self.act, compensation=self.undo("step1"), compensation_strategy="immediate"),
            Step("step2", self.act, compensation=self.undo("step2"), compensation_strategy="deferred"),
            Step(
                "step3", self.act, compensation=self.undo("step3"), compensation_strategy="conditional",
                compensation_when=lambda context, error: error.code == "BUSINESS_RULE_VIOLATION",
            ),
            Step("step4", self.decide),
        ]  # fmt: skip

    def compensation_order(self) -> Sequence[str]:
        return ["step3", "step1", "step2"]

    async def act(self, context: Context) -> None: ...

    async def decide(self, context: Context) -> None:
        raise Refused("no", context["code"])

    def undo(self, name: str) -> Any:
        async def compensation(context: Context) -> None:
            print(f"  undo {name}")

        return compensation


async def main() -> None:
    async with playing(AdvancedCompensation) as client:
        for code in ("BUSINESS_RULE_VIOLATION", "OTHER"):
            await tell(await client.start(AdvancedCompensation, {"code": code}, id=code))


if __name__ == "__main__":
    asyncio.run(main())
