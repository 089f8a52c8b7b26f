"""A clock or a die that a program keeps somewhere before its first saga runs gives in a replay what it gave before."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, dataclasses, functools, random, time
from asyncio import Future
from datetime import UTC, date, datetime
import datetime as module
from random import Random

from durable_saga import saga
from durable_saga.testing import SagaTestRunner


class Derived(datetime):
    pass


@dataclasses.dataclass
class Stamped:
    made: datetime = dataclasses.field(default_factory=datetime.now)
    at: float = dataclasses.field(default_factory=functools.partial(time.time))


class Shop:
    clock = time.time
    dice = random.random

    def __init__(self):
        self.own = random.random


class Slotted:
    __slots__ = ("clock",)

    def __init__(self):
        self.clock = time.monotonic


def with_default(clock=time.time, *, dice=random.random):
    return clock(), dice()


shop, slotted, listed, mapped, generator = Shop(), Slotted(), [time.time_ns], {"dice": random.getrandbits}, Random(5)
kept_argument = functools.partial(map, random.choice)
kept_now, kept_partial = datetime.now, functools.partial(random.randint, 1, 9**9)
WAYS = {
    "now": lambda: datetime.now(), "now of a zone": lambda: datetime.now(UTC), "now by name": lambda: datetime.now(tz=UTC),
    "now of the module": lambda: module.datetime.now(), "utcnow": lambda: datetime.utcnow(), "kept now": lambda: kept_now(UTC),
    "today": lambda: datetime.today(), "today of date": lambda: date.today(), "derived": lambda: Derived.now(),
    "dataclass": Stamped, "class": lambda: (shop.clock(), Shop.dice(), shop.dice()), "object": lambda: shop.own(),
    "slot": lambda: slotted.clock(), "list": lambda: listed[0](), "dict": lambda: mapped["dice"](64),
    "default": with_default, "partial": lambda: kept_partial(),
    "argument of a partial": lambda: list(kept_argument([range(10**9)])),
    "generator": lambda: (generator.random(), generator.getrandbits(64), generator.choice(range(10**9)), generator.gauss()),
    "future": lambda: (type(Future()).__name__, sorted(map(hash, {Future(), Future()}))),
}
found = []


@saga
async def draws():
    found.append({name: way() for name, way in WAYS.items()})
    await asyncio.sleep(1.5)
    found.append({name: way() for name, way in WAYS.items()})


if FROZEN:
    import gc
    from durable_saga.cli.event_loop import tune
    tune()
    assert gc.get_freeze_count() > 10_000

if ARGUMENT == "saga":
    result = asyncio.run(SagaTestRunner().run(draws))
    assert result.status == "completed", result.error
    (a, b), (c, d) = found[:2], found[2:]
    print([name for name in WAYS if (a[name], b[name]) != (c[name], d[name])], type(a["derived"]).__name__)
else:
    asyncio.run(SagaTestRunner().run(draws))
    moment = datetime.now(UTC).timestamp()
    assert abs(moment - time.time()) < 5 and abs(kept_now().timestamp() - moment) < 5 and abs(with_default()[0] - moment) < 5
    assert datetime.now.__name__ == "now" and datetime.utcnow() <= datetime.utcnow() and Stamped().made <= datetime.now()
    assert type(Derived.now()) is Derived and generator.random() == Random(5).random() and type(shop).dice() != shop.own()
    print(asyncio.run(asyncio.wait_for(asyncio.sleep(0, "asyncio as before"), 1)))
"""


@pytest.mark.parametrize("frozen", [False, True], ids=["", "in a process that is tuned as our commands are"])
@pytest.mark.parametrize(("argument", "says"), [("saga", "[] Derived"), ("outside", "asyncio as before")])
def test_it_is_found_wherever_it_is_kept(argument: str, says: str, frozen: bool, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("ARGUMENT", repr(argument)).replace("FROZEN", repr(frozen)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(program)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == says, done.stderr
