"""`make demo`: 200 orders while workers and the server are killed with -9; then the ledgers are asked.

CASSANDRA=1 keeps the journal in a real Cassandra 5, started here, instead of a SQLite file.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import shutil
import sys
import time
from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from durable_saga import Client, connect
from examples.demo.ledger import generate, judge, repeats
from examples.demo.orders import Order, place_order
from examples.demo.processes import ROOT, Cell

ORDERS, SEED, AT_ONCE = 200, 7, 15
FOLDER = ROOT / "var" / "demo"
console = Console()


class Demo:
    """Places the orders, kills what is due, and counts."""

    def __init__(self, cell: Cell, client: Client, progress: Progress, bar: TaskID) -> None:
        self._cell = cell
        self._client = client
        self._progress = progress
        self._bar = bar
        self._room = asyncio.Semaphore(AT_ONCE)
        self.statuses: dict[str, str] = {}

    async def order(self, order: Order) -> None:
        async with self._room:
            handle = await self._client.start(place_order, order, id=order.id)
            try:
                await handle.result(timeout=300)
            except Exception:
                pass  # a saga that was undone raises; its status is read below
            self.statuses[order.id] = (await handle.describe()).status.upper()
            self._progress.update(self._bar, completed=len(self.statuses))

    async def disturb(self) -> None:
        """A worker at a quarter, the server at the half, the other worker at three quarters."""
        cell = self._cell
        for share, victim in ((0.25, cell.workers[0]), (0.5, cell.server), (0.75, cell.workers[1])):
            while len(self.statuses) < share * ORDERS:
                await asyncio.sleep(0.02)
            victim.kill()
            self._progress.console.print(f"kill -9 {victim.name} after {len(self.statuses)} orders")
            await asyncio.sleep(1)
            await asyncio.to_thread(cell.restart, victim)
            self._progress.console.print(f"{victim.name} is back")


async def run(cell: Cell, orders: list[Order]) -> dict[str, str]:
    columns = (TextColumn("orders"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        async with connect(cell.url) as client:
            demo = Demo(cell, client, progress, progress.add_task("orders", total=len(orders)))
            await asyncio.gather(demo.disturb(), *(demo.order(order) for order in orders))
            return demo.statuses


def report(orders: list[Order], statuses: dict[str, str], seconds: float, folder: pathlib.Path) -> int:
    wrong = judge(folder, orders, statuses)
    table = Table("saga status", "orders", box=None, header_style="bold")
    for status, count in sorted(Counter(statuses.values()).items()):
        table.add_row(status, str(count))
    console.print(table)
    console.print(f"{len(orders)} orders in {seconds:.1f} s; {repeats(folder)} requests came twice and had no second effect")
    for sentence in wrong:
        console.print(f"[red]{sentence}[/]")
    if wrong:
        console.print(f"[red]{len(wrong)} of the ledgers' entries are wrong[/]")
        return 1
    console.print("[green]The ledgers agree: every order is whole or wholly undone.[/]")
    return 0


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    journal, node = f"sqlite:///{FOLDER}/journal.db", None
    if os.environ.get("CASSANDRA"):
        from tests.cassandra_node import CassandraNode  # the launcher of the tests

        node = CassandraNode()
        console.print("starting Cassandra (about 15 s; the first time its jars are fetched)")
        node.start()
        journal = f"cassandra://{node.address}/demo_{int(time.time())}?replication_factor=1"
    cell = Cell(FOLDER, journal, workers=2)
    orders = generate(ORDERS, SEED)
    try:
        cell.start()
        console.print(f"journal {journal.partition('?')[0].removeprefix(str(ROOT))}; server {cell.url}; two workers")
        began = time.monotonic()
        statuses = asyncio.run(run(cell, orders))
        return report(orders, statuses, time.monotonic() - began, FOLDER)
    finally:
        cell.stop()
        if node is not None:
            node.stop()


if __name__ == "__main__":
    sys.exit(main())
