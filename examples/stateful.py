"""State that outlives a crash, and a hook around every step (D7, D8).

python -m examples.stateful
"""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga import Retry, Saga, SagaState, SagaStep, Step
from examples.play import playing, tell
from examples.shop import Refused

Context = dict[str, Any]


class Import(Saga):
    """Tries each file up to three times, with its own count in the saga's state."""

    name = "import"

    def define(self) -> list[SagaStep]:
        return [
            Step("fetch", self.fetch, retry=Retry(max_attempts=1)),
            Step("load", self.load, compensation=self.unload, retry=Retry(max_attempts=1)),
        ]

    async def execute_step(self, name: str, context: Context, state: SagaState) -> Any:
        for _ in range(3):
            if state.get("attempts", 0) >= 3:
                break
            try:
                return await super().execute_step(name, context, state)
            except Refused as error:
                print(f"  {name}: attempt {state.get('attempts')} failed: {error}")
        raise Refused(f"{name}: maximum attempts exceeded, after {state.get('last_successful_step')}")

    async def fetch(self, context: Context) -> list[int]:
        return list(range(context["rows"]))

    async def load(self, context: Context, results: dict[str, Any]) -> int:
        if context["bad"]:
            raise Refused("the table is locked")
        return len(results["fetch"])

    async def unload(self, context: Context) -> None: ...


async def main() -> None:
    async with playing(Import) as client:
        for name, bad in (("good", False), ("bad", True)):
            handle = await client.start(Import, {"rows": 3, "bad": bad}, id=name)
            await tell(handle)
            print("  state, read from outside:", await handle.state())


if __name__ == "__main__":
    asyncio.run(main())
