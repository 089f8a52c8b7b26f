"""A saga as people in a hurry write them: failures that are caught, races whose loser is cancelled or forgotten, tasks that
nobody waits for, handlers at work at the return; its steps raise what real libraries raise, hang, and end their process.

`make()` draws one from dice of its own, so that the other sagas of a seed stay what they are.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

from durable_saga import codec, saga, signal, sleep
from durable_saga.pb import history_pb2 as h
from tests.simulation import sagas
from tests.simulation.plan import RETENTION_SECONDS, Act, Plan, Start

SHARE = 0.5
"""Of the worlds, have one."""
AGAIN_SHARE = 0.25
"""Of the worlds, have a saga whose id is used once more when it is purged."""
NAME = "careless"
NASTY = (
    "bad text", "bad code", "code is method", "without super", "keyword only", "called process", "unicode decode", "surrogate",
    "stop async iteration", "circle", "group", "dataclass", "greedy", "counts itself", "holds lock", "surrogate file",
)  # fmt: skip
OUTCOMES = ["ok", "ok", "ok", "slow", "fail", "refuse", "flaky", "nasty", "nasty", "nasty", "hangs", "dies once", "dies"]


@saga(name=NAME)
async def careless(moves: list[Any], undo: str) -> list[str]:
    act = sagas.STEPS["act"]
    found: list[str] = []
    for kind, label, outcome in moves:
        if kind == "act":
            found.append(await act(label, outcome, undo))
        elif kind == "try":
            try:
                found.append(await act(label, outcome, undo))
            except Exception as error:
                found.append(type(error).__name__)
        elif kind == "race":
            both = [asyncio.create_task(act(label, outcome, undo)), asyncio.create_task(act(label + 1, "ok", undo))]
            _, left = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
        elif kind == "timeout":
            try:
                async with asyncio.timeout(3):
                    await act(label, outcome, undo)
            except Exception as error:
                found.append(type(error).__name__)
        elif kind == "dropped":
            asyncio.create_task(act(label, outcome, undo))  # noqa: RUF006  as careless people do
            await sleep(0.01)
        else:
            found.append(str(await signal("go", int)))
    return found


@careless.signal
async def top_up(label: int, outcome: str, undo: str) -> None:
    await sagas.STEPS["act"](label, outcome, undo)


sagas.SAGAS.append(careless)
sagas.BY_NAME[NAME] = careless


def make(seed: int, plan: Plan) -> None:
    """Into the plan of that seed."""
    dice = random.Random(f"{NAME}/{seed}")
    if dice.random() < AGAIN_SHARE:
        plan.again = Start("again", "order", [["ok"] * 5, "ok"], dice.uniform(0, 20), seconds=600)
        plan.starts.append(plan.again)
        plan.retention_seconds = RETENTION_SECONDS
    if dice.random() >= SHARE:
        return
    start = Start(NAME, NAME, [], dice.uniform(0, plan.chaos_seconds * 0.5), seconds=900)
    moves = []
    for number in range(dice.randint(1, 4)):
        moves.append([dice.choice(["act", "try", "try", "race", "race", "timeout", "dropped"]), number * 10, _outcome(dice)])
    undo = dice.choice(["ok", "ok", "ok", "late", "flaky"])
    for number in range(dice.choice([0, 1, 1, 2])):
        start.acts.append(
            Act(dice.uniform(0.1, 8), "signal", ["top_up", 100 + number, dice.choice(["slow", _outcome(dice)]), undo])
        )
    if dice.random() < 0.4:
        moves.append(["wait", 0, ""])
        start.acts.append(Act(dice.uniform(0.1, 8), "signal", ["go", 7]))
    if dice.random() < 0.15:
        start.acts.append(Act(dice.uniform(0.1, 20), dice.choice(["cancel", "compensate"])))
    start.arguments = [moves, undo]
    plan.starts.append(start)


def _outcome(dice: random.Random) -> str:
    outcome = dice.choice(OUTCOMES)
    return f"nasty {dice.choice(NASTY)}" if outcome == "nasty" else outcome


def broken_laws(events: list[h.Event]) -> Iterator[tuple[str, str]]:
    """What L1 and L2 say about a history that has come to its end; knows the events, and nothing of the engine."""
    facts = [(str(one.WhichOneof("kind")), getattr(one, str(one.WhichOneof("kind")))) for one in events]
    ended = [fact for kind, fact in facts if kind == "saga_ended"]
    if not ended or ended[0].status != h.COMPLETED:
        return
    succeeded = {fact.call for kind, fact in facts if kind == "step_completed"}
    cancelled = {fact.call for kind, fact in facts if kind == "step_cancelled"}
    in_scopes = any(kind == "unwind_started" for kind, _ in facts)
    for kind, fact in facts:
        if kind == "compensation_scheduled" and fact.call in succeeded - cancelled and not in_scopes:
            yield "L2", f"call {fact.call} ({fact.name}) completed, and was undone in a saga that completed"
    handled = {fact.message_id for kind, fact in facts if kind == "signal_received" and fact.name == "top_up"}
    rejected = {fact.message_id for kind, fact in facts if kind == "signal_rejected"}
    handled -= rejected | set(ended[0].unread)
    begun = {fact.call for kind, fact in facts if kind == "step_scheduled" and _label(fact) >= 100}
    if len(handled) > len(begun):
        yield "L2", f"{len(handled)} top-ups were taken, {len(begun)} of their steps were begun"
    for call in begun & cancelled:
        yield "L2", f"the handler whose step is {call} was cut off"


def _label(step: h.StepScheduled) -> int:
    args = codec.decode(step.input.data)[0]
    return int(args[0]) if args and isinstance(args[0], int) else 0
