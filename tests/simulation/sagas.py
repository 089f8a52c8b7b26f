"""The sagas that the simulation runs: an order, an approval, a nightly job, and trees of everything (tests/laws/sagas.py).

Every step asks a service of the simulated world to do something, by the idempotency key of its attempt; what the service
answers follows from the outcome that the saga's input names.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from durable_saga import Retry, continue_as_new, on_failure, pivot, saga, scope, signal, sleep, step
from durable_saga.authoring.compensation import compensation
from durable_saga.errors import DurableSagaError
from tests.laws.sagas import Refused, execute, is_refusal
from tests.simulation.loop import PROCESS

ONCE = Retry(max_attempts=1)
FEW = Retry(max_attempts=4, initial=0.5, maximum=20)
STEP_SECONDS = 20.0


async def perform(outcome: str, *, free: bool = False) -> str:
    """Ask the service, from within a step or compensation."""
    process = PROCESS.get()
    return str(await process.world.services.perform(process, outcome, free))


def _step(name: str, *, undone: bool = True, strategy: str = "", retry: Retry = FEW, **options: Any) -> Any:
    async def act(label: int, outcome: str, undo: str) -> str:
        return await perform(outcome, free=name == "compute")

    act.__name__ = act.__qualname__ = name
    made = step(retry=retry, timeout=STEP_SECONDS, **options)(act)
    if undone:
        extra = {"strategy": "immediate"} if strategy == "immediate" else {"when": is_refusal} if strategy else {}
        made.compensation(retry=FEW, timeout=STEP_SECONDS, **extra)(undo_act)
    return made


async def undo_act(label: int, outcome: str, undo: str, result: str | None) -> None:
    await perform(undo)


@compensation(retry=FEW)
async def undo_later(label: int, undo: str) -> None:
    await perform(undo)


STEPS = {
    "act": _step("act"),
    "look": _step("look", undone=False),
    "compute": _step("compute", undone=False, effect=False),
    "tries": _step("tries", retry=ONCE),
    "now": _step("now", strategy="immediate"),
    "ruled": _step("ruled", strategy="conditional"),
    "once": _step("once", at_most_once=True),
    "turn": _step("turn", pivot=True, undone=False),
}
CONDITIONAL = "ruled"
ORDERS: dict[str, Any] = {"": {}, "sorted": {"order": sorted}, "parallel": {"parallel": True}}


class Engine:
    """What tests/laws/sagas.py calls an interpreter: the engine's own constructs."""

    async def step(self, kind: str, label: int, outcome: str, undo: str) -> str:
        return str(await STEPS[kind](label, outcome, undo))

    def on_failure(self, label: int, undo: str) -> None:
        on_failure(undo_later, label, undo)

    async def signal(self, name: str) -> Any:
        return await signal(name, int)

    def scope(self, name: str, order: str) -> AbstractAsyncContextManager[None]:
        return scope(name, **ORDERS[order])

    async def child(self, order: str, program: list[Any]) -> Any:
        return await CHILDREN[order](program)

    def pivot(self) -> None:
        pivot()


ENGINE = Engine()


async def run_tree(program: list[Any]) -> Any:
    return await execute(program, ENGINE)


tree = saga(name="tree")(run_tree)
CHILDREN = {
    "": saga(name="child")(run_tree),
    "sorted": saga(name="child", compensation_order=sorted)(run_tree),
    "parallel": saga(name="child", compensation_parallel=True)(run_tree),
}


@saga
async def order(outcomes: list[str], undo: str) -> list[str]:
    """Reserve and charge together, then the ones that are not undone."""
    act, tries = STEPS["act"], STEPS["tries"]
    reserved = await asyncio.gather(act(1, outcomes[0], undo), act(2, outcomes[1], undo), STEPS["compute"](3, "ok", ""))
    try:
        async with scope("gift"):
            await act(4, "ok", "ok")
            await tries(5, outcomes[2], "ok")
    except (Refused, DurableSagaError):
        await STEPS["look"](6, "ok", "")
    last = await act(7, outcomes[3], undo)
    await STEPS["turn"](8, outcomes[4], "")
    return [*reserved, last, await STEPS["look"](9, "flaky", "")]


@saga
async def approval(signals: int, seconds: float, outcome: str) -> list[Any]:
    """Wait for so many signals, some time each; what does not come fails the saga. No time: for ever."""
    await STEPS["act"](1, "ok", "ok")
    got: list[Any] = []
    for number in range(signals):
        async with asyncio.timeout(seconds or None):
            got.append(await signal("go", int))
        await STEPS["look"](10 + number, "ok", "")
    await STEPS["once"](2, outcome, "ok")
    return got


@saga(timeout=6 * 3600)
async def nightly(naps: list[float], outcome: str) -> str:
    for number, seconds in enumerate(naps):
        await STEPS["act"](number, "ok", "ok")
        await sleep(seconds)
    return str(await STEPS["act"](99, outcome, "ok"))


@saga
async def chain(got: list[int], signals: int, per_run: int, outcome: str) -> list[int]:
    """So many signals, a few in each run; all that came, in the end."""
    await STEPS["look"](len(got), outcome, "")
    for _ in range(min(per_run, signals - len(got))):
        got.append(await signal("go", int))
    if len(got) < signals:
        await continue_as_new(got, signals, per_run, outcome)
    return got


SAGAS: list[Any] = [tree, order, approval, nightly, chain]
BY_NAME = {one.definition.name: one for one in SAGAS}
