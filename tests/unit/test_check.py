"""The static check knows a function under whatever name it was imported."""

from __future__ import annotations

import pathlib

import pytest

from durable_saga.authoring.check import check_paths


@pytest.mark.parametrize(
    ("imported", "used", "code"),
    [
        ("from time import sleep as rest", "rest(1)", "DS002"),
        ("from datetime import datetime as dt", "dt.now()", "DS001"),
        ("import datetime as dt", "dt.datetime.today()", "DS001"),
        ("from datetime import date", "date.today()", "DS001"),
        ("from uuid import uuid1", "uuid1()", "DS003"),
        ("from secrets import token_hex", "token_hex()", "DS003"),
        ("import numpy as np", "np.random.rand()", "DS003"),
        ("from asyncio import to_thread", "await to_thread(print)", "DS006"),
        ("from functools import cache", "cached()", "DS009"),
        ("import functools", "cached_too()", "DS009"),
    ],
)
def test_a_finding_does_not_depend_on_the_name(imported: str, used: str, code: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "shop.py"
    helper = "@cache\ndef cached(): ...\n@functools.lru_cache(maxsize=None)\ndef cached_too(): ...\n"
    file.write_text(f"{imported}\nfrom durable_saga import saga\n{helper}@saga\nasync def buy():\n    {used}\n")
    assert [one.code for one in check_paths([file])] == [code]


def test_what_replays_alike_is_no_finding(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(
        "import random, time\nfrom datetime import UTC, datetime\nfrom uuid import uuid4\nfrom durable_saga import saga\n"
        "@saga\nasync def buy():\n    random.expovariate(1), time.monotonic_ns(), uuid4(), random.Random()\n"
        "    datetime.now(UTC), datetime.utcnow()\n"
    )
    assert check_paths([file]) == []


MODULE = """
import collections
import functools
from uuid import uuid4
import pydantic
from pydantic import Field
from datetime import datetime
from durable_saga import saga, step
rooms = {}
guests: list[str] = []
seen = collections.defaultdict(int)
NAMES = {"a", "b"}
LIMIT = 3

class Order(pydantic.BaseModel):
    made: datetime = Field(default_factory=datetime.now)  # DS011
    key: object = pydantic.Field(default_factory=uuid4)  # DS011
    lines: list = Field(default_factory=list)
    late: datetime = Field(default_factory=lambda: datetime.now())

def book(name):
    rooms[name] = 1  # DS010
    del rooms[name]  # DS010
    rooms["a"].guests.append(name)  # DS010
    seen[name] += 1  # DS010

@step
async def acts():
    rooms["x"] = 1
    for name in NAMES:
        print(name)

@saga
async def buy(tags, rooms2):
    book("a")
    guests.append("b")  # DS010
    for name in NAMES:  # DS007
        print(name)
    own = {tag.lower() for tag in tags}
    lines = [one for one in own]  # DS007
    text = ", ".join(own)  # DS007
    both = list(own | NAMES)  # DS007
    await asyncio.gather(*{acts(), acts()})  # DS007
    for number in {1, 2, 3}:
        print(number)
    tasks = {asyncio.create_task(acts()) for _ in tags}
    for task in tasks:
        await task
    fine = [sorted(own), sorted(one for one in own), len(own), sum(len(one) for one in own), {one for one in own}, "a" in own]
    mixed = set(tags)
    mixed = sorted(mixed)
    for name in mixed:
        print(name)
    cache = {}
    cache["a"] = rooms["a"]
    cache.update(rooms)
    return LIMIT

@saga
async def sells(guests):
    guests.append("mine")
    return guests
"""


def test_module_state_and_sets_are_found_and_nothing_else(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(MODULE)
    marked = [(line, code) for line, text in enumerate(MODULE.splitlines(), 1) for code in [text.partition("# ")[2]] if code]
    assert [(one.line, one.code) for one in check_paths([file])] == marked
