"""Values that a signature may name: each comes back equal and of its type, or is refused where it is given."""

from __future__ import annotations

import collections
import collections.abc
import datetime as dt
import decimal
import fractions
import ipaddress
import pathlib
import uuid
import zoneinfo
from typing import Any, Literal, Optional, Union

import msgspec
import numpy
import pydantic
import pytest

from durable_saga import codec
from durable_saga.errors import NotSerializable, WrongType
from tests.unit.codec_models import (
    Aliased,
    Base,
    Bill,
    Card,
    Carries,
    Cat,
    Child,
    Circle,
    Colour,
    Dog,
    Generics,
    GoldCard,
    Holder,
    Holds,
    Iban,
    Input,
    Item,
    ItemPage,
    Line,
    Money,
    Noted,
    Numbers,
    Odd,
    OnlyText,
    Open,
    OrderId,
    Page,
    Parent,
    Pet,
    Point,
    Private,
    Secrets,
    Shape,
    Stamped,
    Strict,
    Struct,
)  # fmt: skip

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
STRICT = Strict(numbers=(1, 2), when=dt.datetime(2026, 1, 1), colour=Colour.RED, id=uuid.UUID(int=1))
SECRETS = Secrets(url="http://x.y/", secret="pw", number=3, address="1.2.3.4", coded=b"aGk=", parsed="[1]", size="1kb")  # type: ignore[arg-type]

KEPT: list[tuple[Any, Any]] = [
    (Aliased(orderId=7, choice=2), Aliased), (Numbers([1, 2]), Numbers), (STRICT, Strict), (Open(a=1, z=[9]), Open),  # type: ignore[call-arg]
    (Child(b=2), Parent), (Holds(parent=Child(b=2), parents=[Parent(), Child(b=3)]), Holds), (Pet(pet=Dog(), either="1"), Pet),
    (Generics[Cat](items=[Cat()]), Generics[Cat]), (SECRETS, Secrets), (Stamped(name="n", hidden="h"), Stamped),
    (Carries(point=Point(3)), Carries), (pydantic.HttpUrl("http://x.y/z"), pydantic.HttpUrl),
    (pydantic.SecretBytes(b"x"), pydantic.SecretBytes),
    (Page([Item("a")], {"b": Item("b")}), Page[Item]), (ItemPage([Item("a")], number=2), ItemPage),
    (ItemPage([Item("a")]), Page[Item]), (Iban("1"), Card | Iban), (GoldCard("1", 5), Card | Iban), (GoldCard("1", 5), Card),
    (Holder(GoldCard("1", 2)), Holder), ([Iban("1"), Card("1")], list[Union[Card, Iban]]), (Circle(1.0), Base),  # noqa: UP007
    (Input(2, seed=3), Input), (Line(Item("a"), Colour.BLUE), Line), (Struct("s", NOW, [Colour.RED]), Struct),
    (Colour.RED, Colour | str), ("r", Colour | str), (Colour.RED, str | Colour), ([Colour.RED], list[str] | list[Colour]),
    (["r"], list[Colour] | list[str]), (None, Optional[Colour]), (Odd.A, Odd), (Odd.B, Odd), (Odd.B, Odd | None),  # noqa: UP045
    ({"street": "s", "colour": Colour.RED, "since": dt.date(2026, 1, 2)}, "Address"),
    (OrderId("o"), OrderId), (numpy.float64(1.5), numpy.float64), (numpy.str_("a"), numpy.str_),
    (collections.OrderedDict(b=1, a=2), collections.OrderedDict[str, int]), (collections.OrderedDict(a=1), dict[str, int]),
    (collections.defaultdict(list, a=[Item("i")]), collections.defaultdict[str, list[Item]]),
    (collections.defaultdict(int, a=1), dict[str, int]), (collections.Counter("ab"), collections.Counter[str]),
    (collections.deque([Item("a")], maxlen=3), collections.deque[Item]),
    (collections.deque([1]), collections.abc.Sequence[int]),
    (pathlib.Path("/x"), pathlib.Path), (pathlib.PureWindowsPath("c:/x"), pathlib.PurePath),
    (ipaddress.ip_network("10.0.0.0/8"), ipaddress.IPv4Network), (fractions.Fraction(10**5000, 3), fractions.Fraction),
    (3 + 4j, complex), (range(3), range), (range(3), collections.abc.Sequence[int]), (bytearray(b"x"), bytearray),
    (memoryview(b"x"), memoryview), (NOW, dt.datetime), (NOW.timetz(), dt.time), (dt.UTC, Any), (BERLIN, zoneinfo.ZoneInfo),
    (10**5000, int), (-(10**400), int), (decimal.Decimal("1E+99999"), decimal.Decimal), (float("inf"), float), (1, float),
    (True, int), (True, int | str), (1, float | str), ((1, 2), collections.abc.Sequence[int]),
    (frozenset({1}), collections.abc.Set[int]),
    ({"a": (Item("i"),)}, collections.abc.Mapping[str, collections.abc.Sequence[Item]]), (1, Literal[1, "a"]),
    (Colour.RED, Literal[Colour.RED, "r"]), ({(1, Colour.RED): 2}, dict[tuple[int, Colour], int]), ((), tuple[()]),
    ([Item("a"), 3, [Iban("i")]], "Nested"),
]  # fmt: skip
REFUSED: list[tuple[Any, Any, str]] = [
    ((1, 2), list[int], r"^v: expected list, found tuple$"), ([1], tuple[int, ...], r"^v: expected tuple, found list$"),
    ({"name": "n"}, Item, r"^v: expected Item, found dict$"), ("r", Colour, r"^v: expected Colour, found str$"),
    (Colour.RED, str, "expected str, found tests.unit.codec_models.Colour"), (OrderId("x"), str, "expected str, found"),
    (numpy.float64(1), float, "found numpy.float64"), (numpy.int64(1), int, "found numpy.int64"), (1.5, int, "found float"),
    (1, bool, "found int"), (True, Literal[1], "expected one of 1, found True"),
    ((1, 2), tuple[int], "expected 1 items, found 2"),
    ([Item("a"), Item(3)], list[Item], r"^v\[1\]\.name: expected str, found int$"),  # type: ignore[arg-type]
    ({"a": [Holder(Card(1))]}, dict[str, list[Holder]], r"^v\['a'\]\[0\]\.card\.number: expected str"),  # type: ignore[arg-type]
    (Circle(1.0), Shape, "a?Circle"), (dt.datetime.now(), dt.date, "expected date, found datetime.datetime"),
    (Dog(), Cat | Card, "expected"), (lambda: 1, collections.abc.Callable[[], int], "function, which can't be journaled"),
    (iter([1]), collections.abc.Iterator[int], "list_iterator, which can't"), (Item, type, "which can't be journaled"),
    (OnlyText(tags="a,b"), OnlyText, "would not be accepted again"), ("\ud800", str, "can't be journaled"),  # type: ignore[arg-type]
    (collections.defaultdict(lambda: 1), collections.defaultdict[str, int], "is a defaultdict of"),
    (Point(1), Point, r"v is of type tests.unit.codec_models.Point, which can't be journaled: pass .* `converters`"),
]  # fmt: skip


NAMES = [f"{type(value).__name__}-{annotation}"[:70] for value, annotation in KEPT]


def shown(value: Any) -> str:
    """Says what == does not."""
    return hex(value) if isinstance(value, int) else "" if isinstance(value, fractions.Fraction | memoryview) else repr(value)


def annotation_of(given: Any) -> Any:
    from tests.unit.codec_models import Address

    return {"Address": Address, "Nested": list[Item | int | list[Card | Iban]]}[given] if isinstance(given, str) else given


@pytest.mark.parametrize(("value", "annotation"), KEPT, ids=NAMES)
def test_a_value_comes_back_equal_and_of_its_type(value: Any, annotation: Any) -> None:
    annotation = annotation_of(annotation)
    data = codec.encode(value, where="v", annotation=annotation)
    found = codec.decode(data, annotation)
    assert found == value
    assert type(found) is type(value)
    assert shown(found) == shown(value)


@pytest.mark.parametrize(("value", "annotation", "words"), REFUSED, ids=[words[:40] for *_, words in REFUSED])
def test_a_value_that_would_not_come_back_is_refused_with_its_type_and_path(value: Any, annotation: Any, words: str) -> None:
    with pytest.raises(NotSerializable, match=words):
        codec.encode(value, where="v", annotation=annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Iban("1"), Card | Iban), (Colour.RED, Colour | str), ("r", Colour | str), ([Item("a")], list[Item]), (Item("a"), Item),
        (GoldCard("1", 2), Card), (OrderId("x"), OrderId), (Line(Item("a"), Colour.RED), Line), (Dog(), Cat | Dog),
        (Aliased(orderId=1), Aliased), (Numbers([1]), Numbers), ({Colour.RED: Item("a")}, dict[Colour, Item]), (Odd.B, Odd),
        (collections.deque([Item("a")]), collections.deque[Item]), (pathlib.Path("x"), pathlib.Path),
    ],
)  # fmt: skip
def test_a_message_comes_back_as_what_its_reader_asks_for(value: Any, annotation: Any) -> None:
    data = codec.encode_call((value,), {}, where="signal")  # nobody knows there what it is read as
    found = codec.decode_message(data, annotation, where="signal")
    assert found == value
    assert type(found) is type(value)


def test_a_model_that_is_read_without_an_annotation_is_plain_data() -> None:
    data = codec.encode([Item("a"), Colour.RED, Line(Item("b"), Colour.RED), Open(a=1, z=2), GoldCard("1")], where="v")  # type: ignore[call-arg]
    assert codec.decode(data) == [
        {"name": "a", "price": decimal.Decimal("1.0")}, "r", ({"name": "b", "price": decimal.Decimal("1.0")}, "r", 1),
        {"a": 1, "z": 2}, {"number": "1", "points": 0},
    ]  # fmt: skip


def test_plain_data_is_read_as_the_model_of_the_annotation() -> None:
    def read(plain: Any, annotation: Any) -> Any:
        return codec.decode(codec.encode(plain, where="json"), annotation)

    assert read({"name": "a", "price": decimal.Decimal(2)}, Item) == Item("a", decimal.Decimal(2))
    assert read([[1, 2]], tuple[tuple[int, int], ...]) == ((1, 2),)
    assert read({"orderId": 7}, Aliased) == Aliased(orderId=7)
    assert read([1, 2], Numbers) == Numbers([1, 2])
    assert (
        read({"when": "2026-01-02T03:04:05", "name": "n"}, pydantic.create_model("M", when=dt.datetime, name=str)).when.year
        == 2026
    )
    assert read("r", Colour) is Colour.RED
    assert read({"kind": "dog"}, Cat | Dog) == Dog()
    assert read("1.2.3.4", ipaddress.IPv4Address) == ipaddress.IPv4Address("1.2.3.4")


def test_what_pydantic_keeps_beside_the_fields_is_kept_too() -> None:
    model = Private(a=1)
    model._b = 7
    found = codec.decode(codec.encode(model, where="v", annotation=Private), Private)
    assert (found, found._b) == (model, 7)
    assert codec.decode(codec.encode(Child(b=1), where="v", annotation=Child), Child).model_dump(exclude_unset=True) == {"b": 1}


def test_a_value_that_holds_more_than_its_class_makes_is_refused() -> None:
    noted = Noted("x")
    assert codec.decode(codec.encode(noted, where="v", annotation=Noted), Noted) == noted
    noted.note = "lost"
    with pytest.raises(NotSerializable, match="Noted, which can't be journaled"):
        codec.encode(noted, where="v", annotation=Noted)


def test_nan_comes_back_as_nan() -> None:
    for value, annotation in ((float("nan"), float), (decimal.Decimal("sNaN"), decimal.Decimal), ([float("nan")], list[float])):
        assert repr(codec.decode(codec.encode(value, where="v", annotation=annotation), annotation)) == repr(value)


def test_two_classes_of_one_name_in_a_union_are_told_apart() -> None:
    def made(number: int) -> type:
        return msgspec.defstruct("Same", [("number", int)], module=f"shop{number}")

    one, other = made(1), made(2)
    assert type(codec.decode(codec.encode(other(3), where="v", annotation=one | other), one | other)) is other


def test_a_type_of_ones_own_goes_through_its_converters() -> None:
    codec.register({Money: (lambda money: money.cents, lambda cents: Money(cents), "money")})
    bill = Bill(Money(3), {"a": [Money(1)], "b": (Money(2),)})
    for value, annotation in (
        (bill, Bill),
        (Money(1), Money),
        (Money(1), Money | int),
        ([Money(1)], list[Any]),
        (Money(2), Any),
    ):
        assert codec.decode(codec.encode(value, where="v", annotation=annotation), annotation) == value
    assert b"money" in codec.encode(Money(1), where="v")
    with pytest.raises(ValueError, match="belongs to another type"):
        codec.register({Point: (lambda point: point.x, Point, "money")})
    with pytest.raises(TypeError, match="to, from"):
        codec.register({Point: Point})  # type: ignore[dict-item]


def test_what_a_converter_raises_names_the_place() -> None:
    class Bad:
        pass

    codec.register({Bad: (lambda bad: 1 // 0, lambda held: Bad())})
    with pytest.raises(NotSerializable, match=r"v\[0\]: its converter failed: ZeroDivisionError"):
        codec.encode([Bad()], where="v")


def test_a_wrong_type_is_told_apart_from_what_no_annotation_could_save() -> None:
    with pytest.raises(WrongType):
        codec.encode("1", where="v", annotation=int)
    with pytest.raises(NotSerializable) as caught:
        codec.encode([object()], where="v", annotation=list[Any])
    assert not isinstance(caught.value, WrongType)


class Made(pydantic.BaseModel):
    at: pydantic.AwareDatetime
    others: list[pydantic.BaseModel] = []


def test_a_model_stands_where_pydantics_own_base_is_named_and_its_moments_keep_their_zone() -> None:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    made = Made(at=dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zone))
    made = Made(at=made.at, others=[made])
    for annotation in (Made, pydantic.BaseModel):
        found = codec.decode(codec.encode(made, where="made", annotation=annotation), annotation)
        assert type(found) is Made
        assert found == made
        assert (found.at.tzinfo, found.at.fold) == (zone, 1)
        assert type(found.others[0]) is Made
    late = dt.datetime(2001, 1, 1, tzinfo=zone)
    assert codec.decode(codec.encode(late, where="late"), pydantic.FutureDatetime) == late, "it was in the future once"
    with pytest.raises(NotSerializable, match="expected BaseModel, found dict"):
        codec.encode({"a": 1}, where="made", annotation=pydantic.BaseModel)


@pytest.mark.parametrize(
    ("value", "annotation", "says"),
    [
        ({"a": ["x", "\ud800"]}, dict[str, list[str]], r"value\['a'\]\[1\] can't be journaled: 'utf-8' codec can't encode"),
        (pathlib.PurePosixPath("\udce4"), pathlib.PurePosixPath, "value can't be journaled: 'utf-8' codec can't encode"),
    ],
)
def test_half_a_character_is_refused_with_its_place(value: Any, annotation: Any, says: str) -> None:
    with pytest.raises(NotSerializable, match=says):
        codec.encode(value, where="value", annotation=annotation)
