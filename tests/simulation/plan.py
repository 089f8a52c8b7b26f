"""What a seed means: how many of what, which sagas, who does what to them, and what goes wrong when."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

Program = list[Any]
SERVERS_DEFAULT = (1, 1, 2, 3)
SAGAS_MIN, SAGAS_MAX = 4, 9
CHAOS_SECONDS_MIN, CHAOS_SECONDS_MAX = 20, 150
PAUSE_SECONDS_MAX = 75
DOWN_SECONDS_MAX = 60
SKEW_MS_MAX = 4_000
DRIFT_MAX = 0.001
REST_SECONDS = 900
CHAIN_SHARE = 0.4
ATTACK_SHARE = 0.3
RETENTION_SECONDS = 300
"""Longer than anybody asks again for what is over."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of accesses that go wrong: `journal` time-outs, `refused` by the journal, `network` calls lost or doubled."""

    journal: float = 0.0
    refused: float = 0.0
    network: float = 0.0


@dataclass(frozen=True, slots=True)
class Act:
    """What a client does to a saga, `after` seconds from its start."""

    after: float
    what: str
    argument: Any = None


@dataclass(slots=True)
class Start:
    """One saga, from its start to its end. `twice`: another client starts it too."""

    saga: str
    kind: str
    arguments: list[Any]
    at: float
    acts: list[Act] = field(default_factory=list)
    twice: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """A blow: `place` is hit by `what` for `seconds`."""

    at: float
    what: str
    place: str
    seconds: float = 0.0
    other: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class TypePause:
    """All sagas of a kind stand still, from `at` on for `seconds`."""

    at: float
    kind: str
    seconds: float


@dataclass(slots=True)
class Plan:
    servers: int
    workers: int
    faults: Faults
    slowness: dict[str, float]
    starts: list[Start]
    events: list[Event]
    chaos_seconds: float
    retention_seconds: int = 0
    may_stick: set[str] = field(default_factory=set)
    again: Start | None = None
    """Started once more when its first life is purged."""
    is_attacked: bool = False
    new_build: frozenset[int] = frozenset()
    """The numbers of the workers that have it."""
    type_pauses: list[TypePause] = field(default_factory=list)

    @property
    def rest_seconds(self) -> float:
        """When all must be at rest, from the start of the world."""
        longest = max((start.at + start.seconds for start in self.starts), default=0)
        return max(self.chaos_seconds, longest) + self.chaos_seconds + REST_SECONDS


def make(seed: int, servers: int | None = None, workers: int | None = None) -> Plan:
    dice = random.Random(f"plan/{seed}")
    servers = servers or dice.choice(SERVERS_DEFAULT)
    workers = workers or dice.randint(1, 4)
    chaos_seconds = dice.uniform(CHAOS_SECONDS_MIN, CHAOS_SECONDS_MAX)
    faults = Faults(dice.choice([0, 0.01, 0.05, 0.2]), dice.choice([0, 0.01, 0.05]), dice.choice([0, 0.05, 0.2]))
    slowness: dict[str, float] = {kind: dice.choice([1, 1, 3, 15]) for kind in ("network", "journal", "service")}
    plan = Plan(servers, workers, faults, slowness, [], [], chaos_seconds)
    for number in range(dice.randint(SAGAS_MIN, SAGAS_MAX)):
        start = _start(dice, number, chaos_seconds)
        plan.starts.append(start)
        if "stuck" in repr(start.arguments):
            plan.may_stick.add(start.saga)
    plan.events = _events(dice, plan)
    plan.retention_seconds = random.Random(f"retention/{seed}").choice([0, 0, RETENTION_SECONDS])
    plan.is_attacked = random.Random(f"attack/{seed}").random() < ATTACK_SHARE
    if (chances := random.Random(f"chain/{seed}")).random() < CHAIN_SHARE:
        plan.starts.append(_chain(chances, chaos_seconds))
        plan.retention_seconds = chances.choice([plan.retention_seconds, RETENTION_SECONDS])
    return plan


# --- sagas -------------------------------------------------------------------------------------------------------------------

_OUTCOMES = ["ok", "ok", "ok", "ok", "flaky", "fail", "refuse", "slow"]
_UNDOS = ["ok"] * 6 + ["late", "flaky", "stuck"]


def _start(dice: random.Random, number: int, chaos_seconds: float) -> Start:
    kind = dice.choice(["order", "order", "approval", "approval", "nightly", "tree", "tree", "tree"])
    at = dice.uniform(0, chaos_seconds * 0.8) if dice.random() < 0.6 else dice.uniform(0, 5)
    start = Start(f"{kind}-{number}", kind, [], at, twice=dice.random() < 0.2)
    _MAKERS[kind](dice, start)
    if dice.random() < 0.15:
        start.acts.append(Act(dice.uniform(0.01, 10), dice.choice(["cancel", "compensate"])))
    if dice.random() < 0.03:
        start.acts.append(Act(dice.uniform(0.1, 20), "terminate"))
    return start


def _order(dice: random.Random, start: Start) -> None:
    start.arguments = [[dice.choice(_OUTCOMES) for _ in range(5)], dice.choice(_UNDOS)]
    start.seconds = 600


def _approval(dice: random.Random, start: Start) -> None:
    signals, seconds = dice.randint(1, 4), dice.choice([0, 5, 300, 1200])
    start.arguments = [signals, seconds, dice.choice(_OUTCOMES)]
    sent = signals if not seconds or dice.random() < 0.7 else signals - 1
    for number in range(sent):
        after = dice.choice([dice.uniform(0, 0.5), dice.uniform(0.8, 3), dice.uniform(0, 90)])
        start.acts.append(Act(after, "signal", ["go", number]))
    start.seconds = 600 + signals * seconds


def _nightly(dice: random.Random, start: Start) -> None:
    naps = [dice.choice([3, 8, 60, 100, dice.uniform(0, 400), 1800]) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.05:
        naps.append(7200)
    start.arguments = [naps, dice.choice(_OUTCOMES)]
    start.seconds = 600 + sum(naps)


def _tree(dice: random.Random, start: Start) -> None:
    numbers = [0]
    start.arguments = [["seq", *(_node(dice, 3, numbers) for _ in range(dice.randint(1, 3)))]]
    for name in "xy":
        for number in range(repr(start.arguments).count(f"['signal', '{name}']")):
            start.acts.append(Act(dice.uniform(0, 40), "signal", [name, number]))
    start.seconds = 1800


_MAKERS = {"order": _order, "approval": _approval, "nightly": _nightly, "tree": _tree}


def _node(dice: random.Random, depth: int, numbers: list[int]) -> Program:
    leaf = depth == 0 or dice.random() < 0.4
    if leaf:
        numbers[0] += 1
        kind = dice.choice(["step"] * 6 + ["undo", "sleep", "signal", "raise"])
        if kind == "step":
            name = dice.choice(["act", "act", "look", "compute", "tries", "now", "ruled", "once"])
            return ["step", name, numbers[0], dice.choice(_OUTCOMES), dice.choice(_UNDOS)]
        if kind == "undo":
            return ["undo", numbers[0], dice.choice(_UNDOS)]
        if kind == "sleep":
            return ["sleep", dice.choice([0.001, 0.5, 2.0, 6.5, 30.0])]
        return ["signal", dice.choice("xy")] if kind == "signal" else ["raise"]
    kind = dice.choice(["seq", "gather", "group", "timeout", "scope", "child", "try", "try"])
    if kind in ("seq", "gather", "group"):
        return [kind, *(_node(dice, depth - 1, numbers) for _ in range(dice.randint(1, 4)))]
    inner = _node(dice, depth - 1, numbers)
    if kind == "timeout":
        return [kind, dice.choice([0.5, 5.0, 60.0]), inner]
    return [kind, dice.choice(["", "sorted", "parallel"]), inner] if kind in ("scope", "child") else [kind, inner]


def _chain(dice: random.Random, chaos_seconds: float) -> Start:
    signals, per_run = dice.randint(2, 9), dice.choice([1, 1, 2])
    start = Start("chain", "chain", [[], signals, per_run], dice.uniform(0, chaos_seconds * 0.5), twice=dice.random() < 0.2)
    start.arguments.append(dice.choice(["ok", "ok", "flaky"]))
    latest = dice.choice([0.0, 3.0, chaos_seconds])
    start.acts = [Act(dice.uniform(0, latest), "signal", ["go", number]) for number in range(signals)]
    if dice.random() < 0.1:
        start.acts.append(Act(dice.uniform(0, latest), dice.choice(["cancel", "terminate"])))
    start.seconds = 600
    return start


# --- blows -------------------------------------------------------------------------------------------------------------------


def _events(dice: random.Random, plan: Plan) -> list[Event]:
    servers = [f"server-{number}" for number in range(plan.servers)]
    workers = [f"worker-{number}" for number in range(plan.workers)]
    favourite = dice.choice(["crash", "pause", "access", "cut", "reset", "stop", "clock", "replace", ""])
    found = []
    for _ in range(dice.randint(0, 8)):
        what = dice.choice(["crash", "crash", "pause", "pause", "access", "access", "cut", "reset", "stop", "clock", "replace"])
        what = favourite if favourite and dice.random() < 0.5 else what
        place = dice.choice(servers if what in ("access", "replace") or dice.random() < 0.4 else workers)
        if what == "reset":
            place = dice.choice(workers)
        down = dice.choice([dice.uniform(0, 0.5), dice.uniform(0, 12), dice.uniform(0, DOWN_SECONDS_MAX)])
        seconds = dice.uniform(1, PAUSE_SECONDS_MAX) if what in ("pause", "cut", "replace") else down
        other = dice.choice([one for one in [*servers, *workers, "client-0", "client-1"] if one != place])
        number = dice.randint(1, 60) if what == "access" else dice.randint(-SKEW_MS_MAX, SKEW_MS_MAX)
        found.append(Event(dice.uniform(0, plan.chaos_seconds), what, place, seconds, other, number))
    return sorted(found, key=lambda event: event.at)
