"""Types that a signature may name, made at random, each with values of it."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime as dt
import enum
import fractions
import ipaddress
import itertools
import pathlib
import typing
import zoneinfo
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import attrs
import pydantic
from hypothesis import strategies as st

T = TypeVar("T")
Made = tuple[Any, st.SearchStrategy[Any]]
_numbers = itertools.count()


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Size(enum.IntEnum):
    SMALL = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class OrderId(str):
    pass


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]
    first: T | None = None


@dataclasses.dataclass(frozen=True)
class Card:
    number: str


@dataclasses.dataclass(frozen=True)
class Iban:
    number: str


@dataclasses.dataclass
class Tree:
    value: int
    children: list[Tree] = dataclasses.field(default_factory=list)
    parent: Optional[Tree] = None  # noqa: UP045  the old way to write it


@dataclasses.dataclass
class Doubled:
    """Its own code runs again when it is made again."""

    number: int
    twice: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.number += 1
        self.twice = 2 * self.number


class Point(NamedTuple):
    x: int
    colour: Colour


CustomerId = NewType("CustomerId", str)
_trees = st.recursive(st.builds(Tree, st.integers()), lambda inner: st.builds(Tree, st.integers(), st.lists(inner, max_size=2)))
_zones = st.sampled_from([zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("UTC"), dt.UTC, None])

hashable: list[Made] = [
    (str, st.text()), (int, st.integers()), (bool, st.booleans()), (bytes, st.binary()), (dt.date, st.dates()),
    (Colour, st.sampled_from(Colour)), (Size, st.sampled_from(Size)), (OrderId, st.text().map(OrderId)),
    (Card, st.builds(Card, st.text())), (Iban, st.builds(Iban, st.text())), (CustomerId, st.text()),
    (Literal["a", 1, None], st.sampled_from(["a", 1, None])), (Right, st.sampled_from([Right.READ, Right.READ | Right.WRITE])),
    (Point, st.builds(Point, st.integers(), st.sampled_from(Colour))), (pathlib.Path, st.just(pathlib.Path("/a/b"))),
    (ipaddress.IPv4Address, st.ip_addresses(v=4)), (fractions.Fraction, st.fractions()),
]  # fmt: skip
leaves: list[Made] = [
    *hashable, (float, st.floats(allow_nan=False)), (type(None), st.none()), (dt.timedelta, st.timedeltas()),
    (dt.datetime, st.datetimes(timezones=_zones, allow_imaginary=False)), (dt.time, st.times(timezones=_zones)),
    (complex, st.complex_numbers(allow_nan=False)), (Tree, _trees), (Doubled, st.builds(Doubled, st.integers())),
    (bytearray, st.binary().map(bytearray)), (range, st.just(range(1, 9, 2))), (Any, st.lists(st.integers() | st.text())),
    (pydantic.SecretStr, st.text().map(pydantic.SecretStr)),
]  # fmt: skip


def of(kind: Any, *arguments: Any) -> Any:
    """`kind[arguments]`, which a type checker does not want to see with variables."""
    return kind[arguments]


def _list(one: Made) -> Made:
    return of(list, one[0]), st.lists(one[1], max_size=3)


def _tuple(one: Made, other: Made) -> Made:
    return of(tuple, one[0], other[0]), st.tuples(one[1], other[1])


def _many(one: Made) -> Made:
    return of(tuple, one[0], ...), st.lists(one[1], max_size=3).map(tuple)


def _union(one: Made, other: Made) -> Made:
    return one[0] | other[0] if isinstance(one[0], type) else of(typing.Union, one[0], other[0]), one[1] | other[1]


def _sequence(one: Made) -> Made:
    values = st.lists(one[1], max_size=3)
    return of(collections.abc.Sequence, one[0]), values | values.map(tuple)


def _deque(one: Made) -> Made:
    return of(collections.deque, one[0]), st.lists(one[1], max_size=3).map(collections.deque)


def _page(one: Made) -> Made:
    return of(Page, one[0]), st.builds(Page, st.lists(one[1], max_size=2), st.none() | one[1])


def _annotated(one: Made) -> Made:
    return of(Annotated, one[0], "a word"), one[1]


def _dataclass(one: Made, other: Made) -> Made:
    kind = dataclasses.make_dataclass(f"Made{next(_numbers)}", [("one", one[0]), ("other", other[0])])
    return kind, st.builds(kind, one[1], other[1])


def _attrs(one: Made, other: Made) -> Made:
    fields = {"one": attrs.field(type=one[0]), "_other": attrs.field(type=other[0])}
    kind = attrs.make_class(f"Made{next(_numbers)}", fields)
    return kind, st.builds(kind, one[1], other[1])


def _model(one: Made, other: Made) -> Made:
    alias, anything = pydantic.Field(alias="theOther"), pydantic.ConfigDict(arbitrary_types_allowed=True)
    fields: Any = {"one": (one[0], ...), "other": (of(Annotated, other[0], alias), ...)}
    kind: Any = pydantic.create_model(f"Made{next(_numbers)}", __config__=anything, **fields)
    return kind, st.builds(lambda first, second: kind.model_construct(one=first, theOther=second), one[1], other[1])


def _dict(key: Made, one: Made) -> Made:
    return of(dict, key[0], one[0]), st.dictionaries(key[1], one[1], max_size=3)


def _mapping(key: Made, one: Made) -> Made:
    values = st.dictionaries(key[1], one[1], max_size=3)
    return of(collections.abc.Mapping, key[0], one[0]), values | values.map(collections.OrderedDict)


def _set(key: Made) -> Made:
    return of(set, key[0]), st.sets(key[1], max_size=3)


def _frozenset(key: Made) -> Made:
    return of(frozenset, key[0]), st.frozensets(key[1], max_size=3)


keys = st.sampled_from(hashable)


def _wider(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    return st.one_of(
        *(st.builds(make, inner) for make in (_list, _many, _sequence, _deque, _page, _annotated)),
        *(st.builds(make, inner, inner) for make in (_tuple, _union, _union, _dataclass, _attrs, _model)),
        *(st.builds(make, keys, inner) for make in (_dict, _mapping)),
        *(st.builds(make, keys) for make in (_set, _frozenset)),
    )


made_types = st.recursive(st.sampled_from(leaves), _wider, max_leaves=5)


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[Any, Any]:
    """An annotation, and a value that it allows."""
    annotation, values = draw(made_types)
    return annotation, draw(values)


def alike(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple | collections.deque):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(alike, one, other)) and all(map(alike, one.values(), other.values()))
    if isinstance(one, set | frozenset):
        return bool(one == other) and sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, pydantic.SecretStr):
        return bool(one.get_secret_value() == other.get_secret_value())
    names = _field_names(one)
    return all(alike(getattr(one, name), getattr(other, name)) for name in names) if names else bool(one == other)


def _field_names(value: Any) -> list[str]:
    if dataclasses.is_dataclass(value):
        return [one.name for one in dataclasses.fields(value)]
    if isinstance(value, pydantic.BaseModel):
        return list(type(value).model_fields)
    return [one.name for one in getattr(value, "__attrs_attrs__", ())]
