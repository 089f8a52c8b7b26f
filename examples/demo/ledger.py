"""The oracle: it reads the services' own ledgers and says for each order whether it is whole or wholly undone."""

from __future__ import annotations

import pathlib
import random
import sqlite3
from collections import defaultdict
from collections.abc import Mapping

from examples.demo.orders import STOCK_OUT, Order

SERVICES = ("payment", "inventory", "orders")
ACTIONS = frozenset({"validate", "reserve", "create", "charge", "update"})
DECLINED, LIMITED, OUT_OF_STOCK = 0.10, 0.05, 0.10


def generate(count: int, seed: int) -> list[Order]:
    """Orders, a share of them with a card that fails or an item that is out of stock."""
    dice = random.Random(seed)
    orders = []
    for number in range(count):
        lot = dice.random()
        card = "declined" if lot < DECLINED else "limited" if lot < DECLINED + LIMITED else "good"
        item = STOCK_OUT if dice.random() < OUT_OF_STOCK else dice.choice(["lamp", "chair", "book"])
        orders.append(Order(f"order-{seed}-{number}", item, dice.randint(1, 3), card))
    return orders


def expected(order: Order) -> str:
    return "COMPLETED" if order.card == "good" and order.item != STOCK_OUT else "COMPENSATED"


def judge(folder: pathlib.Path, orders: list[Order], statuses: Mapping[str, str]) -> list[str]:
    """Everything that is wrong, in sentences; empty when every order is whole or wholly undone, as its saga says."""
    done: dict[str, set[str]] = defaultdict(set)
    for service in SERVICES:
        with sqlite3.connect(folder / f"{service}.db") as ledger:
            for order_id, action in ledger.execute("SELECT order_id, action FROM ledger WHERE state = 'done'"):
                if action in done[order_id]:
                    done[order_id].add(f"a second {action}")
                done[order_id].add(action)
    wrong = []
    for order in orders:
        status, effects = statuses.get(order.id, "missing"), done[order.id]
        if status != expected(order):
            wrong.append(f"{order.id} is {status}, expected {expected(order)}")
        if status == "COMPLETED" and effects != ACTIONS:
            wrong.append(f"{order.id} is COMPLETED, but its effects are {sorted(effects)}")
        if status != "COMPLETED" and effects:
            wrong.append(f"{order.id} is {status}, but these effects stand: {sorted(effects)}")
    return wrong


def repeats(folder: pathlib.Path) -> int:
    """Requests that came again with a key that the service knew: retries which the key made harmless."""
    count = 0
    for service in SERVICES:
        with sqlite3.connect(folder / f"{service}.db") as ledger:
            count += ledger.execute("SELECT coalesce(sum(max(calls - 1, 0)), 0) FROM ledger").fetchone()[0]
    return count
