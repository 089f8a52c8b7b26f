"""Back-offs that somebody ends: every attempt that waits for its time, of a step or a compensation, begins at once.

It is recorded before the attempts begin, so that who takes the run over knows that they may have begun. What is kept back by a
pause stays so, and begins with the resume.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from durable_saga.replay.calls import Calls
from durable_saga.replay.commands import RetryNow
from durable_saga.replay.pending import Pending
from durable_saga.replay.tape import Tape
from durable_saga.replay.unwind import RUNNING, Entry, Stack


class Retrying:
    """Owns nothing: the times stand with the steps and the compensations."""

    __slots__ = ("_calls", "_stack", "_tape")

    def __init__(self, tape: Tape, stack: Stack, calls: Calls) -> None:
        self._tape, self._stack, self._calls = tape, stack, calls

    @property
    def has_any(self) -> bool:
        """As far as the saga's time says: one whose back-off has just ended counts too."""
        return next(self._waiting(), None) is not None

    def now(self) -> None:
        waiting = list(self._waiting())
        for one in waiting:
            one.not_before_ms = 0
        self._tape.want(partial(RetryNow, [(one.call, one.attempt) for one in waiting]))

    def _waiting(self) -> Iterator[Pending | Entry]:
        for pending in self._calls.pending.values():
            if pending.not_before_ms > self._tape.now_ms:
                yield pending
        for entry in self._stack.entries.values():
            if entry.state == RUNNING and entry.not_before_ms > self._tape.now_ms:
                yield entry
