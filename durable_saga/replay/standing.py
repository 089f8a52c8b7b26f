"""Where a run stands: its phase and status, its deadline, whether it is past its pivot, and why it is being stopped.

Its parts and its loop look here whether anything new may be begun. It knows none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from durable_saga.errors import UnsupportedOperation
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.phases import FORWARD

COMPUTES = "a condition or an order of compensations: these only compute"
LOOKS = "a query: it only looks at what the saga has committed, and changes nothing"


class Standing:
    """`main` runs the saga's own code, and `stop` is the reason why it is being stopped. `cancels`: the saga then ends as
    cancelled. `asked_for`: the reason came from outside, so the saga unwinds even where an error of its own would hold it.
    `failed_child`: the error of a child saga that is to be held. `is_over`: what is left of its code is being cancelled, for
    good. `deadline_ms`: when the saga as a whole times out, by the clock of the tape, 0: never, or no more. `judging`: a
    function is asked that only computes or looks: which kind, and what it may, as the end of a sentence. `without_code`: it is
    undone from its journal, and no code of the saga runs. `pause`: under which nothing begins, None: the run is not paused."""

    __slots__ = (
        "asked_for", "cancels", "deadline_ms", "failed_child", "is_over", "judging", "main", "past_pivot", "pause", "phase",
        "started_ms", "status", "stop", "without_code",
    )  # fmt: skip

    def __init__(self) -> None:
        self.phase, self.status = FORWARD, h.RUNNING
        self.deadline_ms = self.started_ms = 0
        self.main: asyncio.Task[Any] | None = None
        self.stop: BaseException | None = None
        self.failed_child: BaseException | None = None
        self.pause: h.PauseRequested | None = None
        self.judging = ""
        self.cancels = self.asked_for = self.is_over = self.past_pivot = self.without_code = False

    def interrupt(self, reason: BaseException, *, cancels: bool = False, asked_for: bool = False) -> None:
        """Stop the saga's code. The first reason counts."""
        if self.stop is None:
            self.stop, self.cancels, self.asked_for = reason, cancels, asked_for
            if self.main is not None:
                self.main.cancel(str(reason))

    @property
    def is_paused(self) -> bool:
        return self.pause is not None

    @property
    def refuses(self) -> bool:
        """Nothing new can be begun."""
        return self.stop is not None and self.phase == FORWARD

    @property
    def stopping(self) -> bool:
        """The saga as a whole is being stopped: its own unwind does what is left to do."""
        return self.stop is not None or self.phase != FORWARD

    @property
    def is_done(self) -> bool:
        """The saga's own code is: nothing new is begun."""
        return self.without_code or (self.main is not None and self.main.done())

    def check_cancelled(self) -> None:
        """A cancellation is delivered at every await: once asked for, nothing new can be begun."""
        if self.refuses:
            raise asyncio.CancelledError(str(self.stop))

    def ask(self, condition: Callable[[], Any]) -> bool:
        """A condition of saga code, which only computes. Raises what it raises."""
        with self.asking(COMPUTES):
            return bool(condition())

    @contextmanager
    def asking(self, judging: str) -> Iterator[None]:
        """Inside, what would change anything is refused."""
        self.judging, before = judging, self.judging
        try:
            yield
        finally:
            self.judging = before

    def check_not_asked(self, what: str) -> None:
        """Raises UnsupportedOperation in a function that only computes or looks."""
        if self.judging:
            raise UnsupportedOperation(f"{what} in {self.judging}")

    async def wait_shielded(self, future: asyncio.Future[Any]) -> None:
        """Can't be cancelled, but by the end of the saga."""
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                if self.stopping:
                    raise  # the whole saga unwinds now, and this scope with it
