"""The state of a child saga has the child's name, wherever its call stands; runs of before keep the numbers of their calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga import Saga, SagaStep, Step, SubSaga, saga, state, step
from durable_saga.testing import Faults, SagaResult, SagaTestRunner, driver


def play(one: Any, *args: Any, faults: Faults | None = None) -> SagaResult:
    return asyncio.run(SagaTestRunner().run_with(faults or Faults(), one, *args))


@step
async def act(what: str) -> str:
    return what


@saga
async def pack(what: str) -> str:
    state.set("packed", await act(what))
    return str(state.get("packed"))


@saga
async def ship(what: str) -> str:
    state.set("phase", "packing")
    await pack(what)
    state.set("phase", "gone")
    return what


@saga
async def order(extra: bool) -> list[str]:
    state.set("phase", "one")
    if extra:
        await act("something before")
    first = await ship("a")
    both = await asyncio.gather(ship("b"), ship("c"))
    await pack("d")
    return [first, *both]


WANTED = {
    "phase": "one", "ship/phase": "gone", "ship/pack/packed": "a", "ship#2/phase": "gone", "ship#2/pack/packed": "b",
    "ship#3/phase": "gone", "ship#3/pack/packed": "c", "pack/packed": "d",
}  # fmt: skip


@pytest.mark.parametrize("extra", [False, True])
def test_it_is_named_by_the_child_and_does_not_move_with_the_calls(extra: bool) -> None:
    assert play(order, extra).state == WANTED


def test_it_is_the_same_wherever_the_worker_dies() -> None:
    assert play(order, True, faults=Faults(crash_at=range(1, 60))).state == WANTED

    def invariant(result: SagaResult) -> None:
        if result.status == "completed":
            assert result.state == WANTED

    assert asyncio.run(SagaTestRunner().explore(order, True, invariant=invariant, schedules_max=60)).schedules > 10


def test_a_run_of_before_keeps_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "DETERMINISM_RULES", 1)
    found = play(order, False, faults=Faults(crash_at=range(1, 60)))
    assert found.value == ["a", "b", "c"]
    assert found.state["phase"] == "one"
    assert {key.rpartition("/")[0].replace(".", "").replace("/", "").isdigit() for key in found.state if "/" in key} == {True}
    assert sorted(key.rpartition("/")[2] for key in found.state) == ["packed"] * 4 + ["phase"] * 4


class Table(Saga):
    name = "table_with_children"

    def define(self) -> list[SagaStep]:
        return [
            Step("start", self.start),
            SubSaga("outbound", pack, context=lambda context, results: "out"),
            SubSaga("return", pack, context=lambda context, results: "back"),
        ]

    async def start(self, context: Any) -> None: ...


def test_in_a_table_it_has_the_name_of_its_place() -> None:
    found = play(Table, {}).state
    assert {key: value for key, value in found.items() if "/" in key} == {"outbound/packed": "out", "return/packed": "back"}


def test_a_key_that_is_a_childs_is_refused() -> None:
    @saga
    async def clashes() -> None:
        await pack("a")
        state.set("pack/packed", "mine")

    @saga
    async def comes_first() -> None:
        state.set("pack/packed", "mine")
        await pack("a")

    error = play(clashes).error
    assert error is not None
    assert "state 'pack/packed' would be kept as 'pack/packed', which the child saga pack already has: use another key" in error
    error = play(comes_first).error
    assert error is not None
    assert "state 'packed' would be kept as 'pack/packed', which the saga around it already has" in error
