"""A deploy under running sagas: half of the workers have a saga's code in another order, so it is blocked there. Whoever has it
when it is to be stopped undoes it, by its code or from its journal: in the same order, and once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from durable_saga import on_failure, saga, scope, signal, sleep
from durable_saga.errors import DurableSagaError
from durable_saga.pb import history_pb2 as h
from tests.laws.sagas import Refused
from tests.simulation import sagas
from tests.simulation.plan import Act, Plan, Start

NAME = "deployed"
TIMEOUT_SECONDS = 900
_OUTCOMES = ["ok", "ok", "ok", "flaky", "fail", "slow"]
_UNDOS = ["ok", "ok", "ok", "late", "flaky", "stuck"]


@saga(name="deployed_part")
async def part(outcome: str) -> None:
    await sagas.STEPS["act"](5, outcome, "ok")


async def _gift(outcome: str) -> None:
    try:
        async with scope("gift"):
            await sagas.STEPS["act"](3, "ok", "ok")
            await sagas.STEPS["tries"](4, outcome, "ok")
    except (Refused, DurableSagaError):
        await sagas.STEPS["look"](6, "ok", "")


@saga(name=NAME, timeout=TIMEOUT_SECONDS)
async def before(outcomes: list[str], undo: str) -> Any:
    on_failure(sagas.undo_later, 1, "ok")
    await sagas.STEPS["act"](2, outcomes[0], undo)
    await _gift(outcomes[1])
    await part(outcomes[2])
    await sleep(1)
    return await signal("go", int)


@saga(name=NAME, timeout=TIMEOUT_SECONDS)
async def after(outcomes: list[str], undo: str) -> Any:
    on_failure(sagas.undo_later, 1, "ok")
    await _gift(outcomes[1])
    await sagas.STEPS["act"](2, outcomes[0], undo)
    await part(outcomes[2])
    await sleep(1)
    return await signal("go", int)


sagas.BY_NAME[NAME] = before


def of_worker(place: str, boot: int, plan: Plan) -> list[Any]:
    """The sagas of one start of a worker."""
    if not any(start.kind == NAME for start in plan.starts):
        return []
    return [before if (int(place.rpartition("-")[2]) + boot) % 2 else after, part]


def make(seed: int, plan: Plan) -> None:
    """Adds some of them to a plan."""
    dice = random.Random(f"deployed/{seed}")
    for number in range(dice.randint(2, 5)):
        start = Start(f"{NAME}-{number}", NAME, [[dice.choice(_OUTCOMES) for _ in range(3)], dice.choice(_UNDOS)], 0.0)
        start.at = dice.uniform(0, plan.chaos_seconds * 0.7)
        start.acts.append(Act(dice.uniform(0, 60), "signal", ["go", number]))
        if dice.random() < 0.8:
            start.acts.append(Act(dice.uniform(0.1, 60), dice.choice(["cancel", "compensate"])))
        start.seconds = TIMEOUT_SECONDS + 600
        plan.starts.append(start)
        if "stuck" in repr(start.arguments):
            plan.may_stick.add(start.saga)


def broken(events: Sequence[h.Event]) -> Iterator[tuple[str, str]]:
    """What its history shows that must not be."""
    if not events or events[0].saga_started.saga_type != NAME:
        return
    order: list[str] = []
    begun: list[str] = []
    may_begin: Counter[str] = Counter()
    is_unwinding = False
    for event in events:
        kind = str(event.WhichOneof("kind"))
        body = getattr(event, kind)
        if kind in ("step_scheduled", "compensation_registered"):
            order.append(body.call)
            may_begin[body.call] += 1
        elif kind == "unwind_started" and not body.call:
            is_unwinding = True
        elif kind == "compensation_decided" and body.verb == h.CompensationDecided.RETRY:
            may_begin[body.call] += 1
        elif kind == "compensation_scheduled":
            may_begin[body.call] -= 1
            if may_begin[body.call] < 0:
                yield "G5", f"the compensation of call {body.call} was begun twice"
            if is_unwinding and body.call not in begun:
                begun.append(body.call)
    if begun != sorted(begun, key=order.index, reverse=True):
        yield "G5", f"the calls were made in the order {order}, and undone in the order {begun}"
