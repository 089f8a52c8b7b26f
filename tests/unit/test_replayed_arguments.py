"""A replay compares what the code gives with what the history holds, by today's annotations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from durable_saga import on_failure, saga, signal, state, step
from durable_saga.errors import NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.payloads import hash_of
from durable_saga.replay import Core
from durable_saga.testing import SagaTestRunner

Order = Callable[..., Any]


def history_of(one: Any, *args: Any) -> list[h.Event]:
    runner = SagaTestRunner()
    runner.publish("go")
    return asyncio.run(runner.run(one, *args))._events


def replayed(one: Any, events: list[h.Event]) -> h.Status:
    """With other code than made the history."""
    core = Core(one.definition, h.RunKey(namespace="n", saga="s", run=1))
    try:
        core.replay(events)
        return core.status
    finally:
        core.discard()


@step
async def transfer(source: str, target: str, amount: int = 1) -> str:
    return f"{source} to {target}"


@transfer.compensation
async def take_back(source: str, target: str, amount: int = 1) -> None: ...


async def refund(name: str) -> None: ...


@step
async def read(text: str) -> int:
    return len(text)


@saga
async def child(name: str) -> None:
    await read(name)


def pay(body: Callable[[], Any]) -> Any:
    @saga(name="pay")
    async def pay() -> Any:
        return await body()

    return pay


def test_a_step_that_is_given_other_arguments_is_not_taken_for_the_one_in_the_history() -> None:
    async def first() -> None:
        await transfer("ann", "bob", 10)
        await signal("go")

    async def second() -> None:
        await transfer("shop", "tax", 99)
        await transfer("ann", "bob", 10)
        await signal("go")

    events = history_of(pay(first))
    with pytest.raises(NonDeterminism) as caught:
        replayed(pay(second), events)
    assert "with ('ann', 'bob', 10)" in caught.value.history
    assert "with ('shop', 'tax', 99)" in caught.value.code
    assert "test_replayed_arguments.py" in caught.value.location
    assert "in test_a_step_that" in caught.value.location


OTHERS: dict[str, Callable[[str], Any]] = {}


def other(body: Callable[[str], Any]) -> Callable[[str], Any]:
    OTHERS[body.__name__] = body
    return body


@other
async def keyword(name: str) -> None:
    await transfer(source="shop", target=name)


@other
async def gathered(name: str) -> None:
    await asyncio.gather(read("same"), read(name))


@other
async def registered(name: str) -> None:
    on_failure(refund, name)


@other
async def of_a_child(name: str) -> None:
    await child(name)


@other
async def stated(name: str) -> None:
    state.set("name", [name])


@other
async def returned(name: str) -> str:
    return name


@other
async def large(name: str) -> None:
    await read(name * 20_000)


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_whatever_a_saga_gives_is_compared(body: Callable[[str], Any]) -> None:
    events = history_of(pay(lambda: body("ann")))
    assert replayed(pay(lambda: body("ann")), events) == h.COMPLETED
    with pytest.raises(NonDeterminism, match=r"bob|others"):
        replayed(pay(lambda: body("bob")), events)


def test_another_way_to_write_the_same_call_is_no_difference() -> None:
    events = history_of(pay(lambda: transfer("ann", "bob")))
    for same in (
        lambda: transfer("ann", "bob", 1),
        lambda: transfer("ann", target="bob"),
        lambda: transfer(amount=1, target="bob", source="ann"),
    ):
        assert replayed(pay(same), events) == h.COMPLETED
    with pytest.raises(NonDeterminism):
        replayed(pay(lambda: transfer("ann", "bob", 2)), events)


def test_numbers_beyond_64_bits_are_compared_too() -> None:
    @step
    async def count(number: int) -> None: ...

    events = history_of(pay(lambda: count(10**30)))
    assert replayed(pay(lambda: count(10**30)), events) == h.COMPLETED
    with pytest.raises(NonDeterminism):
        replayed(pay(lambda: count(10**30 + 1)), events)


def test_a_field_with_a_default_that_was_added_since_is_no_difference() -> None:
    def code(with_note: bool) -> tuple[Any, Any]:
        @dataclass
        class Old:
            name: str

        @dataclass
        class New:
            name: str
            note: str = ""

        kind: Any = New if with_note else Old

        async def send(order: Any) -> None: ...

        send.__annotations__["order"] = kind
        return step(send), kind

    def with_code(new: bool, name: str, **rest: str) -> Any:
        send, kind = code(new)

        async def body() -> Any:
            state.set("order", kind(name, **rest))
            on_failure(send, kind(name, **rest))
            await send(kind(name, **rest))

        return pay(body)

    events = history_of(with_code(False, "ann"))
    assert replayed(with_code(True, "ann"), events) == h.COMPLETED
    with pytest.raises(NonDeterminism):
        replayed(with_code(True, "bob"), events)
    calls = [event for event in events if not event.HasField("state_changed")]
    for seq, event in enumerate(calls):
        event.seq = seq
    with pytest.raises(NonDeterminism):
        replayed(with_code(True, "ann", note="new"), events)


def test_arguments_that_today_do_not_fit_are_a_difference_and_no_other_error() -> None:
    @step(name="read")
    async def read_number(number: int) -> int:
        return number

    events = history_of(pay(lambda: read("seven")))
    with pytest.raises(NonDeterminism, match=r"with \('seven'\).* it with \(7\)"):
        replayed(pay(lambda: read_number(7)), events)


def test_a_large_argument_is_known_by_its_hash() -> None:
    events = history_of(pay(lambda: read("x" * 20_000)))
    scheduled = next(event for event in events if event.HasField("step_scheduled")).step_scheduled.input
    data = scheduled.data
    scheduled.hash, scheduled.size, scheduled.data = hash_of(data), len(data), b""
    assert replayed(pay(lambda: read("x" * 20_000)), events) == h.COMPLETED
    with pytest.raises(NonDeterminism, match="20006 bytes of arguments"):
        replayed(pay(lambda: read("y" * 20_000)), events)
