"""A service that embeds the engine: manager, orchestrator, three kinds of sagas (R1 to R5).

python -m examples.orchestrate
"""

from __future__ import annotations

import asyncio
import pathlib
import tempfile

from durable_saga import Retry, SagaManager, SagaOrchestrator, saga, step
from durable_saga.errors import NotFound
from examples.order_processing import ORDER, OrderProcessing


@step
async def send_welcome(email: str) -> str:
    return f"welcome {email}"


@saga(name="user_onboarding")
async def onboard(email: str) -> str:
    return await send_welcome(email)


@step
async def settle(amount: float) -> float:
    return round(amount * 1.19, 2)


@saga(name="payment_processing")
async def process_payment(amount: float) -> float:
    return await settle(amount)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = f"sqlite:///{pathlib.Path(folder) / 'sagas.db'}"  # or cassandra://hosts/keyspace, with tables="shop_"
        retry = Retry(max_attempts=4, backoff="exponential")
        async with (
            SagaManager(journal, timeout=300, retry=retry) as manager,
            SagaOrchestrator(manager, max_concurrent_sagas=100, heartbeat_interval=30, state_check_interval=60) as orchestrator,
        ):
            for one in (OrderProcessing, onboard, process_payment):
                orchestrator.register(one)
            saga_id = await orchestrator.start("order_processing", ORDER, id="order-12345")
            await orchestrator.result(saga_id)
            found = await orchestrator.get_saga(saga_id)
            print(saga_id, found.status, found.completed_steps)
            print(await orchestrator.result(await orchestrator.start("user_onboarding", "ann@example.org")))
            print(await orchestrator.result(await orchestrator.start("payment_processing", 100.0)))
            try:
                await orchestrator.start("order_procesing", ORDER)
            except NotFound as error:
                print(error)


if __name__ == "__main__":
    asyncio.run(main())
