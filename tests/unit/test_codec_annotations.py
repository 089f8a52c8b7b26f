"""Annotations that can't be looked up, that are missing, and that stand for themselves; through sagas as they are run."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import types
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from durable_saga import codec, saga, step
from durable_saga.definition.definition import signature_of
from durable_saga.errors import DecodeError, NotSerializable
from durable_saga.testing import SagaTestRunner
from tests.unit.codec_models import Aliased, Card, Iban, Item, Money

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


@dataclasses.dataclass
class Hidden:
    price: Decimal


@step
async def pays(thing: Hidden) -> None: ...


@step
async def makes() -> Hidden:
    raise AssertionError("its result could not be written")


@step
async def imported(price: Decimal) -> None: ...


@step
async def keeps(thing):  # type: ignore[no-untyped-def]
    return thing


@step
async def fetches() -> Aliased:
    return Aliased(orderId=7)


@step
async def how(given: Sequence[Card | Iban]) -> Card | Iban:
    return given[0]


@step
async def doubles(money: Money) -> Money:
    return Money(2 * money.cents)


@saga
async def hides() -> None:
    await pays(Hidden(1))  # type: ignore[arg-type]


@saga
async def hides_result() -> None:
    await makes()


@saga
async def imports() -> None:
    await imported(1)  # type: ignore[arg-type]


@saga
async def loses() -> Any:
    return await keeps(Item("lamp"))


@saga
async def shops(cards: list[Card | Iban]) -> str:
    order = await fetches()
    chosen = await how(tuple(cards))
    return f"{order.order_id} {type(chosen).__name__}"


@saga
async def earns(money: Money) -> Money:
    return await doubles(money)


def run(one: Any, *args: Any, **options: Any) -> Any:
    return asyncio.run(SagaTestRunner(**options).run(one, *args))


def test_a_name_that_is_only_there_for_type_checkers_is_an_error_that_names_the_step() -> None:
    assert "step pays: argument thing: an annotation of tests.unit.test_codec_annotations.Hidden can't be looked up" in (
        run(hides).error
    )
    assert "step makes: its result: an annotation of tests.unit.test_codec_annotations.Hidden can't" in run(hides_result).error
    found = run(imports).error
    assert "test_codec_annotations.py:" in found
    assert "an annotation of imported can't be looked up (name 'Decimal' is not defined)" in found
    with pytest.raises(DecodeError, match=r"v: an annotation of .*Hidden can't be looked up"):
        codec.decode(codec.encode({"price": 1}, where="v"), Hidden, where="v")


def test_a_model_that_no_annotation_names_is_warned_of_at_the_definition() -> None:
    with pytest.warns(UserWarning, match=r"step keeps: a .*Item is given where no annotation") as caught:
        assert run(loses).value["name"] == "lamp"
    assert {one.filename for one in caught} == {__file__}
    assert caught[0].lineno == keeps.definition.function.__code__.co_firstlineno
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(loses)  # once


def test_models_of_a_saga_come_back_as_they_were() -> None:
    assert run(shops, [Iban("1"), Card("2")]).value == "7 Iban"


def test_the_test_runner_takes_converters() -> None:
    converters = {Money: (lambda money: money.cents, Money, "money")}
    assert run(earns, Money(3), converters=converters).value == Money(6)


def test_a_wrong_argument_is_refused_at_the_call_in_the_saga() -> None:
    @saga
    async def wrong() -> None:
        await how([Card(3)])  # type: ignore[arg-type]

    assert "WrongType: step how: argument given[0].number: expected str, found int" in run(wrong).error

    @saga
    async def wrong_scalar() -> str:
        try:
            await pays(3)  # type: ignore[arg-type]
        except NotSerializable as error:
            return str(error)
        return "taken"

    assert "step pays: argument thing: an annotation of" in run(wrong_scalar).value


def test_names_in_quotes_inside_of_an_annotation_are_looked_up() -> None:
    def quoted(one: list["Item"], other: dict[str, "list[Item]"]) -> tuple["Item", ...]: ...  # type: ignore[empty-body]  # noqa: UP037

    quoted.__annotations__ = {"one": list["Item"], "other": dict[str, "list[Item]"], "return": tuple["Item", ...]}
    signature = signature_of(quoted)
    assert signature.parameters["one"].annotation == list[Item]
    data = codec.encode_call(([Item("a")], {"b": [Item("c")]}), {}, where="quoted", signature=signature)
    assert codec.decode_call(data, signature)[0] == [[Item("a")], {"b": [Item("c")]}]
    with pytest.raises(NotSerializable, match="the annotation 'Item' can't be looked up"):
        codec.encode([], where="v", annotation=list["Item"])


@dataclasses.dataclass
class Outer:
    @dataclasses.dataclass
    class Inner:
        number: int

    inner: Inner
    others: list[Inner]


def test_a_class_within_a_class_is_found() -> None:
    value = Outer(Outer.Inner(1), [Outer.Inner(2)])
    assert codec.decode(codec.encode(value, where="v", annotation=Outer), Outer) == value


def test_a_class_of_a_function_that_holds_itself_works() -> None:
    @dataclasses.dataclass
    class Local:
        inner: Local | None
        others: list[Local]

    value = Local(Local(None, []), [Local(None, [])])
    assert codec.decode(codec.encode(value, where="v", annotation=Local), Local) == value


def test_variables_of_generic_bases_are_put_in() -> None:
    @dataclasses.dataclass
    class One(Generic[T]):
        one: T

    @dataclasses.dataclass
    class Two(One[T], Generic[T]):
        two: list[T]

    value = Two(Item("a"), [Item("b")])
    assert codec.decode(codec.encode(value, where="v", annotation=Two[Item]), Two[Item]) == value
    assert codec.decode(codec.encode(value, where="v", annotation=One[Item]), One[Item]).one == Item("a")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the `type` statement is of Python 3.12")
def test_type_aliases_are_what_they_stand_for() -> None:
    module = types.ModuleType("aliases")
    code = "type Json = dict[str, Json] | list[Json] | str | int | None\ntype Pair[T] = tuple[T, T]"
    exec(code, module.__dict__)
    value = {"a": [1, "b", {"c": None}]}
    assert codec.decode(codec.encode(value, where="v", annotation=module.Json), module.Json) == value
    pair = module.Pair[Item]
    assert codec.decode(codec.encode((Item("a"), Item("b")), where="v", annotation=pair), pair) == (Item("a"), Item("b"))
