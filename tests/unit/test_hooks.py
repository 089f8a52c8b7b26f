"""Hooks: what they see and decide, and what they can't break. Each attempt leaves its outcome, whatever a hook does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from durable_saga import Call, Hook, NotApplied, Retry, Worker, connect, hook, hooks, saga, step, step_context
from durable_saga.errors import InvalidArgument, SagaCompensated, SagaFailed
from durable_saga.hooks import GoOn

LINES: list[str] = []
TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")
ONCE, TWICE = Retry(max_attempts=1), Retry(max_attempts=2, initial=0.01)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LINES.clear()


class Declined(Exception):
    pass


@hook
async def outer(call: Call, go_on: GoOn) -> Any:
    LINES.append(f"outer {call.kind} {call.name}")
    try:
        return await go_on()
    except BaseException as error:
        LINES.append(f"outer saw {type(error).__name__}")
        raise
    finally:
        LINES.append(f"outer left {call.name}")


@hook
async def inner(call: Call, go_on: GoOn) -> Any:
    if call.kind in ("step", "compensation"):
        LINES.append(f"inner {call.attempt} of {step_context().step}")
    TENANT.set("Ann")
    return await go_on()


@step(retry=ONCE)
async def charge(order: str) -> str:
    LINES.append(f"charge for {TENANT.get()}")
    return f"receipt of {order}"


@charge.compensation
def refund(order: str, result: str | None) -> None:
    LINES.append(f"refund {result} for {TENANT.get()}")


@step(retry=ONCE)
def pack(order: str) -> str:
    LINES.append(f"pack for {TENANT.get()} in {threading.current_thread().name.partition('_')[0]}")
    if order == "wrong":
        raise Declined("no such thing")
    return order


@saga
async def place_order(order: str) -> str:
    receipt = await charge(order)
    await pack(order)
    return receipt


@step(retry=TWICE)
async def twice_down() -> None:
    LINES.append("twice_down")
    raise Declined("down")


@saga
async def fails() -> None:
    await twice_down()


@step(retry=ONCE, timeout=0.2)
async def slow() -> None:
    await asyncio.sleep(30)


@step(retry=ONCE, timeout=0.2)
def slow_in_thread() -> None:
    time.sleep(0.6)


@saga
async def waits_for(what: str) -> None:
    await (slow() if what == "loop" else slow_in_thread())


@saga
async def charges() -> str:
    return await charge("o-1")


async def play(saga_function: Any, *args: Any, hooks: Any = (), worker_hooks: Any = ()) -> Any:
    sagas: list[Any] = [place_order, fails, waits_for, charges]
    async with connect("memory:", hooks=hooks) as client, Worker(client, sagas=sagas, hooks=worker_hooks):
        return await (await client.start(saga_function, *args, id="o-1")).result(timeout=20)


def failed(function: Callable[..., Any], hook: Hook, *args: Any) -> str:
    with pytest.raises((SagaFailed, SagaCompensated)) as caught:
        asyncio.run(play(function, *args, worker_hooks=[hook]))
    assert caught.value.failure is not None
    return f"{caught.value.failure.type.rpartition('.')[2]}: {caught.value.failure.message}"


def test_hooks_are_around_starts_steps_and_compensations_the_first_outermost() -> None:
    with pytest.raises(SagaCompensated):
        asyncio.run(play(place_order, "wrong", hooks=[outer], worker_hooks=[inner]))
    assert LINES == [
        "outer start place_order", "outer left place_order",
        "outer step charge", "inner 1 of charge", "charge for Ann", "outer left charge",
        "outer step pack", "inner 1 of pack", "pack for Ann in saga-step", "outer saw Declined", "outer left pack",
        "outer compensation refund", "inner 1 of refund", "refund receipt of wrong for Ann", "outer left refund",
    ]  # fmt: skip


def test_a_hook_sees_arguments_and_whether_an_attempt_is_tried_again() -> None:
    @hook
    async def looks(call: Call, go_on: GoOn) -> None:
        try:
            await go_on()
        except Declined as error:
            LINES.append(f"{call.saga} {call.saga_type} {call.run} {call.call} {call.is_tried_again(error)}")

    failed(fails, looks)
    assert LINES == ["twice_down", "o-1 fails 1 1 True", "twice_down", "o-1 fails 1 1 False"]


def test_what_a_hook_returns_does_not_count() -> None:
    @hook
    async def gives_nothing(call: Call, go_on: GoOn) -> str:
        await go_on()
        return "something else"

    assert asyncio.run(play(charges, worker_hooks=[gives_nothing])) == "receipt of o-1"


def test_an_error_that_a_hook_swallows_stands() -> None:
    @hook
    async def swallows(call: Call, go_on: GoOn) -> str:
        try:
            await go_on()
        except Declined:
            pass
        return "all is well"

    assert failed(fails, swallows) == "Declined: down"
    assert LINES == ["twice_down", "twice_down"]


def test_what_a_hook_raises_is_the_outcome_before_and_after_the_step() -> None:
    @hook
    async def refuses(call: Call, go_on: GoOn) -> None:
        raise PermissionError("not on Sundays")

    @hook
    async def can_not_commit(call: Call, go_on: GoOn) -> None:
        await go_on()
        raise ConnectionError("the session did not commit")

    assert failed(charges, refuses) == "PermissionError: not on Sundays"
    assert LINES == []

    @hook
    async def only_charge(call: Call, go_on: GoOn) -> None:
        await (can_not_commit if call.kind == "step" else go_on)(*((call, go_on) if call.kind == "step" else ()))

    assert failed(charges, only_charge) == "ConnectionError: the session did not commit"
    assert LINES == ["charge for nobody", "refund None for nobody"]  # it may have happened


def test_a_hook_may_say_that_nothing_was_applied() -> None:
    @hook
    async def proves(call: Call, go_on: GoOn) -> None:
        raise NotApplied("the tenant is closed")

    assert failed(charges, proves) == "NotApplied: the tenant is closed"
    assert LINES == []


@hook
async def forgets(call: Call, go_on: GoOn) -> None:
    pass


@hook
async def doubles(call: Call, go_on: GoOn) -> Any:
    await go_on()
    return await go_on()


@hook
async def both_at_once(call: Call, go_on: GoOn) -> None:
    await asyncio.gather(go_on(), go_on())


@pytest.mark.parametrize(
    ("wrong", "text", "calls"),
    [(forgets, "returned without go_on()", 0), (doubles, "a second time", 1), (both_at_once, "a second time", 1)],
)
def test_a_hook_that_goes_on_never_or_twice_fails_the_attempt_and_is_named(wrong: Hook, text: str, calls: int) -> None:
    @hook
    async def on_steps(call: Call, go_on: GoOn) -> Any:
        return await (wrong(call, go_on) if call.kind == "step" else go_on())

    @step(retry=ONCE, in_doubt="leave")
    async def counted() -> None:
        LINES.append("counted")

    @saga
    async def one() -> None:
        await counted()

    async def scenario() -> str:
        async with connect("memory:") as client, Worker(client, sagas=[one], hooks=[wrong]):
            with pytest.raises(SagaFailed) as caught:
                await (await client.start(one)).result(timeout=20)
            return str(caught.value.failure)

    told = asyncio.run(scenario())
    for part in ("HookFailed", wrong.name, text, "test_hooks.py"):
        assert part in told
    assert len(LINES) <= calls


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hook_that_never_returns_has_its_time(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    monkeypatch.setattr(hooks, "HOOK_SECONDS_MAX", 0.2)

    @hook
    async def hangs(call: Call, go_on: GoOn) -> None:
        if when == "before" or call.kind == "compensation":
            await (asyncio.sleep(30) if call.kind == "step" else go_on())
        if call.kind == "step":
            await go_on()
            await asyncio.sleep(30)

    assert failed(charges, hangs).startswith("HookFailed: hook hangs (")
    assert ([] if when == "before" else ["charge for nobody", "refund None for nobody"]) == LINES


def test_the_time_of_a_step_is_not_that_of_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "HOOK_SECONDS_MAX", 0.2)

    @step
    async def takes_long() -> str:
        await asyncio.sleep(0.5)
        return "done"

    @saga
    async def long() -> str:
        return await takes_long()

    async def scenario() -> str:
        async with connect("memory:", hooks=[outer]) as client, Worker(client, sagas=[long]):
            return await (await client.start(long)).result(timeout=20)

    assert asyncio.run(scenario()) == "done"


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_time_out_covers_hooks_and_they_see_it(where: str) -> None:
    assert failed(waits_for, outer, where).startswith("StepTimedOut: slow")
    assert "outer saw StepTimedOut" in LINES

    @hook
    async def dawdles(call: Call, go_on: GoOn) -> None:
        await asyncio.sleep(30)

    assert failed(waits_for, dawdles, where).startswith("StepTimedOut: slow")


def test_a_hook_that_swallows_the_time_out_starts_nothing_and_hides_nothing() -> None:
    @hook
    async def goes_on_all_the_same(call: Call, go_on: GoOn) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            LINES.append("swallowed")
        await go_on()

    assert failed(waits_for, goes_on_all_the_same, "loop").startswith("StepTimedOut: slow")
    assert LINES == ["swallowed"]


def test_a_hook_may_run_the_step_in_a_task_of_its_own() -> None:
    @hook
    async def in_a_task(call: Call, go_on: GoOn) -> Any:
        return await asyncio.wait_for(go_on(), 10)

    @hook
    async def does_not_wait(call: Call, go_on: GoOn) -> None:
        LINES.append(asyncio.create_task(go_on(), name="made").get_name())  # type: ignore[arg-type]
        await asyncio.sleep(0)

    for one in (in_a_task, does_not_wait):
        assert asyncio.run(play(charges, worker_hooks=[one])) == "receipt of o-1"


def test_what_a_hook_leaves_behind_is_cancelled_before_the_next_attempt() -> None:
    @hook
    async def runs_away(call: Call, go_on: GoOn) -> None:
        LINES.append(asyncio.create_task(go_on(), name="made").get_name())  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        raise ConnectionError("away")

    @step(retry=ONCE, in_doubt="leave")
    async def long() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            LINES.append("cancelled")

    @saga
    async def runs_long() -> None:
        try:
            await long()
        except ConnectionError:
            LINES.append("told")
            raise

    async def scenario() -> None:
        async with connect("memory:") as client, Worker(client, sagas=[runs_long], hooks=[runs_away]):
            with pytest.raises(SagaFailed):
                await (await client.start(runs_long)).result(timeout=20)

    asyncio.run(scenario())
    assert LINES == ["made", "cancelled", "told"]


def test_a_start_that_a_hook_refuses_is_not_sent_and_one_that_fails_stays_failed() -> None:
    @hook
    async def refuses(call: Call, go_on: GoOn) -> Any:
        if call.kind == "start" and call.args == ("refused",):
            raise PermissionError("not for you")
        try:
            return await go_on()
        except InvalidArgument:
            return None

    async def scenario() -> None:
        async with connect("memory:", hooks=[refuses]) as client:
            with pytest.raises(PermissionError):
                await client.start(place_order, "refused", id="o-1")
            assert [one async for one in client.list()] == []
            await client.start(place_order, "fine", id="o-1")
            await client.handle("o-1").signal("go", 1)
            with pytest.raises(InvalidArgument):
                await client.publish("paid", 1)

    asyncio.run(scenario())


def test_what_is_no_hook_is_refused_where_it_is_given() -> None:
    async def plain(call: Call, go_on: GoOn) -> None: ...

    with pytest.raises(TypeError, match="isn't a hook: mark an async function"):
        connect("memory:", hooks=[plain])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="needs an `async def sync"):
        _sync()
    with pytest.raises(TypeError, match="must take two arguments"):

        @hook  # type: ignore[arg-type]
        async def takes_one(call: Call) -> None: ...


def _sync() -> None:
    @hook
    def sync(call: Call, go_on: GoOn) -> Any: ...


def test_a_hook_is_named_in_errors_of_its_own_and_can_be_called_in_a_test() -> None:
    async def four() -> int:
        return 4

    async def scenario() -> Any:
        return await outer(Call("step", "charge", "n", "s"), four)

    assert asyncio.run(scenario()) == 4
    assert repr(outer) == "<hook outer>"
