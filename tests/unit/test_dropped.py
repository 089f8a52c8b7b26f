"""`durable-saga check` finds calls whose coroutine is dropped, and reads what decides in tables and compensations."""

from __future__ import annotations

import pathlib

from durable_saga.authoring.check import Finding, check_paths

STEPS = """
from durable_saga import saga, step

@step
def reserve(order): ...

@step(retry=None)
async def charge(order): ...

@saga
async def child(order): ...

def plain(order): ...
"""


def found_in(folder: pathlib.Path, code: str) -> list[Finding]:
    (folder / "shop").mkdir(exist_ok=True)
    (folder / "shop" / "__init__.py").write_text("")
    (folder / "shop" / "steps.py").write_text(STEPS)
    (folder / "orders.py").write_text(code)
    return check_paths([folder])


def lines(found: list[Finding], code: str) -> list[int]:
    assert all(one.path.name == "orders.py" for one in found)
    return sorted({one.line for one in found if one.code == code})


def marked(code: str, mark: str) -> list[int]:
    """The lines that say so."""
    return [number for number, line in enumerate(code.splitlines(), 1) if line.endswith(f"# {mark}")]


FUNCTIONS = """
import asyncio
import shop.steps
import durable_saga as ds
from durable_saga import event, saga, scope, signal, sleep, step
from shop import steps
from shop.steps import charge, child, plain, reserve as take

@step
async def ship(order): ...

@saga
async def order(order, flag):
    take(order)  # DS020
    await take(order)
    charge(order) if flag else ship(order)  # DS020
    flag and charge(order)  # DS020
    unused = charge(order)  # DS020
    other: object = charge(order)  # DS020
    used = charge(order)
    await asyncio.gather(used, ship(order))
    tasks = [ship(order) for _ in range(3)]
    await asyncio.gather(*tasks)
    child(order)  # DS020
    plain(order)
    sleep(5)  # DS020
    asyncio.sleep(5)  # DS020
    ds.sleep(5)  # DS020
    event("x")  # DS020
    signal("x")  # DS020
    scope("x")  # DS020
    async with scope("y"):
        shop.steps.reserve(order)  # DS020
    steps.reserve(order)  # DS020

    async def later():
        ship(order)  # DS020

    later_too = lambda: ship(order)
    await asyncio.gather(later(), later_too())
    return ship(order)  # DS020

def helper(order):
    charge(order)  # DS020
    return charge(order)

@order.signal
async def go(what):
    helper(what)
    ship(what)  # DS020

@step
async def calls_a_step(order):
    charge(order)

async def not_a_saga(order):
    charge(order)

@saga
async def shadows(charge):
    charge(1)
"""

TABLE = """
from datetime import datetime
from durable_saga import Saga, Step, compensation

def late(context, error):
    return datetime.now()  # DS001

class Orders(Saga):
    name = "orders"

    def define(self):
        return [
            Step("a", self.act, condition=lambda context, results: datetime.now() > context),  # DS001
            Step("b", self.act, self.undo, compensation_when=late),
        ]

    def act(self, context):
        datetime.now()

    async def execute_step(self, name, context, state):
        datetime.now()  # DS001
        super().execute_step(name, context, state)  # DS020
        return await super().execute_step(name, context, state)

@compensation(when=lambda error: open("x"))  # DS004
def undo(order):
    datetime.now()

sorted([], key=lambda one: datetime.now())
"""


def test_calls_whose_coroutine_is_dropped_are_found_with_line_and_advice(tmp_path: pathlib.Path) -> None:
    found = found_in(tmp_path, FUNCTIONS)
    assert lines(found, "DS020") == marked(FUNCTIONS, "DS020")
    told = {one.line: one.message for one in found}
    assert told[marked(FUNCTIONS, "DS020")[0]] == "take() does nothing where it stands alone: write `await take(...)`"
    assert "scope() opens nothing where it stands alone: write `async with scope():`" in told.values()
    assert "charge() does nothing where it stands and what it gives is not used: write `await charge(...)`" in told.values()


def test_what_decides_and_what_runs_in_tables_is_read(tmp_path: pathlib.Path) -> None:
    found = found_in(tmp_path, TABLE)
    assert {one.code for one in found} == {"DS001", "DS004", "DS020"}
    for code in ("DS001", "DS004", "DS020"):
        assert lines(found, code) == marked(TABLE, code)
