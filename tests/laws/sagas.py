"""Random sagas with everything that unwinds: strategies, scopes, child sagas, orders, conditions, groups, time-outs, a pivot.

`execute` runs a program through an `Interpreter`: the engine's constructs, or those of the reference in `reference.py`. Each
step has a label of its own; what an attempt does follows from its outcome and the number of the attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Protocol

from hypothesis import strategies as st

from durable_saga import Retry, on_failure, pivot, saga, scope, signal, step
from durable_saga.authoring.compensation import compensation
from durable_saga.errors import DurableSagaError, NotApplied

Program = list[Any]
ONCE = Retry(max_attempts=1, initial=1, jitter=0)
THRICE = Retry(max_attempts=3, initial=30, jitter=0)
TWICE = Retry(max_attempts=2, initial=1, jitter=0)
CAUGHT = (DurableSagaError, TimeoutError, ExceptionGroup)
FAILURES_BEFORE_OK = 2
HANDLED = "h"


class Refused(Exception):
    """What a failing step raises."""


def outcome_of(label: int, outcome: str, attempt: int) -> str:
    """What one attempt of a step does."""
    if attempt <= FAILURES_BEFORE_OK and outcome in ("fail", "refuse"):
        raise Refused(str(label)) if outcome == "fail" else NotApplied(str(label))
    return f"did {label}"


def undo_outcome(undo: str, attempt: int) -> None:
    """What one attempt of a compensation does."""
    if undo == "stuck" or (undo == "late" and attempt == 1):
        raise Refused(undo)


def child_name(order: str) -> str:
    return f"child {order}".strip()


def is_refusal(error: BaseException) -> bool:
    return isinstance(error, Refused)


class Interpreter(Protocol):
    async def step(self, kind: str, label: int, outcome: str, undo: str) -> str: ...

    def on_failure(self, label: int, undo: str) -> None: ...

    async def signal(self, name: str) -> Any: ...

    def scope(self, name: str, order: str) -> AbstractAsyncContextManager[None]: ...

    async def child(self, order: str, program: Program) -> Any: ...

    def pivot(self) -> None: ...


async def execute(node: Program, on: Interpreter) -> Any:
    kind, *rest = node
    if kind == "step":
        return await on.step(rest[0], rest[1], rest[2], rest[3])
    if kind == "undo":
        return on.on_failure(rest[0], rest[1])
    if kind == "pivot":
        return on.pivot()
    if kind == "raise":
        raise Refused("code")
    if kind == "signal":
        return await on.signal(rest[0])
    if kind == "sleep":
        return await asyncio.sleep(rest[0])
    if kind == "child":
        return await on.child(rest[0], rest[1])
    return await _execute_block(kind, rest, on)


async def _execute_block(kind: str, rest: list[Any], on: Interpreter) -> Any:
    if kind == "seq":
        return [await execute(one, on) for one in rest]
    if kind == "gather":
        return await asyncio.gather(*(execute(one, on) for one in rest))
    if kind == "group":
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(execute(one, on)) for one in rest]
        return [task.result() for task in tasks]
    if kind == "race":
        return await _race([asyncio.create_task(execute(one, on)) for one in rest])
    if kind == "drop":
        asyncio.create_task(execute(rest[0], on)).add_done_callback(_ignore)  # nobody waits for it: the case
        return await asyncio.sleep(rest[1])
    if kind == "timeout":
        async with asyncio.timeout(rest[0]):
            return await execute(rest[1], on)
    if kind == "scope":
        async with on.scope("scope", rest[0]):
            return await execute(rest[1], on)
    assert kind == "try", kind
    try:
        return await execute(rest[0], on)
    except (Refused, *CAUGHT) as error:
        return type(error).__name__


async def _race(tasks: list[asyncio.Task[Any]]) -> Any:
    """The first one wins, the others are cut off."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(_ignore)


def _ignore(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


# --- the engine ------------------------------------------------------------------------------------------------------------


def undo_act(label: int, outcome: str, undo: str, result: str | None) -> None: ...


def undo_later(label: int, undo: str) -> None: ...


def _step(name: str, strategy: Any = None, *, undone: bool = True, retry: Retry = ONCE, **options: Any) -> Any:
    async def act(label: int, outcome: str, undo: str) -> str:
        raise AssertionError("the law makes the attempts itself")

    act.__name__ = act.__qualname__ = name
    made = step(retry=retry, **options)(act)
    if undone:
        extra = {"strategy": "immediate"} if strategy == "immediate" else {"when": is_refusal} if strategy else {}
        made.compensation(retry=TWICE, **extra)(undo_act)
    return made


STEPS = {
    "act": _step("act"),
    "look": _step("look", undone=False),
    "compute": _step("compute", undone=False, retry=THRICE, effect=False),
    "tries": _step("tries", retry=THRICE),
    "now": _step("now", "immediate"),
    "ruled": _step("ruled", "conditional"),
    "turn": _step("turn", pivot=True),
}
ORDERS: dict[str, Any] = {"": {}, "sorted": {"order": sorted}, "parallel": {"parallel": True}}
_registered = compensation(retry=TWICE)(undo_later)


class Engine:
    async def step(self, kind: str, label: int, outcome: str, undo: str) -> str:
        return str(await STEPS[kind](label, outcome, undo))

    def on_failure(self, label: int, undo: str) -> None:
        on_failure(_registered, label, undo)

    async def signal(self, name: str) -> Any:
        return await signal(name, int)

    def scope(self, name: str, order: str) -> AbstractAsyncContextManager[None]:
        return scope(name, **ORDERS[order])

    async def child(self, order: str, program: Program) -> Any:
        return await CHILDREN[order](program)

    def pivot(self) -> None:
        pivot()


ENGINE = Engine()


async def run_any(program: list[Any]) -> Any:
    return await execute(program, ENGINE)


whole = saga(name="whole")(run_any)
CHILDREN = {
    "": saga(name="child")(run_any),
    "sorted": saga(name=child_name("sorted"), compensation_order=sorted)(run_any),
    "parallel": saga(name=child_name("parallel"), compensation_parallel=True)(run_any),
}


def definition_of(timeout_ms: int, hold: bool, handled: Sequence[Program] = ()) -> Any:
    async def handle(number: int) -> None:
        if number < len(handled):
            await execute(handled[number], ENGINE)

    return replace(whole.definition, timeout_ms=timeout_ms, hold=hold, handlers={HANDLED: handle})


# --- random ones -----------------------------------------------------------------------------------------------------------

_undos = st.sampled_from(["ok"] * 6 + ["late", "late", "stuck"])
_seconds = st.sampled_from([0.001, 0.5, 5.0])
_outcomes = st.sampled_from(["ok", "ok", "ok", "fail", "refuse"])
_steps = st.tuples(st.just("step"), st.sampled_from(sorted(STEPS)), st.just(0), _outcomes, _undos).map(list)
_orders = st.sampled_from(["", "", "sorted", "parallel"])
_leaves = st.one_of(
    _steps, _steps, _steps, _steps,
    st.tuples(st.just("undo"), st.just(0), _undos).map(list),
    st.tuples(st.just("sleep"), _seconds).map(list),
    st.tuples(st.just("signal"), st.sampled_from("xy")).map(list),
    st.sampled_from([["pivot"], ["raise"]]),
)  # fmt: skip


def _grow(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    several = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        several.map(lambda many: ["seq", *many]),
        several.map(lambda many: ["gather", *many]),
        several.map(lambda many: ["group", *many]),
        st.tuples(st.just("timeout"), _seconds, inner).map(list),
        st.tuples(st.just("scope"), _orders, inner).map(list),
        st.tuples(st.just("child"), _orders, inner).map(list),
        inner.map(lambda one: ["try", one]),
        inner.map(lambda one: ["try", one]),
        several.map(lambda many: ["race", *many]),
        st.tuples(st.just("drop"), inner, _seconds).map(list),
    )


def _labelled(program: Program, numbers: list[int]) -> Program:
    """Every step and registered undo gets a number of its own, in the order of the text."""
    if program[0] in ("step", "undo"):
        numbers[0] += 1
        place = 2 if program[0] == "step" else 1
        return [*program[:place], numbers[0], *program[place + 1 :]]
    return [_labelled(one, numbers) if isinstance(one, list) else one for one in program]


_sagas = st.lists(st.recursive(_leaves, _grow, max_leaves=6), min_size=1, max_size=4).map(lambda many: ["seq", *many])
sagas: st.SearchStrategy[list[Program]] = st.tuples(
    _sagas, st.lists(st.recursive(_leaves, _grow, max_leaves=4), max_size=3)
).map(lambda pair: _labelled([pair[0], *pair[1]], [0]))
"""A program, and what its handler does with the first messages, by their numbers."""
