"""Which code could not go on with which runs, and which runs nobody can go on with now: these are *blocked*.

A run that one build refuses goes to another one at once. That build does not get it again until everybody who is connected has
refused it, and it is time to try all of them anew: after BLOCKED_RETRY_MS_MIN, then after twice as long, and so on. A worker
with other code ends the waiting at once. In memory only: after a restart of the server each build is asked once more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from durable_saga.pb.log_fields import about
from durable_saga_server.journal import Run

log = logging.getLogger(__name__)
BLOCKED_RETRY_MS_MIN = 1_000
BLOCKED_RETRY_MS_MAX = 600_000
REFUSED_RUNS_MAX = 100_000
"""Beyond it, the ones that were refused first are forgotten: builds are asked once more."""
BLOCKED_SAID_MS = 3_600_000
"""After so long the log says of a run once more that it is blocked."""
_NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Refused:
    """`builds`: those who refused it since all were asked. `times`: how often in a row nobody could go on with it."""

    saga_type: str
    build: str
    builds: frozenset[str] = _NOBODY
    times: int = 0
    is_blocked: bool = False
    said_ms: int = 0
    since_ms: int = 0


class Refusals:
    def __init__(self) -> None:
        self._runs: dict[Run, Refused] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def of(self, run: Run) -> frozenset[str]:
        """Who is not to get it."""
        one = self._runs.get(run) if self._runs else None
        return _NOBODY if one is None else one.builds

    def add(self, run: Run, saga_type: str, own: str, build: str) -> frozenset[str]:
        """`build` can't go on with it; it began with `own`. Who has refused it by now."""
        one = self._runs.pop(run, None) or Refused(saga_type, own)
        one.builds |= {build}
        self._runs[run] = one
        if len(self._runs) > REFUSED_RUNS_MAX:
            del self._runs[next(iter(self._runs))]
        return one.builds

    def blocked(self, run: Run, reason: str, now_ms: int) -> int:
        """Nobody can go on with it: the milliseconds after which all are asked again."""
        one = self._runs[run]
        retry_ms: int = min(BLOCKED_RETRY_MS_MIN * 2 ** min(one.times, 20), BLOCKED_RETRY_MS_MAX)
        one.times += 1
        one.since_ms = one.since_ms or now_ms
        if now_ms >= one.said_ms + BLOCKED_SAID_MS or not one.said_ms:
            one.said_ms = now_ms
            log.error("saga %s is blocked: no connected worker can continue it: %s", run.saga, reason, extra=about(run))
        return retry_ms

    def stands(self, run: Run) -> None:
        """It is written that it is blocked."""
        if (one := self._runs.get(run)) is not None:
            one.is_blocked = True

    def known(self) -> Mapping[Run, Refused]:
        return self._runs

    def blocked_runs(self) -> list[tuple[Run, Refused]]:
        return [(run, one) for run, one in list(self._runs.items()) if one.is_blocked]

    @property
    def oldest_ms(self) -> int:
        """Since when the first of those that are blocked has been so, as far as this server knows; 0: there is none."""
        return min((one.since_ms for _, one in self.blocked_runs()), default=0)

    def tried(self, run: Run) -> None:
        """It is offered to those who have not refused it."""
        if self._runs and (one := self._runs.get(run)) is not None:
            one.is_blocked = False

    def ask_all(self, run: Run) -> None:
        """It is offered to everybody once more."""
        if self._runs and (one := self._runs.get(run)) is not None:
            one.builds, one.is_blocked = _NOBODY, False

    def retried(self, run: Run) -> None:
        """Its time has come: if it was blocked, everybody is asked."""
        if self._runs and (one := self._runs.get(run)) is not None and one.is_blocked:
            one.builds, one.is_blocked = _NOBODY, False

    def goes_on(self, run: Run) -> None:
        """It has got something done. Who refused it does not get it all the same."""
        if self._runs and (one := self._runs.get(run)) is not None:
            if one.times:
                log.info("saga %s is not blocked any more", run.saga, extra=about(run))
            one.times, one.is_blocked, one.said_ms, one.since_ms = 0, False, 0, 0

    def forget(self, run: Run) -> None:
        """It has ended."""
        if self._runs:
            self._runs.pop(run, None)
