"""A large value is decoded in a thread, so that the loop of whoever waits for it goes on."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

import pytest

from durable_saga import codec
from durable_saga.errors import DecodeError

seen: list[int] = []


@dataclasses.dataclass
class Page:
    rows: list[str]

    def __post_init__(self) -> None:
        seen.append(threading.get_ident())


@pytest.mark.parametrize(("rows", "is_aside"), [(10, False), (20_000, True)])
def test_only_a_large_value_is_decoded_in_a_thread(rows: int, is_aside: bool) -> None:
    page = Page([f"row {number}" for number in range(rows)])
    data = codec.encode(page, where="page", annotation=Page)
    seen.clear()
    assert asyncio.run(codec.decode_aside(data, Page)) == page
    assert [one != threading.get_ident() for one in seen] == [is_aside]


def test_what_is_wrong_with_it_is_told_as_elsewhere() -> None:
    data = codec.encode(["a" * 100_000], where="texts")
    with pytest.raises(DecodeError, match=r"result\[0\]"):
        asyncio.run(codec.decode_aside(data, list[int], where="result"))
