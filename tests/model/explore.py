"""Walks every state that a machine can reach, breadth first, so that the first violation found has a shortest trace.

A machine is pure: immutable hashable states, and for each state the steps that are possible in it. Checked in every state:
`broken`, which names a violated promise. Checked over the whole graph: from every reachable state a good end is reachable by
steps that are no faults (`fault` marks a time-out, a crash and the like). `states_max` bounds the walk; more is an error.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

STATES_MAX = 3_000_000


class Step(NamedTuple):
    words: str
    state: Hashable
    fault: bool = False


S = TypeVar("S", bound=Hashable, contravariant=True)


class Machine(Protocol[S]):
    @property
    def initial(self) -> Hashable: ...

    def steps(self, state: S, /) -> Iterator[Step]: ...

    def broken(self, state: S, /) -> str:
        """The violated promise in words, empty when all hold."""

    def is_good_end(self, state: S, /) -> bool: ...


@dataclass(frozen=True)
class Exploration:
    states: int
    steps: int
    depth: int
    seconds: float
    violation: str = ""
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = f"{self.states:,} states, {self.steps:,} steps, depth {self.depth}, {self.seconds:.1f} s"
        if not self.violation:
            return f"holds: {size}"
        lines = [f"  {number}. {words}" for number, words in enumerate(self.trace, 1)]
        return "\n".join([f"refuted: {size}", *lines, f"  => {self.violation}"])


@dataclass
class _Graph:
    """State n was first reached from `parents[n]` by `words[n]`; `sources` and `targets` are the steps without faults."""

    numbers: dict[Hashable, int] = field(default_factory=dict)
    parents: array[int] = field(default_factory=lambda: array("l"))
    words: list[str] = field(default_factory=list)
    sources: array[int] = field(default_factory=lambda: array("l"))
    targets: array[int] = field(default_factory=lambda: array("l"))

    def add(self, state: Hashable, parent: int, words: str) -> int:
        number = self.numbers[state] = len(self.parents)
        self.parents.append(parent)
        self.words.append(words)
        return number

    def trace(self, number: int) -> tuple[str, ...]:
        found: list[str] = []
        while self.parents[number] >= 0:
            found.append(self.words[number])
            number = self.parents[number]
        return tuple(reversed(found))


def explore(
    machine: Machine[S], *, states_max: int = STATES_MAX, tell: Callable[[int, int], None] = lambda states, depth: None
) -> Exploration:
    """`tell` hears of each depth that is done. Raises RuntimeError for more than `states_max` states."""
    began, graph, good = time.perf_counter(), _Graph(), array("b")
    depth = steps = 0

    def visit(state: S, parent: int, words: str) -> str:
        graph.add(state, parent, words)
        good.append(machine.is_good_end(state))
        return machine.broken(state)

    def ended(number: int, violation: str) -> Exploration:
        seconds = time.perf_counter() - began
        return Exploration(len(graph.parents), steps, depth, seconds, violation, graph.trace(number))

    initial: S = machine.initial  # type: ignore[assignment]  # a state of this very machine
    if violation := visit(initial, -1, ""):
        return ended(0, violation)
    level: list[S] = [initial]
    while level:
        depth += 1
        following: list[S] = []
        for state in level:
            here = graph.numbers[state]
            for words, reached, fault in machine.steps(state):
                steps += 1
                there = graph.numbers.get(reached)
                if there is None:
                    there = len(graph.parents)
                    if there >= states_max:
                        raise RuntimeError(f"more than {states_max} states (states_max): make the case smaller")
                    if violation := visit(reached, here, words):  # type: ignore[arg-type]
                        return ended(there, violation)
                    following.append(reached)  # type: ignore[arg-type]
                if not fault:
                    graph.sources.append(here)
                    graph.targets.append(there)
        level = following
        tell(len(graph.parents), depth)
    lost = _without_way_on(graph, good)
    return ended(max(lost, 0), "G7: no good end can be reached from here, not even without further faults" if lost >= 0 else "")


def _without_way_on(graph: _Graph, good: array[int]) -> int:
    """The first state from which no good end can be reached, -1: there is none."""
    count = len(graph.parents)
    heads, following = array("l", [-1]) * count, array("l", [-1]) * len(graph.sources)
    for edge, target in enumerate(graph.targets):
        following[edge], heads[target] = heads[target], edge
    reaching = bytearray(good)
    waiting = [number for number in range(count) if reaching[number]]
    while waiting:
        edge = heads[waiting.pop()]
        while edge >= 0:
            source = graph.sources[edge]
            if not reaching[source]:
                reaching[source] = 1
                waiting.append(source)
            edge = following[edge]
    return reaching.find(0)
