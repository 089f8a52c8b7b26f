"""Random saga programs: small trees of steps, groups, time-outs and failures, and one saga that runs any of them."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st

from durable_saga import Retry, on_failure, saga, signal, step
from durable_saga.errors import DurableSagaError, NotApplied

Program = list[Any]
ONCE = Retry(max_attempts=1)


class Refused(Exception):
    """What a failing step raises."""


@step(retry=ONCE)
def act(name: str, outcome: str) -> str:
    return _outcome(name, outcome)


@act.compensation
def undo_act(name: str, outcome: str, result: str | None) -> None:
    assert result in (None, f"did {name}")


@step(retry=ONCE)
def look(name: str, outcome: str) -> str:
    return _outcome(name, outcome)


@step(retry=Retry(max_attempts=3, initial=30.0), effect=False)
def compute(name: str, outcome: str) -> str:
    return _outcome(name, outcome)


@step(retry=ONCE, at_most_once=True)
def once(name: str, outcome: str) -> str:
    return _outcome(name, outcome)


@once.compensation
def undo_once(name: str, outcome: str) -> None: ...


def undo_later(name: str) -> None:
    """What on_failure() registers."""


def _outcome(name: str, outcome: str) -> str:
    if outcome == "fail":
        raise Refused(name)
    if outcome == "refuse":
        raise NotApplied(name)
    return f"did {name}"


STEPS = {"act": act, "look": look, "compute": compute, "once": once}


async def execute(node: Program) -> Any:
    kind, *rest = node
    if kind in STEPS:
        return await STEPS[kind](rest[0], rest[1])
    if kind == "undo":
        on_failure(undo_later, rest[0])
        return None
    if kind == "signal":
        return await signal(rest[0], int)
    if kind == "sleep":
        return await asyncio.sleep(rest[0])
    if kind == "seq":
        return [await execute(one) for one in rest]
    if kind == "gather":
        return await asyncio.gather(*(execute(one) for one in rest))
    if kind == "group":
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(execute(one)) for one in rest]
        return [task.result() for task in tasks]
    if kind == "timeout":
        async with asyncio.timeout(rest[0]):
            return await execute(rest[1])
    if kind == "wait_for":
        return await asyncio.wait_for(execute(rest[1]), rest[0])
    assert kind == "try"
    try:
        return await execute(rest[0])
    except (Refused, DurableSagaError, TimeoutError, ExceptionGroup) as error:
        return type(error).__name__


@saga
async def run_program(program: list[Any]) -> Any:
    return await execute(program)


_names = st.sampled_from("abcdef")
_seconds = st.sampled_from([0.001, 0.5, 5.0])
_leaves = st.one_of(
    st.tuples(st.just("act"), _names, st.sampled_from(["ok", "ok", "ok", "fail", "refuse"])).map(list),
    st.tuples(st.just("look"), _names, st.sampled_from(["ok", "ok", "fail"])).map(list),
    st.tuples(st.just("compute"), _names, st.just("ok")).map(list),
    st.tuples(st.just("undo"), _names).map(list),
    st.tuples(st.just("sleep"), _seconds).map(list),
)
_waits = st.tuples(st.just("signal"), st.sampled_from("xy")).map(list)
_careful = st.tuples(st.just("once"), _names, st.sampled_from(["ok", "ok", "fail"])).map(list)


def _grow(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    several = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        several.map(lambda many: ["seq", *many]),
        several.map(lambda many: ["gather", *many]),
        several.map(lambda many: ["group", *many]),
        st.tuples(st.just("timeout"), _seconds, inner).map(list),
        st.tuples(st.just("wait_for"), _seconds, inner).map(list),
        inner.map(lambda one: ["try", one]),
    )


programs: st.SearchStrategy[Program] = st.recursive(_leaves, _grow, max_leaves=10)
programs_with_signals: st.SearchStrategy[Program] = st.recursive(st.one_of(_leaves, _waits), _grow, max_leaves=10)
programs_with_once: st.SearchStrategy[Program] = st.recursive(st.one_of(_leaves, _careful), _grow, max_leaves=10)
