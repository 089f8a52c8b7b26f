"""The runs that can go on and wait for a worker with room, by namespace and type.

Order: runs that have begun come first, as they came; those that have not begun stand behind them in the order of their starts,
whoever brings them and whenever: a server that comes up again finds them in the journal by hints, which know no order. Nothing
is lost with this queue: each run in it has a hint in the journal.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

from durable_saga_server.journal import Run

BEGUN = 0
"""In the place of the time of its start: the run has begun."""
Kind = tuple[str, str]
"""Namespace and saga type."""


@dataclass(slots=True)
class _Queue:
    """`runs`: those that wait, with their place and whether an owner that may be there is to be displaced. `order` may name one
    twice, where it got a better place, or one that is gone."""

    runs: dict[Run, tuple[int, bool]] = field(default_factory=dict)
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
        self._arrivals = itertools.count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def lengths(self) -> list[tuple[str, int]]:
        """Saga type and how many of it wait, for each namespace; in any thread."""
        return [(kind[1], len(queue.runs)) for kind, queue in list(self._queues.items())]

    def kinds(self) -> list[Kind]:
        """Those of which any run waits."""
        return list(self._queues)

    def any_of(self, kind: Kind) -> bool:
        return kind in self._queues

    def add(self, run: Run, saga_type: str, started_ms: int, *, orphan: bool) -> None:
        """`started_ms`: of one that has not begun, Unix milliseconds; BEGUN of any other. One that waits already keeps its
        place, or gets a better one. `orphan`: its owner is gone and is to be displaced; that stands once it was said."""
        queue = self._queues.setdefault((run.namespace, saga_type), _Queue())
        place, was_orphan = queue.runs.get(run, (None, False))
        if place is None:
            self._length += 1
        if place is None or started_ms < place:
            heapq.heappush(queue.order, (started_ms, next(self._arrivals), run))
            place = started_ms
        queue.runs[run] = place, orphan or was_orphan

    def first(self, kind: Kind) -> Run | None:
        queue = self._queues.get(kind)
        return None if queue is None else queue.first()

    def take(self, run: Run, kind: Kind) -> bool:
        """It waits no longer; whether its owner is to be displaced. Raises KeyError: it did not wait."""
        queue = self._queues[kind]
        _, orphan = queue.runs.pop(run)
        self._length -= 1
        if not queue.runs:
            del self._queues[kind]
        return orphan
