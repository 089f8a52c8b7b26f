"""all_of() and wait_until(): bounded fan-out with partial success, and waiting for what signal handlers do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_saga import NotApplied, Retry, all_of, now, saga, signal, state, step, wait_until
from durable_saga.errors import TooManyFailed, UnsupportedOperation
from durable_saga.testing import SagaTestRunner
from durable_saga.testing.faults import NO_FAULTS

pytestmark = pytest.mark.anyio
running: set[int] = set()
most = 0
done: list[int] = []
undone: list[int] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    global most
    running.clear()
    done.clear()
    undone.clear()
    most = 0


@step(retry=Retry(max_attempts=1))
async def ship(number: int, fails: bool = False) -> int:
    done.append(number)
    if fails:
        raise ValueError(f"parcel {number} is lost")
    return number * 2


@ship.compensation
async def call_back(number: int, fails: bool) -> None:
    undone.append(number)


@step(retry=Retry(max_attempts=1))
async def refuse(number: int) -> int:
    raise NotApplied(f"no {number}")


@saga
async def ship_all(count: int, at_once: int) -> list[int]:
    return await all_of((ship(number) for number in range(count)), at_once=at_once)


@pytest.mark.parametrize(("count", "at_once"), [(0, 1), (1, 50), (7, 1), (7, 3), (60, 50), (3, 1000)])
async def test_all_results_come_in_order(count: int, at_once: int) -> None:
    result = await SagaTestRunner().run(ship_all, count, at_once)
    assert result.value == [number * 2 for number in range(count)]
    assert undone == []


async def test_no_more_are_under_way_than_at_once() -> None:
    result = await SagaTestRunner().run(ship_all, 20, 4)
    open_calls: set[str] = set()
    highest = 0
    for event in result._events:
        if event.HasField("step_scheduled"):
            open_calls.add(event.step_scheduled.call)
        elif event.HasField("step_completed"):
            open_calls.discard(event.step_completed.call)
        highest = max(highest, len(open_calls))
    assert highest == 4


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 12))
def test_call_ids_do_not_depend_on_how_many_run_at_once(before: int, after: int, count: int) -> None:
    """So a deploy may change it, in whatever state a saga is."""

    async def calls(at_once: int) -> set[tuple[str, str]]:
        result = await SagaTestRunner().run(ship_all, count, at_once)
        return {(call, name) for _, call, name in result.calls}

    assert asyncio.run(calls(before)) == asyncio.run(calls(after))


@saga
async def with_failures(count: int, failing: list[int], tolerate: float | int | None, enough: int | None, eager: bool) -> Any:
    calls = (ship(number, number in failing) for number in range(count))
    options: dict[str, Any] = {"tolerate": tolerate} | ({} if enough is None else {"enough": enough})
    outcomes: Any = await all_of(list(calls) if eager else calls, at_once=3, **options)
    return [sorted(outcomes.results), sorted(outcomes.failed), outcomes.values]


async def test_without_options_the_first_failure_is_raised_and_the_rest_is_undone() -> None:
    @saga
    async def one() -> None:
        await all_of([ship(number, number == 2) for number in range(10)], at_once=2)

    result = await SagaTestRunner().run(one)
    assert result.status == "compensated"
    assert "parcel 2 is lost" in (result.error or "")
    assert set(undone) >= set(done)
    assert max(done) <= 3


async def test_the_error_is_the_one_of_the_call() -> None:
    @saga
    async def one() -> str:
        try:
            await all_of(refuse(number) for number in range(3))
        except NotApplied as error:
            return str(error)
        return "no error"

    assert (await SagaTestRunner().run(one)).value == "no 0"


@pytest.mark.parametrize("eager", [True, False])
async def test_so_many_may_fail_and_those_are_undone_alone(eager: bool) -> None:
    result = await SagaTestRunner().run(with_failures, 8, [1, 5], 2, None, eager)
    assert result.value == [[0, 2, 3, 4, 6, 7], [1, 5], [0, 4, 6, 8, 12, 14]]
    assert sorted(undone) == [1, 5]


@pytest.mark.parametrize("eager", [True, False])
async def test_one_more_is_too_many(eager: bool) -> None:
    result = await SagaTestRunner().run(with_failures, 40, [1, 5, 6], 2, None, eager)
    assert result.status == "compensated"
    assert "TooManyFailed: 3 of 9 calls failed, and 2 may; first: parcel 1 is lost" in (result.error or "")
    assert set(undone) >= set(done)


async def test_a_share_is_of_all_that_have_ended() -> None:
    assert (await SagaTestRunner().run(with_failures, 10, [0], 0.1, None, False)).status == "completed"
    assert "2 of 10 calls failed, and 0.1 may" in str(
        (await SagaTestRunner().run(with_failures, 10, [0, 9], 0.1, None, False)).error
    )


@pytest.mark.parametrize("eager", [True, False])
async def test_enough_is_enough(eager: bool) -> None:
    result = await SagaTestRunner().run(with_failures, 100, [0], 5, 4, eager)
    assert result.error is None
    places, failed, _ = result.value
    assert len(places) >= 4
    assert failed == [0]
    assert max(done) < 10
    assert set(done) - set(places) <= set(undone)
    assert not set(undone) & set(places)


async def test_a_member_of_several_steps_is_undone_as_one() -> None:
    async def both(number: int) -> int:
        await ship(number)
        if number == 1:
            raise RuntimeError("no label")
        return number

    @saga
    async def one() -> list[int]:
        return (await all_of((both(number) for number in range(3)), tolerate=1)).values

    result = await SagaTestRunner().run(one)
    assert result.value == [0, 2]
    assert undone == [1]


async def test_too_many_failed_carries_the_errors() -> None:
    @saga
    async def one() -> list[str]:
        try:
            await all_of((refuse(number) for number in range(4)), tolerate=1, at_once=1)
        except TooManyFailed as error:
            return [str(one) for one in error.errors]
        return []

    assert (await SagaTestRunner().run(one)).value == ["no 0", "no 1"]


async def test_ten_thousand_members() -> None:
    @saga
    async def one() -> int:
        return sum(await all_of(ship(number) for number in range(10_000)))

    runner = SagaTestRunner()
    result = await runner._run(NO_FAULTS, one, (), {})
    assert result.value == 99_990_000


async def test_every_crash() -> None:
    def check(result: Any) -> None:
        assert result.status in ("completed", "compensated", "cancelled", "running")

    await SagaTestRunner().explore(with_failures, 5, [1], 1, None, False, invariant=check, schedules_max=120)


@pytest.mark.parametrize("options", [
    {"at_once": 0}, {"at_once": True}, {"at_once": 1001}, {"enough": 0}, {"enough": 1.5}, {"tolerate": -1}, {"tolerate": 1.5},
    {"tolerate": "2"}, {"tolerate": True},
])  # fmt: skip
async def test_numbers_that_mean_nothing(options: Any) -> None:
    @saga
    async def one() -> None:
        await all_of([], **options)

    result = await SagaTestRunner().run(one)
    assert f"all_of(): {next(iter(options))} is" in (result.error or "")


async def test_outside_of_a_saga() -> None:
    with pytest.raises(UnsupportedOperation, match="saga code"):
        await all_of([])
    with pytest.raises(UnsupportedOperation, match="saga code"):
        await wait_until(lambda: True)


@saga
async def waits(seconds: float | None) -> str:
    try:
        await wait_until(lambda: len(state.get("got", [])) >= 2, timeout=seconds)
    except TimeoutError:
        return f"only {len(state.get('got', []))}"
    return " ".join(state.get("got"))


@waits.signal
async def item(name: str) -> None:
    state.set("got", [*state.get("got", []), name])


async def test_it_waits_for_what_handlers_do() -> None:
    runner = SagaTestRunner()
    runner.publish("item", "lamp", after=10)
    runner.publish("item", "desk", after=20)
    result = await runner.run(waits, None)
    assert result.value == "lamp desk"
    assert result.elapsed.total_seconds() == 20


async def test_it_times_out() -> None:
    runner = SagaTestRunner()
    runner.publish("item", "lamp", after=10)
    assert (await runner.run(waits, 15)).value == "only 1"


async def test_what_is_true_already_and_what_a_task_makes_true() -> None:
    @saga
    async def one() -> list[str]:
        told: list[str] = []

        async def other() -> None:
            await asyncio.sleep(1)
            told.append("other")

        await wait_until(lambda: True)
        task = asyncio.create_task(other())
        await asyncio.gather(wait_until(lambda: told), wait_until(lambda: now().timestamp() > 0))
        await task
        return told

    assert (await SagaTestRunner().run(one)).value == ["other"]


@pytest.mark.parametrize(("condition", "why"), [
    (lambda: 1 / 0, "ZeroDivisionError"), (lambda: ship(1), "only compute"), (lambda one: True, "called without arguments"),
    (True, "give a function without parameters"), (lambda: state.set("x", 1), "only compute"),
])  # fmt: skip
async def test_conditions_that_can_not_be(condition: Any, why: str) -> None:
    @saga
    async def one() -> None:
        await wait_until(condition)

    assert why in str((await SagaTestRunner().run(one)).error)


async def test_async_conditions_are_refused() -> None:
    async def late() -> bool:
        return True

    @saga
    async def one() -> None:
        await wait_until(late)

    assert "is async, but it only computes" in str((await SagaTestRunner().run(one)).error)


async def test_a_cancelled_wait_is_asked_no_more() -> None:
    asked: list[int] = []

    @saga
    async def one() -> int:
        def condition() -> bool:
            asked.append(1)
            return False

        try:
            async with asyncio.timeout(1):
                await wait_until(condition)
        except TimeoutError:
            pass
        asked.clear()
        await signal("go")
        return len(asked)

    runner = SagaTestRunner()
    runner.publish("go")
    assert (await runner.run(one)).value == 0
