"""A saga that waits a day for an event; its handler may go on or undo (E1 to E3).

python -m examples.approval
"""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga import Client, EventBus, Saga, SagaStep, Step, WaitForEvent
from durable_saga.client.client import Handle
from examples.play import playing, tell

Context = dict[str, Any]


class EventDriven(Saga):
    name = "event_driven_saga"

    def define(self) -> list[SagaStep]:
        return [
            Step("initiate_process", self.initiate, compensation=self.withdraw),
            WaitForEvent("wait_for_approval", event="approval_received", timeout=86_400),
            Step("complete_process", self.complete, depends_on=["wait_for_approval"]),
        ]

    async def initiate(self, context: Context) -> None:
        print(f"  ask for approval of {context['document']}")

    async def withdraw(self, context: Context) -> None:
        print(f"  withdraw {context['document']}")

    async def complete(self, context: Context, results: dict[str, Any]) -> str:
        return f"approved as {results['wait_for_approval']['approval_id']}"

    async def handle_event(self, event: str, data: Any, saga_id: str) -> None:
        if event == "approval_received":
            self.resume("wait_for_approval", data)
        elif event == "approval_rejected":
            self.compensate("the approval was rejected")


async def started(client: Client, name: str) -> Handle[Any]:
    handle = await client.start(EventDriven, {"document": name}, id=name)
    while "initiate_process" not in (await handle.overview()).completed_steps:
        await asyncio.sleep(0.02)
    return handle


async def main() -> None:
    async with playing(EventDriven) as client:
        bus = EventBus(client)
        contract = await started(client, "contract")
        await bus.publish("approval_received", {"saga_id": contract.id, "approval_id": "approval_123", "approved": True})
        print(" ", (await contract.result())["complete_process"])
        await tell(contract)
        lease = await started(client, "lease")
        await bus.publish("approval_rejected", {"saga_id": lease.id})
        await tell(lease)


if __name__ == "__main__":
    asyncio.run(main())
