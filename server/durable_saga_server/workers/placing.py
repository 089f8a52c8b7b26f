"""Which worker gets which run: of its own build, if one has room, else of any that has not refused it. One that has not begun
goes to the build that the roll-out names for it, as long as a worker of that build is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

from durable_saga_server.journal import Run
from durable_saga_server.workers.refusals import Refusals
from durable_saga_server.workers.roll_outs import Side
from durable_saga_server.workers.sessions import Session, Sessions
from durable_saga_server.workers.waiting import BEGUN, Kind, Waiting, WaitingRuns


class Placing:
    """Owns the queue of runs that wait, and what is known of refusals."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.refusals = Refusals()
        self._waiting = WaitingRuns()
        sessions.roll_outs.on_change(self._sort_anew)

    def __len__(self) -> int:
        return len(self._waiting)

    def has_place(self, namespace: str, saga_type: str, runs_max: int) -> bool:
        """For one more of that type. Those of paused types leave half of the places to the others."""
        if saga_type not in (paused := self._sessions.paused.of(namespace)):
            return len(self._waiting) < runs_max
        return self._waiting.length_of(namespace, paused) < runs_max // 2

    def add(self, run: Run, saga_type: str, started_ms: int, *, orphan: bool, build: str) -> None:
        kind = Kind(run.namespace, saga_type, self.refusals.of(run), self._side(run, saga_type, started_ms))
        self._waiting.add(run, kind, started_ms, orphan=orphan, build=build)

    def lengths(self) -> list[tuple[str, int]]:
        """As WaitingRuns.lengths()."""
        return self._waiting.lengths()

    def lengths_in(self, namespace: str) -> Counter[str]:
        """As WaitingRuns.lengths_in()."""
        return self._waiting.lengths_in(namespace)

    def any_of(self, run: Run, saga_type: str) -> bool:
        """Whether runs wait for room that this one, a new one, would take."""
        return self._waiting.any_of(Kind(run.namespace, saga_type, side=self.side(run, saga_type)))

    def side(self, run: Run, saga_type: str) -> Side | None:
        """Of a run that has not begun."""
        return self._sessions.roll_outs.side(run, saga_type)

    def _side(self, run: Run, saga_type: str, started_ms: int) -> Side | None:
        return None if started_ms == BEGUN else self.side(run, saga_type)

    def _sort_anew(self) -> None:
        """The roll-outs are others: what has not begun may stand on another side."""
        for kind in self._waiting.kinds():
            for run in self._waiting.runs(kind):
                side = self._side(run, kind.saga_type, self._waiting.place(run))
                if side != kind.side:
                    self._move(run, kind._replace(side=side))

    def kinds(self) -> list[Kind]:
        return list(dict.fromkeys(self._asked_anew(kind) for kind in self._waiting.kinds()))

    def next(self, kind: Kind, under_way: Container[Run]) -> tuple[Run, Waiting, Session] | None:
        """The next one of its kind and who gets it; it waits no longer. None: nobody has room, or it is `under_way`."""
        if (first := self._waiting.first(kind)) is None:
            return None
        run, waiting = first
        session = self._sessions.pick(kind.namespace, kind.saga_type, kind.refused, waiting.build, kind.side)
        if session is None or run in under_way:
            return None
        return run, self._waiting.take(run), session

    def _asked_anew(self, kind: Kind) -> Kind:
        """Where those are gone who had not refused these runs, the others say once more that they can't: then it is known."""
        fits = self._sessions.fits
        if not kind.refused or fits(*kind[:3]) or not fits(kind.namespace, kind.saga_type):
            return kind
        anew = kind._replace(refused=frozenset())
        for run in self._waiting.runs(kind):
            self.refusals.ask_all(run)
            self._move(run, anew)
        return anew

    def _move(self, run: Run, kind: Kind) -> None:
        waiting = self._waiting.take(run)
        self._waiting.add(run, kind, waiting.place, orphan=waiting.orphan, build=waiting.build)
