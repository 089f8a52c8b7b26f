"""A monitor that recovers what can be recovered and compensates the rest, and statistics (R6 to R9).

python -m examples.monitoring
"""

from __future__ import annotations

import asyncio
import pathlib
import tempfile

from durable_saga import Retry, SagaManager, SagaMonitor, SagaOrchestrator, event, saga, step
from examples.shop import Refused

ONCE = Retry(max_attempts=1)
service = {"up": False}


@step(retry=ONCE)
async def open_account(name: str) -> str:
    print(f"  open account of {name}")
    return name


@open_account.compensation
async def close_account(name: str) -> None:
    print(f"  close account of {name}")


@step(retry=ONCE)
async def print_card(name: str) -> str:
    if not service["up"]:
        raise Refused("the printer is down")
    print(f"  print card of {name}")
    return f"card of {name}"


@saga(when_failed="hold")
async def onboard(name: str) -> str:
    """When it fails it is held for a decision instead of being unwound at once."""
    return await print_card(await open_account(name))


@saga
async def waits_for_signature(name: str) -> None:
    await open_account(name)
    await event("signed", timeout=86_400)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = f"sqlite:///{pathlib.Path(folder) / 'sagas.db'}"
        async with SagaManager(journal) as manager, SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(onboard)
            orchestrator.register(waits_for_signature)
            monitor = SagaMonitor(manager, check_interval=0.2, timeout_threshold=2, failure_threshold=5)

            @monitor.on("saga_timeout")
            async def too_long(saga_id: str) -> None:
                print(f"saga {saga_id} takes too long")
                await orchestrator.compensate(saga_id, "took too long")

            @monitor.on("saga_failed")
            async def failed(saga_id: str, error: str) -> None:
                print(f"saga {saga_id} failed: {error.splitlines()[-1]}")
                found = await manager.get_saga(saga_id)
                if found.can_recover():
                    service["up"] = True
                    await orchestrator.recover(saga_id, "the printer is up again")

            await orchestrator.start("onboard", "ann", id="ann")
            while (await orchestrator.get_saga("ann")).status != "held":
                await asyncio.sleep(0.05)
            async with monitor:
                while (await orchestrator.get_saga("ann")).status != "completed":
                    await asyncio.sleep(0.05)
                await orchestrator.start("waits_for_signature", "bob", id="bob")
                while (await orchestrator.get_saga("bob")).status != "compensated":
                    await asyncio.sleep(0.05)
            found = await monitor.statistics()
            print(f"active {found.active}, completed {found.completed}, compensated {found.compensated}")


if __name__ == "__main__":
    asyncio.run(main())
