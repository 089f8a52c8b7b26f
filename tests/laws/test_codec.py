"""The codec's laws: what goes in comes out, equal values give equal bytes, and an error names the place."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import uuid
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgpack
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_saga import codec
from durable_saga.errors import DecodeError, LimitExceeded, NotSerializable
from tests.hypothesis_profile import examples

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)), st.dates(), st.times(), st.timedeltas(), st.uuids(),
    st.decimals(allow_nan=False),
)  # fmt: skip
hashables = st.one_of(st.integers(), st.text(), st.dates(), st.uuids(), st.tuples(st.integers(), st.text()))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(hashables, inner, max_size=4), st.sets(hashables, max_size=4),
        st.lists(inner, max_size=3).map(tuple), st.frozensets(hashables, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Address(TypedDict):
    street: str


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal
    tags: set[str]
    colour: Colour | None = None


@attrs.define
class Box:
    items: list[Item]
    _secret: int = 0


class Basket(pydantic.BaseModel):
    box: str
    count: int = 1
    when: dt.datetime | None = None


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    items: tuple[Item, ...]
    by_name: dict[str, Item]
    kind: Literal["a", "b"]
    place: Annotated[Point, "where"]
    address: Address


@settings(max_examples=examples(100))
@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    found = codec.decode(codec.encode(value, where="v"))
    assert found == value
    assert type(found) is type(value)


@settings(max_examples=examples(100))
@given(st.sets(hashables, max_size=8))
def test_equal_sets_give_equal_bytes(value: set[Any]) -> None:
    other_way_round = set(sorted(value, key=repr, reverse=True))  # noqa: C414  another order of insertion
    assert codec.encode(value, where="v") == codec.encode(other_way_round, where="v")


def item() -> Item:
    return Item("lamp", decimal.Decimal("1.50"), {"a", "b"}, Colour.RED)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (item(), Item),
        (Box([item()], secret=3), Box),
        (Basket(box="b", when=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)), Basket),
        (Order(uuid.UUID(int=1), (item(),), {"x": item()}, "a", Point(1, 2), {"street": "s"}), Order),
        ([item(), None], list[Item | None]),
        ({Colour.RED: 1}, dict[Colour, int]),
    ],
)  # fmt: skip
def test_models_are_rebuilt_from_the_annotation(value: Any, annotation: Any) -> None:
    found = codec.decode(codec.encode(value, where="v"), annotation)
    assert found == value


def test_an_unknown_type_is_named_with_the_path_to_it() -> None:
    with pytest.raises(NotSerializable, match=r"result\[1\]\['file'\] is of type builtins.object"):
        codec.encode([1, {"file": object()}], where="result")


def test_a_value_that_contains_itself_and_one_that_is_too_large_are_errors() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotSerializable, match="contain itself"):
        codec.encode(loop, where="v")
    with pytest.raises(LimitExceeded, match="PAYLOAD_BYTES_MAX"):
        codec.encode(b"x" * (codec.PAYLOAD_BYTES_MAX + 1), where="v")


def test_bytes_that_are_broken_or_of_another_type_are_decode_errors() -> None:
    with pytest.raises(DecodeError, match="no encoded value"):
        codec.decode(b"\xc1", where="v")
    with pytest.raises(DecodeError, match="newer version"):
        codec.decode(msgpack.packb(msgpack.ExtType(99, b"")))
    with pytest.raises(DecodeError, match=r"v\.price: expected Decimal, found str"):
        codec.decode(codec.encode({"name": "n", "price": "1", "tags": set()}, where="v"), Item, where="v")


def test_the_arguments_of_a_call_are_rebuilt_and_checked() -> None:
    def buy(one: Item, *rest: Item, note: str = "") -> None: ...

    signature = inspect.signature(buy, eval_str=True)
    data = codec.encode_call((item(), item()), {"note": "n"}, where="buy")
    assert codec.decode_call(data, signature) == ([item(), item()], {"note": "n"})
    with pytest.raises(DecodeError, match="do not fit"):
        codec.decode_call(codec.encode_call((), {"other": 1}, where="buy"), signature)
