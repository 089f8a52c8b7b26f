"""Two builds of the code side by side: some workers have another one, in which some sagas begin with another step.

What the one has begun of these, the other can't replay. `make()` draws from dice of its own, so that the rest of a seed stays
what it is.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from durable_saga_server.journal import Run

from durable_saga import saga, saga_context
from durable_saga.pb import worker_pb2 as w
from tests.simulation import sagas
from tests.simulation.plan import Event, Plan

if TYPE_CHECKING:
    from tests.simulation.processes import ServerProcess, WorkerProcess

SHARE = 0.3
"""Of the worlds with several workers."""
BLOWS = 3
AWAY_SECONDS_MAX = 40
OLD, NEW = "1", "2"
AGAIN_MAX = 1
"""A take-over that crosses a refusal may bring a run to its build once more."""
_CHANGED = ("order", "approval", "nightly")


def make(seed: int, plan: Plan) -> None:
    """Into the plan of that seed."""
    dice = random.Random(f"builds/{seed}")
    if plan.workers > 1 and dice.random() < SHARE:
        plan.new_build = frozenset(dice.sample(range(plan.workers), dice.randint(1, plan.workers - 1)))
        is_new = dice.random() < 0.5
        away = [number for number in range(plan.workers) if (number in plan.new_build) == is_new]
        for at in sorted(dice.uniform(0, plan.chaos_seconds) for _ in range(BLOWS)):
            for number in away:  # all of one build are away for a while: the other one gets their runs
                what, seconds = dice.choice(["crash", "stop"]), dice.uniform(8, AWAY_SECONDS_MAX)
                plan.events.append(Event(at + dice.uniform(0, 1), what, f"worker-{number}", seconds))
        plan.events.sort(key=lambda event: event.at)


def build_at(plan: Plan, place: str) -> str:
    return NEW if int(place.rpartition("-")[2]) in plan.new_build else OLD


def sagas_of(build: str) -> list[Any]:
    return [_NEW_SAGAS.get(one.definition.name, one) if build == NEW else one for one in sagas.SAGAS]


def _changed(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def changed(*arguments: Any) -> Any:
        if zlib.crc32(saga_context().id.encode()) % 2:
            await sagas.STEPS["look"](1_000, "ok", "")
        return await function(*arguments)

    return changed


def _new(name: str) -> Any:
    """Its arguments are plain data, and its time-out is that of the old code."""
    old = sagas.BY_NAME[name].definition
    made = saga(name=name, timeout=old.timeout_ms / 1000 or None)(_changed(old.function))
    made.definition.handlers.update(old.handlers)
    return made


_NEW_SAGAS = {name: _new(name) for name in _CHANGED}


class RefusalsJudge:
    """A build that has refused a run is not offered it again, unless everybody is asked anew."""

    def __init__(self) -> None:
        self._again: dict[tuple[str, Run], int] = {}

    def wrong(self, server: ServerProcess, worker: WorkerProcess, item: w.ServerItem) -> str:
        """What is wrong with this assignment, or nothing."""
        run = Run(item.assign.key.namespace, item.assign.key.saga, item.assign.key.run)
        refused = server.service.dispatcher.refusals.known().get(run)
        place = server.name, run
        if refused is None or worker.worker.build not in refused.builds:
            self._again.pop(place, None)
            return ""
        self._again[place] = self._again.get(place, 0) + 1
        return f"{run.saga} goes to {worker.name} again, whose build has refused it" if self._again[place] > AGAIN_MAX else ""
