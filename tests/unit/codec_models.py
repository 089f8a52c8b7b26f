"""Models of every kind for the tests of the codec."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, NamedTuple, Protocol, TypedDict, TypeVar

import msgspec
import pydantic
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_serializer, field_validator

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Odd(enum.Enum):
    A = frozenset({1})
    B = re.compile("b")


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal = decimal.Decimal("1.0")


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]
    more: dict[str, T] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ItemPage(Page[Item]):
    number: int = 0


@dataclasses.dataclass
class Card:
    number: str


@dataclasses.dataclass
class Iban:
    number: str


@dataclasses.dataclass
class GoldCard(Card):
    points: int = 0


@dataclasses.dataclass
class Holder:
    card: Card


@dataclasses.dataclass
class Input:
    number: int
    seed: dataclasses.InitVar[int]
    twice: int = dataclasses.field(init=False, default=0)

    def __post_init__(self, seed: int) -> None:
        self.twice = seed * self.number


class Shape(Protocol):
    def area(self) -> float: ...


class Base:
    """No model, but those below it are."""


@dataclasses.dataclass
class Circle(Base):
    radius: float

    def area(self) -> float:
        return self.radius


class Line(NamedTuple):
    item: Item
    colour: Colour
    number: int = 1


class Address(TypedDict, total=False):
    street: str
    since: dt.date
    colour: Colour


class OrderId(str):
    __slots__ = ()


class Noted(str):
    note: str = ""


class Struct(msgspec.Struct):
    name: str
    when: dt.datetime
    colours: list[Colour] = []


class Aliased(BaseModel):
    order_id: int = Field(alias="orderId")
    by_choice: int = Field(default=0, validation_alias=pydantic.AliasChoices("choice", "other"))
    by_path: int = Field(default=0, validation_alias=pydantic.AliasPath("deep", 0))


class Numbers(RootModel[list[int]]):
    pass


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    numbers: tuple[int, ...]
    when: dt.datetime
    colour: Colour
    id: uuid.UUID


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Parent(BaseModel):
    a: int = 1


class Child(Parent):
    b: int = 0


class Holds(BaseModel):
    parent: Parent
    parents: list[Parent] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    lives: int = 1


class Pet(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    either: int | str = 0


class Generics(BaseModel, Generic[T]):
    items: list[T]


class Secrets(BaseModel):
    url: pydantic.HttpUrl
    secret: pydantic.SecretStr
    number: pydantic.Secret[int]
    address: pydantic.IPvAnyAddress
    coded: pydantic.Base64Bytes
    parsed: pydantic.Json[list[int]]
    size: pydantic.ByteSize


class Private(BaseModel):
    a: int
    _b: int = pydantic.PrivateAttr(default=1)


class Stamped(BaseModel):
    """Validation changes what is given: a second time would change it again."""

    name: str
    hidden: str = Field("x", exclude=True)

    @field_validator("name")
    @classmethod
    def mark(cls, name: str) -> str:
        return f"{name}!"

    @field_serializer("name")
    def hide(self, name: str) -> str:
        return "***"


class OnlyText(BaseModel):
    """Its validator does not accept what it makes."""

    tags: list[str]

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, text: Any) -> list[str]:
        if not isinstance(text, str):
            raise ValueError("a text, please")
        return text.split(",")


class Point:
    """Known to nobody."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    def __hash__(self) -> int:
        return hash(self.x)

    def __repr__(self) -> str:
        return f"Point({self.x})"


class Carries(BaseModel):
    """A type that only this model knows to write and read."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    point: Annotated[
        Point,
        pydantic.PlainSerializer(lambda p: p.x),
        pydantic.BeforeValidator(lambda x: x if isinstance(x, Point) else Point(x)),
    ]


class Money:
    """For converters."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)


@dataclasses.dataclass
class Bill:
    total: Money
    parts: Mapping[str, Sequence[Money]]
