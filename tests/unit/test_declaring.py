"""Functions that can be no step, saga, compensation or handler are refused where they are written, with what to do instead."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from durable_saga import Client, SagaOrchestrator, compensation, connect, on_failure, saga, step
from durable_saga.authoring.declaring import START_OPTIONS
from durable_saga.client.starting import StartOptions
from durable_saga.testing import SagaTestRunner

HERE = r"test_declaring.py:\d+: "


@dataclass
class Basket:
    items: int = 0


class Address(BaseModel):
    street: str = "Main"


@dataclass(frozen=True)
class Price:
    amount: int = 1


async def plain(order: str) -> None: ...


@step
async def charge(order: str) -> str:
    return order


@dataclass(frozen=True)
class Boxed:
    prices: list[int] = field(default_factory=list)


@dataclass(eq=False)
class Loose:
    price: int = 7


@pytest.mark.parametrize(
    "default", [[], {}, set(), bytearray(), deque(), Basket(), Address(), ([],), (1, ({},)), Boxed(), Loose()]
)
def test_a_default_that_can_be_changed_is_refused_everywhere(default: Any) -> None:
    async def takes(order: str, more: Any = default) -> None: ...

    @saga
    async def places(order: str) -> None: ...

    for declare in (step, step(name="s"), saga, saga(name="s"), places.signal, step(plain).compensation):
        with pytest.raises(TypeError, match=HERE + "the default of more of .* which can be changed: .* Use None"):
            declare(takes)


@pytest.mark.parametrize("default", [None, (), 1, "a", frozenset(), Price(), Price, (1, (Price(), "a"))])
def test_a_default_that_stays_as_it_is_is_taken(default: Any) -> None:
    async def takes(order: str, *, more: Any = default) -> None: ...

    assert step(takes).definition.function is saga(takes).definition.function


class Shop:
    async def pay(self, order: str) -> None: ...
    @staticmethod
    async def pack(order: str) -> None: ...
    @classmethod
    async def send(cls, order: str) -> None: ...


def test_methods_are_refused_with_what_to_write_instead() -> None:
    for declare, name in ((step, "@step"), (saga, "@saga")):
        with pytest.raises(TypeError, match=HERE + f"{name} on the method Shop.pay: .*{name[1:]}.that_instance.pay"):
            declare(Shop.pay)
        for method, kind in (("pack", "staticmethod"), ("send", "classmethod")):
            with pytest.raises(TypeError, match=HERE + f"{name} above @{kind}: declare a function of the module"):
                declare(vars(Shop)[method])


class Gateway:
    def __init__(self, bank: str) -> None:
        self.bank = bank

    async def charge(self, order: str) -> str:
        return f"{self.bank} {order}"

    @staticmethod
    @step
    async def fixed(order: str) -> str:
        return f"fixed {order}"


charge_there = step(Gateway("bank").charge)


def test_a_method_of_an_instance_and_a_static_one_are_steps_as_functions_are() -> None:
    @saga
    async def pays(order: str) -> list[str]:
        return [await charge_there(order), await Gateway.fixed(order)]

    result = asyncio.run(SagaTestRunner().run(pays, "o-1"))
    assert (result.value, result.completed_steps) == (["bank o-1", "fixed o-1"], ["charge", "fixed"])


def test_what_has_no_name_needs_one_for_the_journal() -> None:
    nameless = HERE + r".* needs a name for the journal, and a lambda has none: write `def`, or give name="
    with pytest.raises(TypeError, match=nameless):
        step(lambda: 1)
    with pytest.raises(TypeError, match=nameless):
        step(plain).compensation(lambda order: None)
    with pytest.raises(TypeError, match="an object of partial has none"):
        step(functools.partial(plain, "o-1"))
    with pytest.raises(TypeError, match="@step is for a function, not for 7"):
        step(7)  # type: ignore[call-overload]
    assert step(name="one")(lambda: 1).definition.name == "one"
    assert step(name="two")(functools.partial(plain, "o-1")).definition.name == "two"


def test_the_same_rule_holds_for_on_failure() -> None:
    undone: list[str] = []

    @saga
    async def fails(undo: int) -> None:
        if undo:
            on_failure(compensation(name="forget")(lambda: undone.append("forgotten")))
        else:
            on_failure(lambda: None)
        raise ValueError("no")

    assert "on_failure() needs a name" in str(asyncio.run(SagaTestRunner().run(fails, 0)).error)
    result = asyncio.run(SagaTestRunner().run(fails, 1))
    assert (result.compensated_steps, undone) == (["forget"], ["forgotten"])


@pytest.mark.parametrize("start", [Client.start, SagaOrchestrator.start])
def test_the_options_of_start_are_those_that_no_parameter_may_be_named_after(start: Callable[..., Any]) -> None:
    parameters = inspect.signature(start).parameters.values()
    assert {one.name for one in parameters if one.kind is one.KEYWORD_ONLY} <= set(START_OPTIONS)
    assert tuple(StartOptions.__annotations__)[:2] == START_OPTIONS
    assert [one.kind for one in parameters][:2] == [inspect.Parameter.POSITIONAL_ONLY] * 2


def test_a_parameter_named_as_an_option_of_start_is_refused() -> None:
    with pytest.raises(
        TypeError, match=HERE + r"saga ships has a parameter id, which is an option of client.start\(\): rename"
    ):

        @saga
        async def ships(id: str) -> None: ...

    with pytest.raises(TypeError, match="has a parameter timeout"):

        @saga(name="s")
        async def waits(order: str, *, timeout: int = 3) -> None: ...


def test_other_parameters_reach_the_saga_whatever_their_name() -> None:
    @saga
    async def ships(id: str, /, saga: str, self: str, **more: str) -> list[str]:
        return [id, saga, self, *more]

    async def scenario() -> None:
        from durable_saga import Worker

        async with connect("memory:") as client, Worker(client, sagas=[ships]):
            handle = await client.start(ships, "i", saga="s", self="me", other="o", id="o-1")
            assert (handle.id, await handle.result(timeout=10)) == ("o-1", ["i", "s", "me", "other"])

    asyncio.run(scenario())
