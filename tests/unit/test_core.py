"""The core by hand: mismatches, refusals, cancellation that is swallowed, times."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga import SagaFunction, saga, state, step
from durable_saga.errors import FutureEventKind, NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.replay.unwind import TRANSITIONS
from tests.laws.driver import Driver

KEY = h.RunKey(namespace="n", saga="s", run=1)


@step
def reserve(what: str) -> str:
    return what


@step
def charge(what: str) -> str:
    return what


def replay(saga: SagaFunction[..., Any], journal: list[h.Event]) -> None:
    core = Core(saga.definition, KEY)
    try:
        core.replay(journal)
    finally:
        core.discard()


@saga
async def first() -> None:
    await reserve("a")
    await charge("a")


@saga
async def swapped() -> None:
    await charge("a")
    await reserve("a")


@saga
async def longer() -> None:
    await reserve("a")
    await asyncio.sleep(5)
    await charge("a")


@saga
async def shorter() -> None:
    await reserve("a")


@pytest.mark.parametrize("changed", [swapped, longer, shorter])
def test_a_changed_saga_is_refused_with_both_sides_and_the_place(changed: SagaFunction[..., Any]) -> None:
    journal = Driver(first).run().journal
    with pytest.raises(NonDeterminism, match=r"the history holds .* the code asked for") as caught:
        replay(changed, journal)
    assert "test_core.py" in str(caught.value) or "end of the saga" in str(caught.value)


@step
def hold(what: str) -> str:
    return what


@hold.compensation
def free(what: str) -> None: ...


@step(name="hold")
def hold_without_undo(what: str) -> str:
    return what


@saga
async def holds() -> None:
    await hold("a")


@saga
async def holds_for_ever() -> None:
    await hold_without_undo("a")


def test_a_compensation_that_the_history_holds_and_the_code_has_lost_is_refused() -> None:
    with pytest.raises(NonDeterminism, match=r"'hold' .call 1. with compensation 'free', but the code asked for it without"):
        replay(holds_for_ever, Driver(holds).run().journal)
    replay(holds, Driver(holds_for_ever).run().journal)  # one more is no harm


def test_an_event_kind_of_a_newer_version_is_refused() -> None:
    journal = Driver(first).run().journal
    with pytest.raises(FutureEventKind, match="upgrade"):
        replay(first, [journal[0], h.Event(seq=1, time_ms=journal[0].time_ms)])


@saga
async def swallows() -> None:
    await reserve("a")
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass


def test_a_swallowed_cancellation_ends_in_an_error_not_in_a_hang() -> None:
    driver = Driver(swallows, cancel_after=2).run()
    assert driver.status == "CANCELLED"
    failure = next(event.unwind_started.failure for event in driver.journal if event.HasField("unwind_started"))
    assert "SwallowedCancellation" in failure.type


@saga
async def asks_for_a_thread() -> None:
    await asyncio.to_thread(print)


@saga
async def over_coroutines() -> None:
    for one in asyncio.as_completed([reserve("a")]):
        await one


@pytest.mark.parametrize(("wrong", "advice"), [(asks_for_a_thread, "call a @step"), (over_coroutines, "make tasks first")])
def test_what_cannot_be_replayed_is_refused_with_advice(wrong: SagaFunction[..., Any], advice: str) -> None:
    journal = Driver(wrong).run().journal
    failure = next(event.unwind_started.failure for event in journal if event.HasField("unwind_started"))
    assert failure.type.endswith("UnsupportedOperation")
    assert advice in failure.message


@saga(timeout=30)
async def bounded() -> None:
    await reserve("a")


@pytest.mark.parametrize(("given_ms", "due_ms"), [(0, 30_000), (5_000, 5_000)])
def test_a_saga_that_is_started_by_its_name_has_the_timeout_that_it_declares(given_ms: int, due_ms: int) -> None:
    started = Driver(bounded).run().journal[0]
    started.saga_started.timeout_ms = given_ms
    core = Core(bounded.definition, KEY)
    core.replay([started])
    core.discard()
    assert core.standing.deadline_ms == started.time_ms + due_ms


def test_every_transition_of_a_compensation_leads_to_a_state_that_is_known() -> None:
    states = {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values())
    final = states - {state for state, _ in TRANSITIONS}
    assert final == {"done", "skipped", "resolved", "not needed", "passed"}


def test_a_dropped_run_starts_nothing_in_its_cleanup() -> None:
    called: list[str] = []

    @saga
    async def cleans_up() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            called.append("cleanup")
            await reserve("in finally")
            called.append("never")

    core = Core(cleans_up.definition, KEY)
    core.replay(Driver(first).run().journal[:1])
    core.discard()
    assert called == ["cleanup"]


def test_a_change_of_state_that_differs_names_the_line_where_the_saga_waits_and_not_what_runs_the_worker() -> None:
    values = iter("ab")

    @saga
    async def unsteady() -> None:
        state.set("v", next(values))
        await charge("a")  # here

    journal = Driver(unsteady).run().journal
    with pytest.raises(NonDeterminism, match=r"test_core\.py:\d+ in .*unsteady: the history holds state changed"):
        replay(unsteady, journal)
