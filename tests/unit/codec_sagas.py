"""Sagas whose histories are recorded in tests/histories: `values-1` by the codec that had no plans, `values-2` by the first
one that had."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from typing import Any, NamedTuple, Optional

import attrs
import pydantic

from durable_saga import saga, state, step


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal
    colours: set[Colour] = dataclasses.field(default_factory=set)


@attrs.define
class Box:
    items: list[Item]
    _secret: int = 0


class Basket(pydantic.BaseModel):
    box: str
    when: dt.datetime
    count: int = 1


@dataclasses.dataclass
class Card:
    number: str


@dataclasses.dataclass
class Iban:
    number: str


@dataclasses.dataclass
class GoldCard(Card):
    points: int = 0


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    order_id: int = pydantic.Field(alias="orderId")


ITEM = Item("lamp", decimal.Decimal("9.90"), {Colour.RED})
BASKET = Basket(box="b", when=dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC))


@step
async def box_of(items: list[Item], by_colour: dict[Colour, Item], place: Point | None) -> Box:
    return Box(items, secret=3)


@step
async def fill(box: Box, basket: Basket) -> tuple[Item, ...]:
    return tuple(box.items)


@step
async def keys(found: dict[tuple[int, str], frozenset[int]], id: uuid.UUID, big: int) -> Optional[dt.timedelta]:  # noqa: UP045
    return dt.timedelta(seconds=1)


@step
async def how(card: Card | str) -> Card | None:
    return card if isinstance(card, Card) else None


@saga
async def before(basket: Basket) -> dict[str, Any]:
    box = await box_of([ITEM], {Colour.RED: ITEM}, Point(1, 2))
    items = await fill(box, basket)
    wait = await keys({(1, "a"): frozenset([2])}, uuid.UUID(int=7), 2**70)
    card = await how(Card("1"))
    state.set("item", items[0])
    return {"box": repr(box), "items": repr(items[0].price), "wait": wait, "card": repr(card), "basket": repr(basket)}


@step
async def pays(by: Card | Iban, colour: Colour | str) -> Card | Iban:
    return by


@step
async def orders(order: Open, base: Card) -> Open:
    return order


@saga
async def after(by: list[Card | Iban]) -> list[str]:
    found = [await pays(one, Colour.RED) for one in by]
    order = await orders(Open(orderId=1, note="n"), GoldCard("1", 2))  # type: ignore[call-arg]
    return [*map(repr, found), repr(order)]


BY: list[Card | Iban] = [Iban("1"), Card("2"), GoldCard("3", 4)]
