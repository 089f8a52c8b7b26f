"""Sagas for the lines of the feature list: functions and tables. `sagas.WORLD` records what really ran."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from durable_saga import (
    Parallel,
    Retry,
    Saga,
    SagaState,
    SagaStep,
    Step,
    SubSaga,
    WaitForEvent,
    correlate,
    event,
    on_failure,
    pivot,
    saga,
    scope,
    sleep,
    state,
    step,
)
from tests.integration.sagas import FAILURES, ONCE, WORLD, book, decline, unbook


class Refused(Exception):
    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@step(retry=ONCE)
def immediate(what: str, fail: bool) -> str:
    WORLD.append(f"do {what}")
    if fail:
        raise Refused(f"{what} refused")
    return what


@immediate.compensation(strategy="immediate")
def undo_immediate(what: str, fail: bool, result: str | None) -> None:
    WORLD.append(f"undo {what} {result}")


@step(retry=ONCE)
def ruled(what: str) -> None:
    WORLD.append(f"do {what}")


@ruled.compensation(when=lambda error: getattr(error, "code", "") == "BUSINESS_RULE_VIOLATION")
def undo_ruled(what: str) -> None:
    WORLD.append(f"undo {what}")


@step(retry=ONCE)
def refuse(code: str) -> None:
    raise Refused("refused", code)


@step(retry=ONCE)
def wobbly(name: str, failures: int) -> str:
    FAILURES[name] = FAILURES.get(name, 0) + 1
    if FAILURES[name] <= failures:
        raise Refused(f"{name} failed {FAILURES[name]}")
    WORLD.append(f"did {name}")
    return name


@saga
async def at_once(fail: bool) -> str:
    try:
        await immediate("x", fail)
    except Refused as error:
        WORLD.append(f"saga goes on: {error}")
        await book("instead")
        return "instead"
    await decline("later")
    return "never"


@saga
async def conditional(code: str) -> None:
    await ruled("rule")
    await refuse(code)


@saga
async def scoped() -> str:
    await book("outer")
    try:
        async with scope("trial"):
            await book("inner 1")
            on_failure(unbook, "noted", result=None)
            await book("inner 2")
            await decline("inner 3")
    except Exception as error:
        WORLD.append(f"caught {type(error).__name__}")
    await book("after")
    return "ended well"


@saga
async def child(name: str, fail: bool) -> str:
    await book(f"{name} a")
    state.set("name", name)
    await book(f"{name} b")
    if fail:
        await decline(f"{name} c")
    return f"child {name}"


@saga
async def parent(first_fails: bool, fail: bool) -> list[str]:
    await book("before")
    results = []
    try:
        results.append(await child("one", first_fails))
    except Exception as error:
        results.append(type(error).__name__)
    results.append(await child("two", False))
    await book("between")
    if fail:
        await decline("end")
    return results


@saga(timeout=60)
async def pivoting(failures: int) -> str:
    await book("before")
    pivot()
    return await wobbly("after", failures)


@saga
async def pivot_then_error() -> None:
    await book("before")
    pivot()
    if not FAILURES.get("mended"):
        raise ValueError("a mistake in the code")


@saga(when_failed="hold")
async def held(failures: int) -> list[str]:
    first = await book("first")
    return [first, await wobbly("second", failures)]


@saga
async def keeps_state() -> str:
    state.set("phase", "one")
    await book("x")
    state.set("phase", "two")
    state.set("list", [1, 2])
    return str(await event("go"))


@saga(keys=lambda customer: [f"customer:{customer}"])
async def awaits_event(customer: str) -> Any:
    correlate(f"late:{customer}")
    await book(customer)
    return await event("paid", timeout=20)


@saga
async def event_times_out() -> None:
    await book("desk")
    await event("never", timeout=0.2)


@saga(retry=Retry(max_attempts=3, initial=0.01))
async def saga_retry(failures: int) -> str:
    return await plain_wobbly("saga", failures)


@step
def plain_wobbly(name: str, failures: int) -> str:
    return wobbly.definition.function(name, failures)  # type: ignore[no-any-return]


@saga(compensation_order=lambda names: sorted(names))
async def ordered() -> None:
    await book("b")
    await look("a")
    await decline("c")


@step(retry=ONCE)
def look(what: str) -> None:
    WORLD.append(f"look {what}")


@look.compensation
def unlook(what: str) -> None:
    WORLD.append(f"unlook {what}")


@saga(compensation_parallel=True)
async def all_at_once() -> None:
    await asyncio.gather(*(slow_undo(f"{number}") for number in range(3)))
    await decline("c")


@step(retry=ONCE)
def slow_undo(what: str) -> None: ...


@slow_undo.compensation
async def undo_slowly(what: str) -> None:
    WORLD.append(f"begin {what}")
    await asyncio.sleep(0.2)
    WORLD.append(f"end {what}")


FUNCTIONS = [
    at_once, conditional, scoped, child, parent, pivoting, pivot_then_error, held, keeps_state, awaits_event,
    event_times_out, saga_retry, ordered, all_at_once,
]  # fmt: skip


class Table(Saga):
    """Every step and compensation of a table, recorded."""

    def act(self, name: str, result: Any = None, *, fails: str = "") -> Any:
        async def action(context: Any) -> Any:
            WORLD.append(f"do {name}")
            if fails and context.get("fails") == name:
                raise Refused(f"{name} refused", fails)
            return result or f"{name} done"

        return action

    def undo(self, name: str) -> Any:
        async def compensation(context: Any, result: Any) -> None:
            WORLD.append(f"undo {name} {result}")

        return compensation

    def step(self, name: str, result: Any = None, **options: Any) -> Step:
        return Step(name, self.act(name, result, fails="NO"), self.undo(name), retry=ONCE, **options)


class Chain(Table):
    name = "chain_of_three"

    def define(self) -> Sequence[SagaStep]:
        return [self.step("one"), self.step("two"), self.step("three")]


class Grouped(Table):
    name = "grouped"

    def define(self) -> Sequence[SagaStep]:
        return [
            self.step("first"),
            Parallel("group", [self.step("left"), self.step("right"), Step("slow", self.slow, self.undo("slow"))]),
            self.step("last", depends_on=["group"]),
        ]

    async def slow(self, context: Any) -> str:
        if context.get("fails"):
            await asyncio.sleep(30)
        return "slow done"


class Graph(Table):
    name = "graph"

    def define(self) -> Sequence[SagaStep]:
        return [
            Step("a", self.meet),
            Step("b", self.meet, depends_on=[]),
            self.step("c", depends_on=["a", "b"]),
        ]

    async def meet(self, context: Any) -> None:
        """Ends only when both run at the same time."""
        FAILURES["met"] = FAILURES.get("met", 0) + 1
        while FAILURES["met"] < 2:
            await asyncio.sleep(0.01)


class Tiered(Table):
    name = "tiered"

    def define(self) -> Sequence[SagaStep]:
        return [
            Step("check_tier", self.check_tier),
            self.step("premium", condition=lambda context, results: results["check_tier"]["tier"] == "premium"),
            self.step("needs_premium", depends_on=["premium"], when_skipped="skip"),
            self.step("always", depends_on=["premium"]),
            self.step("end"),
        ]

    def check_tier(self, context: Any) -> dict[str, str]:
        return {"tier": context["tier"]}


class Hooked(Table):
    name = "hooked"

    def define(self) -> Sequence[SagaStep]:
        return [self.step("one"), self.step("two"), self.step("forbidden")]

    async def execute_step(self, name: str, context: Any, state: SagaState) -> Any:
        if name == "forbidden":
            raise Refused(f"stopped after {state.get('last_successful_step')}")
        return await super().execute_step(name, context, state)


class Strategies(Table):
    name = "strategies"

    def define(self) -> Sequence[SagaStep]:
        return [
            self.step("step1"),
            self.step("step2", compensation_strategy="immediate"),
            self.step(
                "step3",
                compensation_strategy="conditional",
                compensation_when=lambda context, error: getattr(error, "code", "") == context["undo_on"],
            ),
            self.step("step4"),
        ]

    def compensation_order(self) -> Sequence[str]:
        return ["step3", "step1", "step2"]


class Approval(Table):
    name = "approval_table"

    def define(self) -> Sequence[SagaStep]:
        return [
            self.step("initiate"),
            WaitForEvent("wait_for_approval", event="approval_received", timeout=86_400),
            Step("complete", self.complete, depends_on=["wait_for_approval"]),
        ]

    def complete(self, context: Any, results: Mapping[str, Any]) -> Any:
        return results["wait_for_approval"]

    async def handle_event(self, event: str, data: Any, saga_id: str) -> None:
        if event == "approval_rejected":
            self.compensate(f"rejected: {data}")
        elif event == "approved_by_phone":
            self.resume("wait_for_approval", {"by": data})
        else:
            await super().handle_event(event, data, saga_id)


class Outer(Table):
    name = "outer"

    def define(self) -> Sequence[SagaStep]:
        return [
            self.step("before"),
            SubSaga("inner", Chain, context=lambda context, results: {"fails": context.get("inner_fails")}),
            self.step("after", pivot=False),
        ]


class Sleepy(Table):
    name = "sleepy"
    timeout = 2

    def define(self) -> Sequence[SagaStep]:
        return [self.step("one"), WaitForEvent("never", event="never")]


TABLES = [Chain, Grouped, Graph, Tiered, Hooked, Strategies, Approval, Outer, Sleepy]


@saga
async def naps() -> None:
    await sleep(0.01)
