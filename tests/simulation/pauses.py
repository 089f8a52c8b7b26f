"""Sagas are paused, by themselves and by their kind, and go on after a while.

`make()` draws from dice of its own, after all other sagas are in the plan.
"""

from __future__ import annotations

import random

from durable_saga.pb import history_pb2 as h
from tests.simulation.plan import Act, Plan, TypePause

PAUSED_SHARE = 0.25
TYPE_PAUSED_SHARE = 0.3


def make(seed: int, plan: Plan) -> None:
    """Into the plan of that seed."""
    dice = random.Random(f"pauses/{seed}")
    for start in plan.starts:
        for _ in range(dice.choice([1, 1, 2]) if dice.random() < PAUSED_SHARE else 0):
            after = dice.choice([0.0, dice.uniform(0, 3), dice.uniform(0, 60)])
            seconds = dice.choice([0.0, dice.uniform(0, 5), dice.uniform(0, 120)])
            start.acts.append(Act(after, "pause", [seconds, dice.choice(["run", "run", "stop"])]))
            start.seconds += 2 * seconds + 60
    if dice.random() < TYPE_PAUSED_SHARE:
        kind = dice.choice([start.kind for start in plan.starts])
        plan.type_pauses.append(TypePause(dice.uniform(0, plan.chaos_seconds), kind, dice.uniform(1, 90)))


def is_paused_by(event: h.Event, before: bool) -> bool:
    """Whether its run is paused after this event."""
    if event.HasField("saga_started"):
        return event.saga_started.HasField("pause")
    return event.HasField("pause_requested") or (before and not event.HasField("resume_requested"))
