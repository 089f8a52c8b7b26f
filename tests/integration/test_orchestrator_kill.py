"""A service that embeds the engine is killed with -9 at seeded moments: no saga is lost or runs twice, held ones stay held."""

from __future__ import annotations

import asyncio
import os
import pathlib
import random
import time

import pytest

from durable_saga import SagaManager, SagaMonitor, SagaOrchestrator
from durable_saga.errors import SagaCompensated
from examples.demo.processes import Process
from tests.integration import orchestrated as o
from tests.integration.stage import CASSANDRA, cassandra_url, new_name

SEED = int(os.environ.get("KILL_SEED", "11"))
KILLS = 4
LISTED_SECONDS = 2.0
LISTED_SECONDS_MAX = 120.0
"""A listing and what is counted from it come a moment later; what was not written then, with the run's next hint."""
SETTLED = [number for number in range(o.SAGAS) if number % o.FAILS_EACH]
UNDONE = [number for number in range(o.SAGAS) if not number % o.FAILS_EACH]


def play_and_kill(folder: pathlib.Path, journal: str, namespace: str) -> None:
    command = ["-m", "tests.integration.orchestrated", journal, namespace, str(folder)]
    service, dice = Process("service", command, folder, "started"), random.Random(SEED)
    for _ in range(KILLS):
        service.start({})
        time.sleep(dice.uniform(0.1, 1.2))
        service.kill()
    last = Process("last", command, folder, "all done")
    try:
        last.start({})
        time.sleep(LISTED_SECONDS)
    finally:
        last.kill()


def marks(folder: pathlib.Path, what: str) -> dict[str, int]:
    """How often each saga did it, by idempotency key: `namespace/saga/run/incarnation/call`."""
    found: dict[str, int] = {}
    for line in (folder / "marks").read_text().splitlines():
        if line.startswith(f"{what} "):
            found.setdefault(line.rpartition(" ")[2], 0)
            found[line.rpartition(" ")[2]] += 1
    return found


def begun(folder: pathlib.Path) -> list[int]:
    """The numbers of the orders, as they took their first step."""
    return [int(key.split("/")[1].removeprefix("order-")) for key in marks(folder, "take") if "/order-" in key]


async def until_listed(monitor: SagaMonitor, told: list[str]) -> None:
    """On Cassandra a process that was killed left rows of the listing unwritten: the next one writes them at the run's hint."""
    failed = sorted([*(f"order-{number}" for number in UNDONE), "careful-0", "careful-1"])
    until = time.monotonic() + LISTED_SECONDS_MAX
    while True:
        await monitor.check()
        statistics = await monitor.statistics()
        found = (statistics.completed, statistics.compensated, statistics.held, sorted(told))
        if found == (wanted := (len(SETTLED), len(UNDONE), 2, failed)):
            return
        assert time.monotonic() < until, f"{found}, not {wanted}"
        await asyncio.sleep(0.5)


async def look(journal: str, namespace: str) -> None:
    async with SagaManager(journal, namespace=namespace, strict=False) as manager:
        for number in SETTLED:
            assert (await manager.get_saga(f"order-{number}")).completed_steps == ["take", "settle"]
        for number in UNDONE:
            found = await manager.get_saga(f"order-{number}")
            assert (found.status, found.compensated_steps) == ("compensated", ["take"])
        monitor, told = SagaMonitor(manager), []
        monitor.on("saga_failed")(lambda saga_id, error: told.append(saga_id))
        async with SagaOrchestrator(manager) as orchestrator:
            orchestrator.register(o.careful)
            await until_listed(monitor, told)
            o.mended = True
            await orchestrator.recover("careful-0")
            assert await orchestrator.result("careful-0", 60) == "settled"
            await orchestrator.compensate("careful-1")
            while (await orchestrator.get_saga("careful-1")).status == "held":
                await asyncio.sleep(0.02)
            with pytest.raises(SagaCompensated):
                await orchestrator.result("careful-1", 60)


@pytest.mark.kill
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", CASSANDRA])
def test_r1_r3_r4_r6_r7_r8_r9_survive_kills_of_the_service(
    kind: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = f"sqlite:///{tmp_path}/orders.db" if kind == "sqlite" else cassandra_url(request.getfixturevalue("cassandra"))
    namespace = new_name()
    play_and_kill(tmp_path, journal, namespace)
    monkeypatch.setattr(o, "FOLDER", tmp_path)
    monkeypatch.setattr(o, "mended", False)
    taken = marks(tmp_path, "take")
    assert len(taken) == o.SAGAS + 2, "each saga took once, under one key however often it was tried"
    if kind == "sqlite":  # on Cassandra another server finds what a dead one left after its lease alone
        assert all(abs(place - number) < 3 for place, number in enumerate(begun(tmp_path))), "at most three at once, in order"
    assert len(marks(tmp_path, "settle")) == len(SETTLED)
    assert len(marks(tmp_path, "put back")) == len(UNDONE)
    asyncio.run(look(journal, namespace))
    assert len(marks(tmp_path, "settle")) == len(SETTLED) + 1
    assert len(marks(tmp_path, "put back")) == len(UNDONE) + 1
