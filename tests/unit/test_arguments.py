"""When two starts of one id have the same arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from durable_saga import codec
from durable_saga.client.arguments import SHOWN_CHARACTERS_MAX, are_same, shown


@dataclass
class Order:
    id: str
    lines: dict[str, int] = field(default_factory=dict)


def bound(order: Order, amount: float = 1, *more: int, note: Any = object, **labels: str) -> None: ...


def call(*args: Any, **kwargs: Any) -> bytes:
    return codec.encode_call(args, kwargs, where="test")


SAME = [
    (call(Order("a")), call(order=Order("a"))),
    (call(Order("a")), call({"lines": {}, "id": "a"})),
    (call(Order("a"), 1), call(Order("a"))),
    (call(Order("a"), 1), call(Order("a"), 1.0)),
    (call(Order("a", {"x": 1, "y": 2})), call(Order("a", {"y": 2, "x": 1}))),
    (call(Order("a"), 1, 2, u="1", v="2"), call(Order("a"), 1, 2, v="2", u="1")),
    (call(Order("a"), note={1: {"p": 1, "q": 2}, 2: ()}), call(Order("a"), note={2: (), 1: {"q": 2, "p": 1}})),
    (call(Order("a"), note={("a", 1), ("b", 2)}), call(Order("a"), note={("b", 2), ("a", 1)})),
]
OTHER = [
    (call(Order("a")), call(Order("b"))),
    (call(Order("a")), call(Order("a"), 2)),
    (call(Order("a"), 1), call(Order("a"), 1, 1)),
    (call(Order("a")), call(Order("a"), note=None)),
    (call(Order("a"), note=True), call(Order("a"), note=1)),
    (call(Order("a"), note=(1, 2)), call(Order("a"), note=[1, 2])),
    (call(Order("a"), note=[["k", 1]]), call(Order("a"), note={"k": 1})),
    (call(Order("a")), call("an earlier version took a text")),
    (call(Order("a")), b"\xc1"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_what_the_code_gets_alike_is_the_same(first: bytes, second: bytes) -> None:
    assert are_same(first, second, inspect.signature(bound, eval_str=True))
    assert are_same(second, first, inspect.signature(bound, eval_str=True))


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_what_differs_is_not_the_same(first: bytes, second: bytes) -> None:
    assert not are_same(first, second, inspect.signature(bound, eval_str=True))
    assert not are_same(second, first, inspect.signature(bound, eval_str=True))


def test_without_the_code_only_the_order_of_names_does_not_count() -> None:
    assert are_same(call(1, a=1, b={"x": 1, "y": 2}), call(1, b={"y": 2, "x": 1}, a=1), None)
    assert not are_same(call(1), call(order=1), None)


def test_arguments_are_shown_as_a_call_and_bounded() -> None:
    assert shown(call("order-7", amount=100)) == '("order-7", amount=100)'
    assert len(shown(call("x" * 10_000))) < SHOWN_CHARACTERS_MAX + 40
    broken: list[Callable[[], str]] = [lambda: shown(b"\xc1"), lambda: shown(b""), lambda: shown(codec.encode(7, where="x"))]
    assert all("can't be read" in one() for one in broken)
