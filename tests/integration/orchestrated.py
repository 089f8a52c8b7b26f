"""A service that embeds the engine, as a process of its own that a test kills: python -m tests.integration.orchestrated JOURNAL
NAMESPACE FOLDER. It starts the same sagas in each of its lives, and says "all done" when they have ended."""

from __future__ import annotations

import asyncio
import pathlib
import sys

from durable_saga import Retry, SagaManager, SagaOrchestrator, saga, step, step_context

FOLDER = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else pathlib.Path()
SAGAS = 12
FAILS_EACH = 4
"""Each fourth saga fails and is undone."""
ONCE = Retry(max_attempts=1)
mended = False
"""Set by whoever recovers what is held."""


def mark(what: str) -> None:
    with (FOLDER / "marks").open("a") as file:
        file.write(f"{what} {step_context().idempotency_key}\n")


@step(retry=ONCE)
async def take(number: int) -> None:
    mark("take")
    await asyncio.sleep(0.1)


@take.compensation
async def put_back(number: int) -> None:
    mark("put back")


@step(retry=ONCE)
async def settle(number: int) -> None:
    if number % FAILS_EACH == 0 and not mended:
        raise ValueError(f"{number} is refused")
    mark("settle")


@saga
async def order(number: int) -> int:
    await take(number)
    await settle(number)
    return number


@saga(when_failed="hold")
async def careful(number: int) -> str:
    await take(number)
    await settle(number)
    return "settled"


async def main(journal: str, namespace: str) -> None:
    async with SagaManager(journal, namespace=namespace, strict=False, timeout=300) as manager:
        await manager.initialize()
        async with SagaOrchestrator(manager, max_concurrent_sagas=3) as orchestrator:
            orchestrator.register(order)
            orchestrator.register(careful)
            print("started", flush=True)
            for number in range(SAGAS):
                await orchestrator.start("order", number, id=f"order-{number}")
            for number in range(2):
                await orchestrator.start("careful", number * FAILS_EACH, id=f"careful-{number}")
            for name in [*(f"order-{number}" for number in range(SAGAS)), "careful-0", "careful-1"]:
                while (await orchestrator.get_saga(name)).status in ("running", "compensating"):
                    await asyncio.sleep(0.05)
            print("all done", flush=True)
            await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
