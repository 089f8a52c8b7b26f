"""Plans as values in a file: the plan in which a planted bug was met, cut down to what it takes to meet it.

So a change of how plans are made, or of what a world draws on its way, moves no planted bug: its plan stays, and any few
worlds of that plan find it. `python -m tests.simulation.pinned NAME` searches for such a plan and writes it.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict
from typing import Any

from tests.simulation.plan import Act, Event, Faults, Plan, Start, TypePause

PLANS = pathlib.Path(__file__).with_name("plans")
WORLDS = 8
"""Of one plan, while it is cut down."""
WORLDS_FOUND_MIN = 3
"""So many of them must meet the bug, or as many as before the cut. They break the same promise or law as the seed."""


def path_of(name: str) -> pathlib.Path:
    return PLANS / f"{name.replace(' ', '-').replace(':', '').replace(',', '')}.json"


def read(name: str) -> Plan:
    return from_value(json.loads(path_of(name).read_text()))


def to_value(plan: Plan) -> dict[str, Any]:
    return asdict(plan) | {"may_stick": sorted(plan.may_stick), "new_build": sorted(plan.new_build)}


def from_value(value: dict[str, Any]) -> Plan:
    plan = Plan(**value)
    plan.faults = Faults(**value["faults"])
    plan.starts = [_start(one) for one in value["starts"]]
    plan.events = [Event(**one) for one in value["events"]]
    plan.type_pauses = [TypePause(**one) for one in value["type_pauses"]]
    plan.again = next((one for one in plan.starts if value["again"] and one.saga == value["again"]["saga"]), None)
    plan.may_stick, plan.new_build = set(value["may_stick"]), frozenset(value["new_build"])
    return plan


def _start(value: dict[str, Any]) -> Start:
    return Start(**value | {"acts": [Act(**one) for one in value["acts"]]})


# --- cutting down -------------------------------------------------------------------------------------------------------------


def shortened(plan: Plan, found: Callable[[Plan], int]) -> Plan:
    """What is left when each thing was tried without: `found` tells how many worlds of a plan meet the bug."""
    least, place = max(found(plan), 1), 0
    while place < len(cuts := list(_cuts(plan))):
        if found(cuts[place]) >= least:
            plan = cuts[place]
        else:
            place += 1
    return plan


def _cuts(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, the largest things first."""
    for number in range(len(plan.starts)):
        if len(plan.starts) > 1:
            cut = deepcopy(plan)
            gone = cut.starts.pop(number)
            if cut.again is gone:
                cut.again = None
            yield cut
    for field, least in (("is_attacked", False), ("faults", Faults()), ("type_pauses", []), ("new_build", frozenset())):
        if getattr(plan, field) != least:
            cut = deepcopy(plan)
            setattr(cut, field, least)
            yield cut
    if any(factor != 1 for factor in plan.slowness.values()):
        cut = deepcopy(plan)
        cut.slowness = dict.fromkeys(plan.slowness, 1)
        yield cut
    for number in range(len(plan.events)):
        cut = deepcopy(plan)
        del cut.events[number]
        yield cut
    for number, start in enumerate(plan.starts):
        if start.twice:
            cut = deepcopy(plan)
            cut.starts[number].twice = False
            yield cut
        for act in range(len(start.acts)):
            cut = deepcopy(plan)
            del cut.starts[number].acts[act]
            yield cut


def main() -> None:
    from tests.simulation.__main__ import plan_of, play_plan
    from tests.simulation.planted import BUGS, BUGS_OF_DEPLOYS

    parser = argparse.ArgumentParser(prog="python -m tests.simulation.pinned")
    parser.add_argument("name", help="of a planted bug")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--worlds", type=int, default=2, help="of the same plan that must meet it too")
    asked = parser.parse_args()
    bug = next(one for one in [*BUGS, *BUGS_OF_DEPLOYS] if one.name == asked.name)

    def found(plan: Plan) -> int:
        """Of WORLDS worlds, WORLDS_FOUND_MIN at most; 0 if something is broken without the bug too."""
        met = 0
        with bug.planted():
            for world in range(WORLDS):
                met += play_plan(world, deepcopy(plan)).violation[:2] == broken
                if met == WORLDS_FOUND_MIN:
                    break
        return 0 if met and play_plan(0, deepcopy(plan)).violation else met

    for seed in range(asked.seed, asked.seed + asked.seeds):
        plan = plan_of(seed, deploys=bug in BUGS_OF_DEPLOYS)
        with bug.planted():
            broken = play_plan(seed, deepcopy(plan)).violation[:2]
        if broken:
            met = found(plan)
            print(f"seed {seed} breaks {broken}, {met} other worlds of its plan too", flush=True)
            if met >= asked.worlds:
                break
    else:
        raise SystemExit(f"{bug.name}: not in {asked.seeds} seeds")
    plan = shortened(plan, found)
    print(f"{found(plan)} worlds of {len(plan.starts)} sagas and {len(plan.events)} events meet it")
    PLANS.mkdir(exist_ok=True)
    path_of(bug.name).write_text(json.dumps(to_value(plan), indent=1) + "\n")


if __name__ == "__main__":
    main()
