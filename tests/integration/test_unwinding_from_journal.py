"""A saga whose code no longer fits is undone from its journal: by a request, by its time-out, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from durable_saga_server.workers import refusals

from durable_saga import (
    Client,
    Handle,
    Retry,
    Saga,
    SagaStep,
    Step,
    SubSaga,
    WaitForEvent,
    Worker,
    connect,
    event,
    on_failure,
    pivot,
    saga,
    scope,
    step,
)  # fmt: skip
from durable_saga.client import raw
from durable_saga.errors import AlreadyEnded, SagaCancelled, SagaCompensated, SagaStuck
from durable_saga.pb import client_pb2 as c

UNDONE: list[str] = []
ONCE = Retry(max_attempts=1)
PAUSED = asyncio.Event()
PAUSED.set()


@pytest.fixture(autouse=True)
def nothing_undone() -> None:
    UNDONE.clear()


@step
async def reserve(order: str) -> str:
    return f"reserved {order}"


@reserve.compensation
async def release(order: str, result: str | None) -> None:
    UNDONE.append(f"release {order} ({result})")


@step
async def charge(order: str, amount: int = 5) -> str:
    return f"charged {order}"


@charge.compensation
async def refund(order: str, amount: int, result: str | None) -> None:
    UNDONE.append(f"refund {order} {amount} ({result})")


@step
async def pack(order: str) -> None: ...


@pack.compensation
async def unpack(order: str) -> None:
    UNDONE.append(f"unpack {order}")
    await PAUSED.wait()


async def cancel_order(order: str) -> None:
    UNDONE.append(f"cancel {order}")


@saga(name="place_order", timeout=3600)
async def place_order(order: str) -> str:
    on_failure(cancel_order, order)
    await reserve(order)
    async with scope():
        await charge(order)
        await pack(order)
    return str(await event("go"))


@saga(name="place_order", timeout=3600)
async def other_order(order: str) -> str:
    await charge(order)
    await reserve(order)
    return str(await event("go"))


ALL_OF = ["unpack", "refund", "release", "cancel"]


async def until(asked: Callable[[], Awaitable[Any]]) -> Any:
    while not (found := await asked()):
        await asyncio.sleep(0.02)
    return found


async def waiting(handle: Handle[Any], events: int) -> None:
    async def asked() -> bool:
        return len(await raw.history(handle)) >= events

    await until(asked)


async def blocked(handle: Handle[Any]) -> c.Description:
    async def asked() -> c.Description | None:
        found = await raw.describe(handle)
        return found if found.blocked and not found.owner else None

    found: c.Description = await until(asked)
    return found


async def started(client: Client, count: int) -> list[Handle[Any]]:
    """With the code that they fit, up to the event that they wait for."""
    async with Worker(client, sagas=[place_order]):
        handles = [await client.start(place_order, f"o{number}", id=f"o{number}") for number in range(count)]
        for handle in handles:
            await waiting(handle, 9)
    return handles


def play(scene: Callable[[], Awaitable[None]], seconds: float = 8) -> None:
    """A blocked saga would be tried again after 10 s."""
    asyncio.run(asyncio.wait_for(scene(), seconds))


def test_twenty_orders_that_a_bad_deploy_has_blocked_are_compensated_in_order() -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            handles = await started(client, 20)
            async with Worker(client, sagas=[other_order]):
                for handle in handles:
                    await handle.signal("go", "on")
                for handle in handles:
                    await blocked(handle)
                for handle in handles:
                    await handle.compensate("bad deploy", who="ann")
                for number, handle in enumerate(handles):
                    with pytest.raises(SagaCompensated):
                        await handle.result()
                    own = [one for one in UNDONE if one.split()[1] == f"o{number}"]
                    assert [one.split()[0] for one in own] == ALL_OF
                    described = await handle.describe()
                    assert "the code asked for" in described.from_journal, described
                assert "refund o7 5 (charged o7)" in UNDONE

    play(scene, 20)


def test_a_cancel_that_waits_for_it_undoes_it_when_the_worker_finds_that_its_code_does_not_fit() -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            (handle,) = await started(client, 1)
            await handle.cancel("too late")
            async with Worker(client, sagas=[other_order]):
                with pytest.raises(SagaCancelled):
                    await handle.result()
                assert [one.split()[0] for one in UNDONE] == ALL_OF

    play(scene)


def test_a_blocked_saga_whose_time_out_comes_is_undone_then() -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            async with Worker(client, sagas=[place_order]):
                handle = await client.start(place_order, "o", id="o", timeout=2.5)
                await waiting(handle, 9)
            async with Worker(client, sagas=[other_order]):
                await handle.signal("go", 1)
                assert (await blocked(handle)).wake_at_ms > 0
                with pytest.raises(SagaCompensated, match="SagaTimedOut"):
                    await handle.result()
                assert [one.split()[0] for one in UNDONE] == ALL_OF

    play(scene)


def test_its_time_out_does_not_wait_for_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "BLOCKED_RETRY_MS_MIN", 600_000)  # as after many of them

    async def scene() -> None:
        async with connect("memory:") as client:
            async with Worker(client, sagas=[place_order]):
                handle = await client.start(place_order, "o", id="o", timeout=4)
                await waiting(handle, 9)
            async with Worker(client, sagas=[other_order]):
                await handle.signal("go", 1)
                found = await blocked(handle)
                assert found.wake_at_ms <= found.started_ms + 4_100
                with pytest.raises(SagaCompensated, match="SagaTimedOut"):
                    await handle.result(timeout=30)

    play(scene)


@saga(name="place_order", timeout=3600)
async def without_charge(order: str) -> str:
    await reserve(order)
    return str(await event("go"))


def test_what_no_module_has_any_more_is_stuck_with_the_reason_and_the_rest_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            (handle,) = await started(client, 1)
            monkeypatch.delitem(globals(), "charge")
            await handle.compensate("gone")
            async with Worker(client, sagas=[without_charge]):
                with pytest.raises(SagaStuck):
                    await handle.result()
                assert [one.split()[0] for one in UNDONE] == ["unpack", "release", "cancel"]
                step = next(one for one in (await handle.describe()).steps if one.compensation_state == "stuck")
                assert (step.name, "have no step charge" in (step.compensation_error or "")) == ("charge", True)
            monkeypatch.undo()
            async with Worker(client, sagas=[without_charge]):  # the function is back; the saga's code is not
                await handle.retry_compensation(step.call, "it is back")
                with pytest.raises(SagaCompensated):
                    await handle.result()
                assert UNDONE[-1] == "refund o0 5 (charged o0)"

    play(scene)


def test_past_its_pivot_it_stays_blocked_and_a_cancel_is_refused() -> None:
    @saga(name="turning")
    async def turning() -> None:
        await reserve("p")
        pivot()
        await event("go")

    @saga(name="turning")
    async def other() -> None:
        await event("go")

    async def scene() -> None:
        async with connect("memory:") as client:
            async with Worker(client, sagas=[turning]):
                handle = await client.start(turning, id="p")
                await waiting(handle, 4)
            async with Worker(client, sagas=[other]):
                await handle.signal("go")
                await blocked(handle)
                with pytest.raises(AlreadyEnded, match="past its pivot"):
                    await handle.cancel("no")
                assert UNDONE == []

    play(scene)


class Table(Saga):
    name = "table"

    def define(self) -> list[SagaStep]:
        steps = [Step(name, self.act, self.undo, retry=ONCE) for name in ("one", "two")]
        return [*steps, SubSaga("inside", Inner, lambda context, _: {"who": context["who"] + "'s child"}), self.wait()]

    def wait(self) -> SagaStep:
        return WaitForEvent("wait", "go")

    async def act(self, context: Any) -> str:
        return f"did for {context['who']}"

    async def undo(self, context: Any, result: Any) -> None:
        UNDONE.append(f"undo for {context['who']}: {result}")


class Inner(Table):
    name = "inner"

    def define(self) -> list[SagaStep]:
        return [Step("three", self.act, self.undo)]


class OtherTable(Table):
    def define(self) -> list[SagaStep]:
        first, second, inside, _ = super().define()
        return [second, first, inside, self.wait()]


def test_a_declared_saga_and_its_child_are_undone_with_the_contexts_that_they_had() -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            async with Worker(client, sagas=[Table]):
                handle = await client.start(Table, {"who": "ann"}, id="t")
                await waiting(handle, 10)
            async with Worker(client, sagas=[OtherTable]):
                await handle.cancel("bad deploy")
                with pytest.raises(SagaCancelled):
                    await handle.result()
                assert (await handle.describe()).from_journal
                undone = [f"undo for {who}: did for {who}" for who in ("ann's child", "ann", "ann")]
                assert undone == UNDONE

    play(scene)


def test_another_worker_goes_on_with_an_unwind_from_the_journal_whose_worker_died() -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            (handle,) = await started(client, 1)
            first = Worker(client, sagas=[other_order])
            running = asyncio.create_task(first.run())
            PAUSED.clear()
            await handle.cancel("bad deploy")
            await until(lambda: _is(UNDONE[:1] == ["unpack o0"]))
            running.cancel()  # nothing is given back
            await asyncio.gather(running, return_exceptions=True)
            PAUSED.set()
            async with Worker(client, sagas=[place_order]):  # the right code is back: the unwind is not turned back
                with pytest.raises(SagaCancelled):
                    await handle.result()
                assert [one.split()[0] for one in UNDONE] == ["unpack", *ALL_OF]  # that one may have been cut off
                assert (await handle.describe()).from_journal

    play(scene, 30)


async def _is(found: bool) -> bool:
    return found


@saga(name="renamed_order")
async def renamed_order(order: str) -> None:
    await pack(order)


def test_a_saga_whose_type_no_worker_has_any_more_is_undone_by_one_that_has_its_steps() -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            first, second = await started(client, 2)
            async with Worker(client, sagas=[renamed_order]):
                await first.cancel("its saga was renamed")
                with pytest.raises(SagaCancelled):
                    await first.result()
                assert [one.split()[0] for one in UNDONE] == ALL_OF
                assert (await first.describe()).from_journal == "no worker has a saga 'place_order'"
                await second.signal("go", 1)
                await asyncio.sleep(0.2)
                assert not (await raw.describe(second)).owner  # nobody wants it to be undone

    play(scene)


def test_a_saga_whose_type_no_worker_has_any_more_is_undone_at_its_time_out() -> None:
    async def scene() -> None:
        async with connect("memory:") as client:
            async with Worker(client, sagas=[place_order]):
                handle = await client.start(place_order, "o0", id="o0", timeout=2.0)
                await waiting(handle, 9)
            async with Worker(client, sagas=[renamed_order]):
                with pytest.raises(SagaCompensated, match="SagaTimedOut"):
                    await handle.result()
                assert [one.split()[0] for one in UNDONE] == ALL_OF
                assert (await handle.describe()).from_journal == "no worker has a saga 'place_order'"

    play(scene)
