"""Half a character (a lone surrogate) in whatever a caller names is refused with a sentence where it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_saga import Client, Worker, connect, correlate, event, saga, set_attributes, step
from durable_saga.errors import InvalidArgument
from durable_saga.testing import SagaTestRunner

HALF = "or\ud800der"


@saga
async def waits() -> None:
    await event("go")


CALLS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "start's id": lambda client: client.start(waits, id=HALF),
    "start by name": lambda client: client.start(HALF),
    "handle": lambda client: client.handle(HALF).describe(),
    "signal's name": lambda client: client.handle("a").signal(HALF),
    "signal's message_id": lambda client: client.handle("a").signal("go", message_id=HALF),
    "cancel": lambda client: client.handle("a").cancel(HALF),
    "compensate": lambda client: client.handle("a").compensate(HALF),
    "recover's who": lambda client: client.handle("a").recover("again", who=HALF),
    "terminate": lambda client: client.handle("a").terminate(HALF),
    "decision's note": lambda client: client.handle("a").resolve_compensation("1", HALF),
    "decision's call": lambda client: client.handle("a").skip_compensation(HALF),
    "publish": lambda client: client.publish(HALF, saga="a"),
    "publish's saga": lambda client: client.publish("go", saga=HALF),
    "publish's key": lambda client: client.publish("go", key=HALF),
    "list's type": lambda client: client.list_page(type=HALF),
    "list's key": lambda client: client.list_page(key=HALF),
    "list's attributes": lambda client: client.list_page(attributes={"city": HALF}),
    "list's page": lambda client: client.list_page(page=HALF),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_client_refuses_it(call: Callable[[Client], Awaitable[Any]]) -> None:
    async def ask() -> None:
        async with connect("memory:") as client:
            await client.start(waits, id="a")
            with pytest.raises(InvalidArgument, match=r"or\\ud800der"):
                await call(client)

    asyncio.run(ask())


def test_a_namespace_and_the_name_of_a_worker_are_refused() -> None:
    async def name() -> None:
        with pytest.raises(InvalidArgument, match="namespace is"):
            connect("memory:", namespace=HALF)
        async with connect("memory:") as client:
            with pytest.raises(InvalidArgument, match="name is"):
                Worker(client, sagas=[waits], name=HALF)

    asyncio.run(name())


def test_the_name_of_a_step_or_saga_is_refused_with_its_place() -> None:
    async def done() -> None: ...

    for declare in (step, saga):
        with pytest.raises(TypeError, match=r"test_halves.py:\d+: @\w+ is named 'or\\ud800der', which holds half a character"):
            declare(name=HALF)(done)


@pytest.mark.parametrize("say", [lambda: correlate(HALF), lambda: set_attributes(city=HALF)], ids=["key", "attribute"])
def test_a_key_or_attribute_in_saga_code_fails_the_saga_there(say: Callable[[], None]) -> None:
    @saga(name="says half")
    async def says() -> None:
        say()

    result = asyncio.run(SagaTestRunner().run(says))
    assert result.status == "failed"
    assert "whole characters" in (result.error or "")
