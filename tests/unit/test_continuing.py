"""continue_as_new() in the core: where it is allowed, what it leaves behind, what goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_saga import codec, continue_as_new, correlate, on_failure, pivot, saga, scope, signal, state, step
from durable_saga.pb import history_pb2 as h
from tests.hypothesis_profile import examples
from tests.laws.driver import Driver


@step
def work(number: int) -> int:
    return number + 1


@step
def reserve(number: int) -> int:
    return number


@reserve.compensation
def free(number: int) -> None: ...


@saga
async def counting(number: int, until: int, *, name: str = "n") -> int:
    number = await work(number)
    if number < until:
        await continue_as_new(number, until, name=name)
    return number


def end_of(driver: Driver) -> h.SagaEnded:
    return driver.journal[-1].saga_ended


def next_arguments(driver: Driver) -> Any:
    return codec.decode(end_of(driver).next.input.data)


def failure_of(driver: Driver) -> str:
    return next(event.unwind_started.failure.message for event in driver.journal if event.HasField("unwind_started"))


def test_a_run_that_continues_ends_with_the_arguments_of_the_next() -> None:
    driver = Driver(counting, (1, 5)).run()
    assert driver.status == "CONTINUED"
    assert next_arguments(driver) == [[2, 5], {"name": "n"}]
    assert Driver(counting, (4, 5)).run().status == "COMPLETED"


@settings(max_examples=examples(40))
@given(st.sets(st.integers(1, 6), max_size=4), st.sets(st.integers(1, 6), max_size=4))
def test_crashes_change_nothing_of_how_a_run_continues(crash_at: set[int], lose_at: set[int]) -> None:
    straight = Driver(counting, (1, 5)).run()
    crashed = Driver(counting, (1, 5), crash_at=crash_at, lose_at=lose_at).run()
    assert crashed.kinds == straight.kinds
    assert end_of(crashed) == end_of(straight)


@saga
async def with_a_reservation(passed: bool) -> None:
    await reserve(1)
    on_failure(free, 2)
    if passed:
        pivot()
    await continue_as_new(passed)


def test_it_is_refused_while_something_can_be_undone_and_names_it() -> None:
    driver = Driver(with_a_reservation, (False,)).run()
    assert driver.status == "COMPENSATED"
    assert "(reserve, free)" in failure_of(driver)
    assert "pivot()" in failure_of(driver)
    assert Driver(with_a_reservation, (True,)).run().status == "CONTINUED"


@saga
async def after_a_scope_was_undone() -> None:
    try:
        async with scope():
            await reserve(1)
            raise ValueError("no")
    except ValueError:
        await continue_as_new()


def test_what_was_undone_is_no_hindrance() -> None:
    driver = Driver(after_a_scope_was_undone).run()
    assert driver.status == "CONTINUED"
    assert driver.kinds.count("compensation_completed") == 1


@saga
async def inside(where: str) -> None:
    if where == "scope":
        async with scope(), asyncio.timeout(10):
            await work(1)
            await continue_as_new(where)
    elif where == "group":
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            await continue_as_new(where)
    elif where == "task":
        await asyncio.create_task(continue_as_new(where))
    elif where == "child":
        await inside("scope")
    elif where == "step":
        task = asyncio.ensure_future(work(1))
        await asyncio.sleep(0)
        await continue_as_new(where)
        await task
    elif where == "swallowed":
        try:
            await continue_as_new(where)
        except Exception:
            pytest.fail("it is no Exception")


@pytest.mark.parametrize("where", ["scope", "group", "swallowed"])
def test_it_leaves_scopes_and_task_groups_without_undoing_anything(where: str) -> None:
    driver = Driver(inside, (where,)).run()
    assert driver.status == "CONTINUED"
    assert "unwind_started" not in driver.kinds


@pytest.mark.parametrize(
    ("where", "words"), [("task", "in a task or handler"), ("child", "in a child saga"), ("step", "steps still run (work)")]
)
def test_it_is_refused_where_something_would_be_cut_off(where: str, words: str) -> None:
    assert words in str(Driver(inside, (where,)).run().journal[-1].saga_ended.failure)


@saga
async def reading() -> list[int]:
    state.set("read", 1)
    correlate("order-1")
    await work(1)
    first = await signal("a")
    await continue_as_new()
    return [first]


HANDLED: list[int] = []


@saga
async def handling() -> None:
    await signal("go")
    await continue_as_new()


@handling.signal
async def slow(number: int) -> None:
    await work(number)
    HANDLED.append(number)


def test_what_was_not_read_is_named_and_keys_are_kept() -> None:
    driver = Driver(reading, early=["a", "b", "a"]).run()
    end = end_of(driver)
    assert list(end.next.carried) == ["2", "1"]
    assert list(end.next.keys) == ["order-1"]
    assert list(end.unread) == []


def test_handlers_that_began_come_to_their_end_first() -> None:
    HANDLED.clear()
    driver = Driver(handling, late=["slow", "go"]).run()
    assert driver.status == "CONTINUED"
    assert HANDLED == [0]
    driver = Driver(handling, early=["slow", "go"]).run()
    assert driver.status == "CONTINUED"
    assert "step_completed" in driver.kinds
