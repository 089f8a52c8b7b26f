"""The runs that workers could not go on with: a worker that comes later, with other code perhaps, is offered them at once.

In memory only. After a restart of the server they wait for their next try, some minutes at most.
"""

from __future__ import annotations

from collections.abc import Callable

from durable_saga_server.journal import Run
from durable_saga_server.workers.sessions import Session, Sessions

BLOCKED_RUNS_MAX = 10_000


class BlockedRuns:
    """Owns, for each, its saga type, and the workers that were there when it was blocked first or have blocked it since. `give`
    hands a run to a worker that has room for it."""

    def __init__(
        self, sessions: Sessions, give: Callable[[Run, str, Session], None], now_ms: Callable[[], int] = lambda: 0
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._give = give
        self._now_ms = now_ms
        self._runs: dict[Run, tuple[str, frozenset[str]]] = {}
        self._since_ms: dict[Run, int] = {}

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def oldest_ms(self) -> int:
        """Since when the first of them has been blocked, as far as this server knows; 0: there is none."""
        return min(list(self._since_ms.values()), default=0)

    def saga_types(self) -> list[str]:
        """Of each of them."""
        return [saga_type for saga_type, _ in list(self._runs.values())]

    def add(self, run: Run, saga_type: str, worker: str) -> None:
        """This worker has blocked it; one that came meanwhile is offered it."""
        before = self._runs.pop(run, None)
        known = before[1] if before is not None else frozenset(one.name for one in self._sessions)
        self._runs[run] = saga_type, known | {worker}
        self._since_ms.setdefault(run, self._now_ms())
        if len(self._runs) > BLOCKED_RUNS_MAX:
            self.goes_on(next(iter(self._runs)))
        for session in self._sessions:
            if self._offer(run, session):
                return

    def goes_on(self, run: Run) -> None:
        if self._runs:
            self._runs.pop(run, None)
            self._since_ms.pop(run, None)

    def offer(self, session: Session) -> None:
        """To a worker that has just connected: what others could not go on with."""
        for run in list(self._runs):
            self._offer(run, session)

    def _offer(self, run: Run, session: Session) -> bool:
        saga_type, known = self._runs.get(run, ("", frozenset()))
        if session.name in known or not session.has_room(run.namespace, saga_type):
            return False
        self._give(run, saga_type, session)
        return True
