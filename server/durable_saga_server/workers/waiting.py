"""The runs that can go on and wait for a worker with room, by what workers can take them: runs of one kind.

Order: runs that have begun come first, as they came; those that have not begun stand behind them in the order of their starts,
whoever brings them and whenever: a server that comes up again finds them in the journal by hints, which know no order. Nothing
is lost with this queue: each run in it has a hint in the journal.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from durable_saga_server.journal import Run
from durable_saga_server.workers.roll_outs import Side

BEGUN = 0
"""In the place of the time of its start: the run has begun."""


class Kind(NamedTuple):
    """`refused`: code that could not go on with them; none of its workers gets them. `side`: of the roll-out, where they
    have not begun."""

    namespace: str
    saga_type: str
    refused: frozenset[str] = frozenset()
    side: Side | None = None


@dataclass(slots=True)
class Waiting:
    """`place`: BEGUN, or when it was started. `orphan`: an owner that may be there is to be displaced. `build`: with which it
    began, empty: not known."""

    place: int
    orphan: bool
    build: str


@dataclass(slots=True)
class _Queue:
    """`order` may name a run twice, where it got a better place, or one that is gone."""

    runs: dict[Run, Waiting] = field(default_factory=dict)
    order: list[tuple[int, int, Run]] = field(default_factory=list)

    def first(self) -> Run | None:
        while self.order:
            if (run := self.order[0][2]) in self.runs:
                return run
            heapq.heappop(self.order)
        return None


class WaitingRuns:
    """Not bounded here: whoever adds to it asks for its length before."""

    def __init__(self) -> None:
        self._queues: dict[Kind, _Queue] = {}
        self._kinds: dict[Run, Kind] = {}
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, run: Run) -> bool:
        return run in self._kinds

    def lengths(self) -> list[tuple[str, int]]:
        """Saga type and how many of it wait, for each namespace; in any thread."""
        return [(kind[1], len(queue.runs)) for kind, queue in list(self._queues.items())]

    def lengths_in(self, namespace: str) -> Counter[str]:
        """How many wait, by saga type."""
        found = Counter[str]()
        for kind, queue in self._queues.items():
            if kind.namespace == namespace:
                found[kind.saga_type] += len(queue.runs)
        return found

    def kinds(self) -> list[Kind]:
        """Those of which any run waits."""
        return list(self._queues)

    def runs(self, kind: Kind) -> list[Run]:
        return list(self._queues[kind].runs) if kind in self._queues else []

    def place(self, run: Run) -> int:
        """As of Waiting. Raises KeyError: it does not wait."""
        return self._queues[self._kinds[run]].runs[run].place

    def any_of(self, kind: Kind) -> bool:
        return kind in self._queues

    def length_of(self, namespace: str, saga_types: Collection[str]) -> int:
        """How many of these types wait."""
        kinds = [kind for kind in self._queues if kind.namespace == namespace and kind.saga_type in saga_types]
        return sum(len(self._queues[kind].runs) for kind in kinds)

    def add(self, run: Run, kind: Kind, started_ms: int, *, orphan: bool, build: str = "") -> None:
        """`started_ms`: of one that has not begun, Unix milliseconds; BEGUN of any other. One that waits already keeps its
        place, or gets a better one, and is of this kind from now on. `orphan` stands once it was said."""
        if (known := self._kinds.get(run)) is not None:
            before = self._queues[known].runs[run]
            has_place = known == kind and before.place <= started_ms
            started_ms, orphan, build = min(started_ms, before.place), orphan or before.orphan, build or before.build
            if has_place:
                self._queues[kind].runs[run] = Waiting(started_ms, orphan, build)
                return
            self.take(run)
        queue = self._queues.setdefault(kind, _Queue())
        heapq.heappush(queue.order, (started_ms, next(self._arrivals), run))
        queue.runs[run], self._kinds[run] = Waiting(started_ms, orphan, build), kind

    def first(self, kind: Kind) -> tuple[Run, Waiting] | None:
        queue = self._queues.get(kind)
        run = None if queue is None else queue.first()
        return None if queue is None or run is None else (run, queue.runs[run])

    def take(self, run: Run) -> Waiting:
        """It waits no longer. Raises KeyError: it did not wait."""
        kind = self._kinds.pop(run)
        queue = self._queues[kind]
        waiting = queue.runs.pop(run)
        if not queue.runs:
            del self._queues[kind]
        return waiting
