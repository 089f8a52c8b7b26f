"""Conditions and orders of compensations: what they see, where they are asked, and that none of them blocks an unwind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga import (
    Saga,
    SagaStep,
    Step,
    compensation,
    on_failure,
    saga,
    scope,
    sleep,
    state,
    uuid4,
)
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.testing import SagaResult, SagaTestRunner
from tests.unit.judged import ONCE, Refused, exits, is_async, notes, play, raises, refuse, skipped, stepped, undo_more

seen: list[Any] = []


def if_refused(error: BaseException) -> bool:
    seen.append(type(error).__name__)
    return isinstance(error, Refused)


def unless_refused(error: BaseException) -> bool:
    seen.append(type(error).__name__)
    return not isinstance(error, Refused)


# --- what a condition sees ------------------------------------------------------------------------------------------


def with_group(when: Any) -> Any:
    hold = stepped("hold", when)

    async def waits() -> None:
        await hold()
        await sleep(60)

    @saga
    async def one() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(refuse())

    return one


def with_inner_scope(when: Any) -> Any:
    hold = stepped("hold", when)

    async def waits() -> None:
        async with scope("inner"):
            await hold()
            await sleep(60)

    @saga
    async def one() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            await sleep(1)
            group.create_task(refuse())

    return one


def with_child(when: Any) -> Any:
    hold = stepped("hold", when)

    @saga
    async def child() -> None:
        await hold()
        await sleep(60)

    async def late() -> None:
        await sleep(1)
        raise ExceptionGroup("two", [ExceptionGroup("one", [Refused("no")]), KeyError("later")])

    @saga
    async def one() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(late())

    return one


def with_outer_scope(when: Any) -> Any:
    inner = with_inner_scope(when)

    @saga
    async def one() -> str:
        try:
            async with scope("outer"):
                await inner()
        except* Refused:
            pass
        return "went on"

    return one


@pytest.mark.parametrize("make", [with_group, with_inner_scope, with_child, with_outer_scope])
def test_c5_a_condition_sees_the_error_that_failed_the_saga(make: Any) -> None:
    seen.clear()
    yes = play(make(if_refused))
    assert "hold" in yes.compensated_steps
    assert set(seen) == {"Refused"}
    no = play(make(unless_refused))
    assert "hold" not in no.compensated_steps
    assert skipped(no) == ["its condition says no to Refused"]
    assert set(seen) == {"Refused"}


def test_c5_what_a_time_out_cancelled_is_decided_at_a_good_end() -> None:
    @saga
    async def one(careful: bool) -> str:
        hold = stepped("hold", unless_refused if careful else if_refused)
        try:
            async with asyncio.timeout(5), scope("slow"):
                await hold()
                await stepped("plain")()
                await sleep(60)
        except TimeoutError:
            await stepped("instead")()
        return "well"

    undone = play(one, True)
    assert undone.status == "completed"
    assert undone.names == ["hold", "plain", "undo undo", "instead", "undo undo"]
    left = play(one, False)
    assert left.status == "completed"
    assert left.names == ["hold", "plain", "undo undo", "instead"]
    assert skipped(left) == ["its condition says no to CancelledError"]


def test_c5_what_a_time_out_cancelled_is_decided_by_a_later_failure() -> None:
    hold = stepped("hold", if_refused)

    @saga
    async def one() -> None:
        try:
            async with asyncio.timeout(5), scope("slow"):
                await hold()
                await sleep(60)
        except TimeoutError:
            await refuse()

    assert play(one).compensated_steps == ["refuse", "hold"]


def test_c5_a_cancel_from_outside_is_an_error_of_its_own() -> None:
    seen.clear()
    hold = stepped("hold", if_refused)

    @saga(timeout=10)
    async def one() -> None:
        async with scope("inner"):
            await hold()
            await sleep(60)

    assert play(one).compensated_steps == []
    assert seen == ["SagaTimedOut"]


@pytest.mark.parametrize("make", [with_group, with_inner_scope, with_child, with_outer_scope])
@pytest.mark.parametrize("when", [if_refused, unless_refused])
def test_c5_a_process_that_takes_over_in_the_midst_of_a_decision_decides_alike(make: Any, when: Any) -> None:
    one = make(when)
    journal = play(one)._events
    for length in range(1, len(journal)):
        core = Core(one.definition, h.RunKey(namespace="test", saga="saga", run=1))
        core.replay(journal[:length])
        added = core.take().events
        core.discard()
        for old, new in zip(journal[length:], added, strict=False):
            new.time_ms = old.time_ms
            new.unwind_started.failure.Clear() if new.HasField("unwind_started") else None
            old.unwind_started.failure.Clear() if old.HasField("unwind_started") else None
            assert new == old


# --- at once ----------------------------------------------------------------------------------------------------------


def at_once_function(when: Any) -> Any:
    hold = stepped("hold", when, error=Refused("no"), strategy="immediate")

    @saga
    async def one(fails: bool) -> str:
        try:
            await hold()
        except Refused:
            if fails:
                raise
        return "well"

    return one


def at_once_table(when: Any) -> Any:
    def act(context: bool) -> None:
        raise Refused("no")

    def undo(context: bool) -> None: ...

    class Table(Saga):
        name = "at_once"
        retry = ONCE

        def define(self) -> list[SagaStep]:
            return [
                Step("hold", act, undo, compensation_strategy="immediate", compensation_when=lambda context, error: when(error))
            ]

        async def execute_step(self, name: str, context: bool, state: Any) -> Any:
            try:
                return await super().execute_step(name, context, state)
            except Refused:
                if context:
                    raise

    return Table


@pytest.mark.parametrize("make", [at_once_function, at_once_table])
@pytest.mark.parametrize("fails", [False, True])
def test_c3_a_condition_decides_also_about_what_runs_at_once(make: Any, fails: bool) -> None:
    ended = "completed" if not fails else "compensated"
    yes = play(make(if_refused), fails)
    assert (yes.status, yes.compensated_steps) == (ended, ["hold"])
    no = play(make(unless_refused), fails)
    assert (no.status, no.compensated_steps) == ("completed" if not fails else "failed", [])
    assert skipped(no) == ["its condition says no to Refused"]


# --- conditions that go wrong -------------------------------------------------------------------------------------------


def sets_state(_: Any) -> bool:
    state.set("decided", True)
    return False


def asks_for_a_step(_: Any) -> bool:
    refuse()
    return False


def registers(_: Any) -> bool:
    on_failure(undo_more)
    return False


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (raises, "KeyError: 'broken'"),
        (exits, "SystemExit: 3"),
        (lambda error: is_async(error), "TypeError: it is async"),
        (sets_state, r"state.set() can't be used in a condition"),
        (asks_for_a_step, "step refuse can't be called in a condition"),
        (registers, "on_failure() can't be used in a condition"),
    ],
)
@pytest.mark.parametrize("strategy", ["deferred", "immediate"])
def test_c5_a_condition_that_goes_wrong_counts_as_yes_and_is_recorded(when: Any, words: str, strategy: Any) -> None:
    hold = stepped("hold", when, strategy=strategy)
    fail = stepped("fail", when, strategy=strategy, error=Refused("no"))

    @saga
    async def one() -> None:
        await hold()
        await fail()

    result = play(one)
    assert sorted(result.compensated_steps) == ["fail", "hold"]
    assert result.state == {}
    assert len(notes(result)) == 2
    assert all(words in note for note in notes(result))


def test_c5_a_condition_may_read_and_draws_nothing_from_the_saga() -> None:
    def draws(_: Any) -> bool:
        uuid4_of_condition.append(state.get("n"))
        return False

    uuid4_of_condition: list[Any] = []
    hold = stepped("hold", draws)

    @saga
    async def one() -> str:
        state.set("n", 7)
        try:
            async with scope("s"):
                await hold()
                raise Refused("no")
        except Refused:
            return str(uuid4())

    assert play(one).status == "completed"
    assert uuid4_of_condition == [7], "a replay does not ask again"


@pytest.mark.parametrize("when", [is_async, "no", lambda: True, lambda error, more: True])
def test_c5_a_condition_that_can_not_decide_is_refused(when: Any) -> None:
    with pytest.raises(TypeError, match=r"condition of a compensation \(when=\)"):
        compensation(when=when)
    with pytest.raises(TypeError, match="compensation_order"):
        saga(compensation_order=when)(undo_more)

    @saga
    async def one() -> None:
        async with scope("s", order=when):
            pass

    assert "TypeError" in (play(one).error or "")


def test_c5_what_was_decided_stands_when_the_condition_changes() -> None:
    def version(says: bool) -> Any:
        hold = stepped("hold", lambda error: says)

        @saga(name="one")
        async def one() -> None:
            await hold()
            await stepped("more")()
            await refuse()

        return one

    for before in (True, False):
        journal = play(version(before))._events
        core = Core(version(not before).definition, h.RunKey(namespace="test", saga="saga", run=1))
        core.replay(journal)
        assert core.ended
        core.discard()


@pytest.mark.parametrize("when", [if_refused, unless_refused])
def test_c5_a_condition_decides_alike_whatever_crashes(when: Any) -> None:
    """Each schedule is replayed: one that asked for something else would be found."""

    def as_the_condition_says(result: SagaResult) -> bool:
        return result.status in ("compensated", "cancelled", "failed") and len(set(skipped(result))) <= 1

    runner = SagaTestRunner()
    found = asyncio.run(runner.explore(with_inner_scope(when), invariant=as_the_condition_says, schedules_max=60))
    assert found.schedules == 60
