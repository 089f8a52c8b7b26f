"""The static check knows a function under whatever name it was imported."""

from __future__ import annotations

import pathlib

import pytest

from durable_saga.check import check_paths


@pytest.mark.parametrize(
    ("imported", "used", "code"),
    [
        ("from time import sleep as rest", "rest(1)", "DS002"),
        ("from datetime import datetime as dt", "dt.now()", "DS001"),
        ("import datetime as dt", "dt.datetime.utcnow()", "DS001"),
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
        "import random, time\nfrom uuid import uuid4\nfrom durable_saga import saga\n"
        "@saga\nasync def buy():\n    random.expovariate(1), time.monotonic_ns(), uuid4(), random.Random()\n"
    )
    assert check_paths([file]) == []
