"""What a compensation gets: what its step was called with, by name, defaults too, as they were at the call."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from durable_saga import NotApplied, Retry, Saga, SagaStep, Step, event, on_failure, saga, step
from durable_saga.errors import DefinitionError
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core, RunCompensation, RunStep
from durable_saga.testing import SagaResult, SagaTestRunner
from durable_saga.testing.driver import Driver, Ended

ONCE = Retry(max_attempts=1)
FOUR = Retry(max_attempts=4, initial=1)


class Room(Enum):
    SINGLE = "single"
    DOUBLE = "double"


@dataclass(frozen=True)
class Guest:
    name: str


NOBODY = object()


def play(one: Any, *args: Any) -> SagaResult:
    return asyncio.run(SagaTestRunner().run(one, *args))


@step(retry=ONCE)
def fail() -> None:
    raise NotApplied("no")


def undone_with(do: Callable[..., Any], undo: Callable[..., Any], *args: Any, **kwargs: Any) -> SagaResult:
    """Run one step, let the saga fail, and give its result."""
    undo.__name__ = "undo"
    book = step(retry=ONCE)(do)
    book.compensation(retry=Retry(max_attempts=1))(undo)

    @saga
    async def one() -> None:
        await book(*args, **kwargs)
        await fail()

    return play(one)


got: list[Any] = []


def hotel(name: str, nights: int = 1) -> str:
    return f"{name} {nights}"


def rooms(name: str, *numbers: int, **wishes: str) -> str:
    return f"{name} {numbers} {wishes}"


def keyword(name: str, *, nights: int = 1, room: Room = Room.SINGLE) -> str:
    return f"{name} {nights} {room}"


def placed(name: str, nights: int = 1, /) -> str:
    return f"{name} {nights}"


def odd(name: str, guest: Guest = Guest("ann"), client: Any = NOBODY, note: str | None = None) -> str:
    return name


def undo_plain(name: str, nights: int) -> None:
    got.append((name, nights))


def undo_result_first(result: str, name: str, nights: int) -> None:
    got.append((result, name, nights))


def undo_own_default(name: str, nights: int = 7, reason: str = "undo") -> None:
    got.append((name, nights, reason))


def undo_keyword_only(name: str, *, nights: int, result: str | None) -> None:
    got.append((name, nights, result))


def undo_placed(name: str, nights: int, /, result: str) -> None:
    got.append((name, nights, result))


def undo_all(*args: Any, **kwargs: Any) -> None:
    got.append((args, kwargs))


def undo_named(**kwargs: Any) -> None:
    got.append(kwargs)


def undo_first(payment: str, *rest: Any) -> None:
    got.append((payment, rest))


def undo_numbers(name: str, *numbers: int, **wishes: str) -> None:
    got.append((name, numbers, wishes))


def undo_collected(name: str, numbers: tuple[int, ...], wishes: dict[str, str], result: str) -> None:
    got.append((name, numbers, wishes))


def undo_room(name: str, nights: int, room: Room) -> None:
    got.append((name, nights, room))


def undo_odd(name: str, guest: Guest, client: Any, note: str | None) -> None:
    got.append((name, guest, client is NOBODY, note))


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("do", "undo", "args", "kwargs", "expected"),
    [
        (hotel, undo_plain, ("Ritz",), {}, ("Ritz", 1)),
        (hotel, undo_plain, ("Ritz", 3), {}, ("Ritz", 3)),
        (hotel, undo_plain, (), {"nights": 2, "name": "Ritz"}, ("Ritz", 2)),
        (hotel, logged(undo_plain), ("Ritz",), {}, ("Ritz", 1)),
        (logged(hotel), undo_plain, ("Ritz",), {}, ("Ritz", 1)),
        (hotel, undo_result_first, ("Ritz",), {}, ("Ritz 1", "Ritz", 1)),
        (hotel, undo_own_default, ("Ritz",), {}, ("Ritz", 1, "undo")),
        (hotel, undo_own_default, ("Ritz",), {"nights": 2}, ("Ritz", 2, "undo")),
        (hotel, undo_keyword_only, ("Ritz", 4), {}, ("Ritz", 4, "Ritz 4")),
        (hotel, undo_placed, ("Ritz",), {}, ("Ritz", 1, "Ritz 1")),
        (hotel, undo_all, ("Ritz",), {}, (("Ritz", 1), {})),
        (hotel, undo_named, ("Ritz",), {}, {"name": "Ritz", "nights": 1}),
        (hotel, undo_first, ("Ritz",), {}, ("Ritz", (1,))),
        (placed, undo_plain, ("Ritz",), {}, ("Ritz", 1)),
        (placed, undo_placed, ("Ritz", 5), {}, ("Ritz", 5, "Ritz 5")),
        (keyword, undo_room, ("Ritz",), {}, ("Ritz", 1, Room.SINGLE)),
        (keyword, undo_room, ("Ritz",), {"room": Room.DOUBLE}, ("Ritz", 1, Room.DOUBLE)),
        (rooms, undo_numbers, ("Ritz", 1, 2), {"bed": "soft"}, ("Ritz", (1, 2), {"bed": "soft"})),
        (rooms, undo_numbers, ("Ritz",), {}, ("Ritz", (), {})),
        (rooms, undo_collected, ("Ritz", 1, 2), {"bed": "soft"}, ("Ritz", (1, 2), {"bed": "soft"})),
        (rooms, undo_all, ("Ritz", 1), {"bed": "soft"}, (("Ritz", 1), {"bed": "soft"})),
        (odd, undo_odd, ("Ritz",), {}, ("Ritz", Guest("ann"), True, None)),
    ],
)
def test_c1_a_compensation_gets_the_bound_arguments_of_its_step(
    do: Any, undo: Any, args: tuple[Any, ...], kwargs: dict[str, Any], expected: Any
) -> None:
    got.clear()
    result = undone_with(do, undo, *args, **kwargs)
    assert result.status == "compensated", result.error
    assert got == [expected]


@pytest.mark.parametrize(
    "undo", [lambda name: None, lambda name, nights, more: None, lambda nights, amount=0: None, lambda *, name: None]
)
def test_c1_a_compensation_that_can_not_be_called_so_is_refused_with_its_place(undo: Any) -> None:
    with pytest.raises(TypeError, match=r"test_binding.py:\d+: compensation .* but step hotel takes \(name, nights\)"):
        step(hotel).compensation(name="undo")(undo)


def test_c1_on_failure_gets_what_it_was_given_and_its_own_defaults() -> None:
    got.clear()

    @saga
    async def one() -> None:
        on_failure(undo_own_default, "a")
        on_failure(undo_own_default, "b", reason="late")
        on_failure(undo_result_first, "given", "c", 2)
        on_failure(undo_result_first, name="d", nights=2)
        on_failure(undo_numbers, "e", 1, 2, bed="soft")
        await fail()

    assert play(one).status == "compensated"
    assert got == [("e", (1, 2), {"bed": "soft"}), (None, "d", 2), ("given", "c", 2), ("b", 7, "late"), ("a", 7, "undo")]


def version(nights: int, retry: Retry = ONCE) -> Any:
    """The same saga with another default, as after a deploy."""

    def book(name: str, nights: int = nights) -> str:
        return f"{name} {nights}"

    def cancel(name: str, nights: int) -> None: ...

    stepped = step(retry=retry)(book)
    stepped.compensation(cancel)

    @saga(name="books")
    async def books() -> None:
        await stepped("Ritz")
        await event("go")

    return books.definition


def replayed(definition: Any, journal: list[h.Event]) -> Core:
    core = Core(definition, h.RunKey(namespace="test", saga="saga", run=1))
    core.replay(journal)
    return core


def test_c1_a_default_that_a_deploy_changed_is_undone_as_it_was_at_the_call() -> None:
    driver = Driver(version(1))
    for_step = driver.play()
    next(for_step)
    with pytest.raises(StopIteration):
        for_step.send(Ended("Ritz 1"))
    old = [h.Event.FromString(one.SerializeToString()) for one in driver.journal]
    for one in old:
        one.step_scheduled.ClearField("defaults") if one.HasField("step_scheduled") else None
    for journal, nights in ((driver.journal, 1), (old, 2)):  # an older journal does not have it: the default of today
        core = replayed(version(2), journal)
        core.feed(h.Event(compensate_requested=h.CompensateRequested(message_id="m")), driver.now_ms)
        found = [one for one in core.take().effects if isinstance(one, RunCompensation)]
        assert [(one.args, one.kwargs) for one in found] == [(["Ritz", nights], {})]
        core.discard()


def test_c1_an_attempt_after_a_deploy_has_the_default_of_the_first_one() -> None:
    driver = Driver(version(1, FOUR))
    attempts = driver.play()
    next(attempts)
    attempts.send(Ended(error=ConnectionError("down")))
    again = [one for one in replayed(version(2, FOUR), driver.journal).take().effects if isinstance(one, RunStep)]
    assert [(list(one.args), one.kwargs) for one in again] == [(["Ritz", 1], {})]
    same = [one for one in replayed(version(1, FOUR), driver.journal).take().effects if isinstance(one, RunStep)]
    assert [(list(one.args), one.kwargs) for one in same] == [(["Ritz"], {})]


class Shapes(Saga):
    """Methods of a table in every shape that the engine can call."""

    name = "shapes"
    retry = ONCE

    def define(self) -> list[SagaStep]:
        undo: list[Any] = [self.one, self.two, self.named, self.loose, self.static, self.all]
        return [*(Step(f"s{n}", self.act, one) for n, one in enumerate(undo)), Step("end", self.end)]

    def act(self, context: str, *, results: dict[str, Any]) -> str:
        return f"r{len(results)}"

    def one(self, context: str) -> None:
        got.append(("one", context))

    def two(self, context: str, result: str, more: int = 3) -> None:
        got.append(("two", context, result, more))

    def named(self, context: str, *, result: str) -> None:
        got.append(("named", context, result))

    def loose(self, context: str, **more: Any) -> None:
        got.append(("loose", context, more))

    @staticmethod
    def static(context: str, result: str) -> None:
        got.append(("static", context, result))

    def all(self, *args: Any) -> None:
        got.append(("all", *args))

    def end(self, context: str) -> None:
        raise NotApplied("no")


def test_d3_methods_of_a_table_are_called_as_their_parameters_allow() -> None:
    got.clear()
    result = play(Shapes(), "c")
    assert result.status == "compensated", result.error
    assert got == [
        ("all", "c", "r5"), ("static", "c", "r4"), ("loose", "c", {"result": "r3"}), ("named", "c", "r2"),
        ("two", "c", "r1", 3), ("one", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "undo", [lambda: None, lambda context, result, more: None, lambda context, *, why: None, lambda *, context: None]
)
def test_d3_a_method_that_can_not_be_called_so_is_refused(undo: Any) -> None:
    class Wrong(Saga):
        name = "wrong"

        def define(self) -> list[SagaStep]:
            return [Step("a", lambda context: None, undo)]

    with pytest.raises(DefinitionError, match=r"test_binding.py:\d+: the compensation of step 'a' takes"):
        play(Wrong(), "c")
