"""Real processes, killed with -9 at seeded random moments; the services' own ledgers are the oracle."""

from __future__ import annotations

import asyncio
import os
import pathlib
import random
import uuid

import pytest

from durable_saga import Client, connect
from durable_saga.errors import SagaError
from examples.demo.ledger import generate, judge
from examples.demo.orders import Order, place_order
from examples.demo.processes import Cell

SEED = int(os.environ.get("KILL_SEED", "11"))
ORDERS = int(os.environ.get("KILL_ORDERS", "120"))
KILLS = 5
AT_ONCE = 12


async def place(client: Client, order: Order, room: asyncio.Semaphore, statuses: dict[str, str]) -> None:
    async with room:
        handle = await client.start(place_order, order, id=order.id)
        try:
            await handle.result(timeout=240)
        except SagaError:
            pass  # undone; its status is read below
        description = await handle.describe()
        statuses[order.id] = description.status.upper()
        outcomes = [step.compensation_state for step in description.steps if step.compensation_state]
        assert set(outcomes) <= {"done"}, description


async def kill_at_random(cell: Cell, dice: random.Random, statuses: dict[str, str]) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.3, 1.5))
        if len(statuses) >= ORDERS:
            return
        victim = dice.choice([*cell.servers, *cell.workers])
        victim.kill()
        await asyncio.sleep(dice.uniform(0, 1))
        await asyncio.to_thread(cell.restart, victim)


async def storm(cell: Cell, orders: list[Order]) -> dict[str, str]:
    statuses: dict[str, str] = {}
    room = asyncio.Semaphore(AT_ONCE)
    async with connect(cell.url) as client:
        killer = kill_at_random(cell, random.Random(SEED), statuses)
        await asyncio.gather(killer, *(place(client, order, room, statuses) for order in orders))
    return statuses


def check(folder: pathlib.Path, journal: str, *, servers: int = 1) -> None:
    cell = Cell(folder, journal, workers=2, servers=servers)
    orders = generate(ORDERS, SEED)
    try:
        cell.start()
        statuses = asyncio.run(storm(cell, orders))
    finally:
        cell.stop()
    wrong = judge(folder, orders, statuses)
    assert not wrong, f"repeat with KILL_SEED={SEED}: {wrong}"


@pytest.mark.kill
@pytest.mark.timeout(300)
def test_every_order_is_whole_or_undone_after_kills_on_sqlite(tmp_path: pathlib.Path) -> None:
    check(tmp_path, f"sqlite:///{tmp_path}/journal.db")


@pytest.mark.kill
@pytest.mark.cassandra
@pytest.mark.timeout(400)
def test_every_order_is_whole_or_undone_after_kills_on_cassandra(tmp_path: pathlib.Path, cassandra: str) -> None:
    check(tmp_path, f"cassandra://{cassandra}/kill_{uuid.uuid4().hex[:8]}?replication_factor=1")


@pytest.mark.kill
@pytest.mark.cassandra
@pytest.mark.timeout(400)
@pytest.mark.parametrize("commits", ["conditional", "log"])
def test_every_order_is_whole_or_undone_after_kills_in_a_cell_of_two_servers(
    tmp_path: pathlib.Path, cassandra: str, commits: str
) -> None:
    keyspace = f"cell_{uuid.uuid4().hex[:8]}"
    check(tmp_path, f"cassandra://{cassandra}/{keyspace}?replication_factor=1&commits={commits}", servers=2)
