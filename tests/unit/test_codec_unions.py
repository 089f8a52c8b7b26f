"""Any two types in a union are told apart, whichever stands first, and so are the members of a Literal."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import inspect
import itertools
import typing
from typing import Any, Literal

import pytest

from durable_saga import codec
from durable_saga.errors import WrongType


class Pair(typing.NamedTuple):
    first: int
    second: int = 2


class Text(enum.StrEnum):
    A = "a"


class Currency(enum.Enum):
    EUR = "EUR"


class Number(enum.IntEnum):
    ONE = 1


class One(enum.Enum):
    X = 1


class Other(enum.Enum):
    X = 1


@dataclasses.dataclass
class Record:
    a: int = 1


class Typed(typing.TypedDict):
    a: int


KINDS: list[tuple[Any, Any]] = [
    (list[int], [1, 2]), (tuple[int, ...], (1, 2)), (set[int], {1, 2}), (frozenset[int], frozenset({1})), (list, [1]),
    (tuple, (1,)), (set, {1}), (dict, {"a": 1}), (Pair, Pair(1)), (collections.deque, collections.deque([1], 5)),
    (collections.deque[int], collections.deque([1])), (tuple[int, int], (1, 2)), (dict[str, int], {"a": 1}),
    (collections.OrderedDict[str, int], collections.OrderedDict(a=1)),
    (collections.defaultdict, collections.defaultdict(int, a=1)), (collections.Counter[str], collections.Counter("aab")),
    (Record, Record(1)), (Typed, {"a": 1}), (str, "a"), (int, 1),
    (Text, Text.A), (Currency, Currency.EUR), (Number, Number.ONE), (One, One.X), (Other, Other.X), (bytes, b"x"),
    (float, 1.5), (bool, True),
]  # fmt: skip


def again(value: Any, annotation: Any) -> Any:
    return codec.decode(codec.encode(value, where="value", annotation=annotation), annotation)


def alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other and getattr(one, "maxlen", 0) == getattr(other, "maxlen", 0)


@pytest.mark.parametrize("first", KINDS, ids=lambda one: str(one[0]))
def test_a_value_of_either_member_comes_back_as_it_is(first: tuple[Any, Any]) -> None:
    others = [one for one in KINDS if one is not first]
    for a, b in itertools.chain(((first, one) for one in others), ((one, first) for one in others)):
        union: Any = typing.Union.__getitem__((a[0], b[0]))
        for value in (a[1], b[1]):
            assert alike(again(value, union), value), union


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (Literal[Text.A, "a"], [Text.A, "a"]),
        (Literal["a", Text.A], ["a", Text.A]),
        (Literal[Currency.EUR, "EUR"], [Currency.EUR, "EUR"]),
        (Literal[Other.X, One.X], [Other.X, One.X]),
        (Literal[Number.ONE, 1, True], [Number.ONE, 1, True]),
        (Literal[True, 1, "x"], [True, 1, "x"]),
    ],
)
def test_a_literal_gives_its_own_member_back(annotation: Any, values: list[Any]) -> None:
    for value in values:
        assert alike(again(value, annotation), value)


def test_what_was_written_without_a_tag_is_read_as_it_was() -> None:
    assert again(Text.A, Literal[Text.A, "a"]) is Text.A
    assert codec.decode(codec.encode("a", where="value"), Literal[Text.A]) is Text.A
    assert codec.encode(Text.A, where="value", annotation=Literal[Text.A, "a"]) == codec.encode("a", where="value")


@pytest.mark.parametrize("value", [(1,), (1, "a"), (1, "a", "b")])
def test_a_tuple_of_any_length_inside_a_tuple(value: Any) -> None:
    assert alike(again(value, tuple[int, *tuple[str, ...]]), value)
    assert alike(again((*value, 2.5), tuple[int, typing.Unpack[tuple[str, ...]], float]), (*value, 2.5))  # noqa: UP044  as older code writes it
    nested = tuple[int, *tuple[str, ...]] | tuple[int, tuple[str, ...]]
    assert alike(again(value, nested), value)
    assert alike(again((1, ("a",)), nested), (1, ("a",)))
    for wrong in ((), ("a",), (1, 2), (1, "a", 3)):
        with pytest.raises(WrongType):
            again(wrong, tuple[int, *tuple[str, ...]])


@pytest.mark.parametrize("annotation", [datetime.datetime, typing.Any, datetime.datetime | str])
def test_the_name_of_a_fixed_zone_is_kept(annotation: Any) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=1), "CET")
    value = datetime.datetime(2026, 1, 1, tzinfo=zone, fold=1)
    found = again(value, annotation)
    assert (repr(found), found.tzname()) == (repr(value), "CET")
    assert repr(again(value.timetz(), datetime.time)) == repr(value.timetz())
    unnamed = value.astimezone(datetime.UTC)
    assert b"zoned" not in codec.encode(unnamed, where="value")


MESSAGES: list[tuple[Any, Any]] = [
    *KINDS, (list[Record], [Record(1)]), (list[Typed], [{"a": 1}]), (dict[str, Record], {"a": Record(1)}),
    (dict[str, dict[str, int]], {"a": {"a": 1}}),
]  # fmt: skip


@pytest.mark.parametrize("first", MESSAGES, ids=lambda one: str(one[0]))
def test_a_message_is_the_member_that_was_sent_though_its_sender_knows_no_union(first: tuple[Any, Any]) -> None:
    others = [one for one in MESSAGES if one is not first]
    for a, b in itertools.chain(((first, one) for one in others), ((one, first) for one in others)):
        union: Any = typing.Union.__getitem__((a[0], b[0]))
        signature = inspect.Signature([inspect.Parameter("value", inspect.Parameter.POSITIONAL_ONLY, annotation=union)])
        for value in (a[1], b[1]):
            data = codec.encode_message([value], where="signal")
            (given,), _ = codec.decode_call(data, signature)
            for found in (codec.decode_message(data, union, where="signal"), given):
                assert alike(found, value), (union, value, found)
                assert repr(found) == repr(value), union
