"""A pause of the run: its code gets every fact as always, and what it asks for is recorded; nothing begins until the resume.

So a history with pauses holds the intents of one without them. What came up during a pause is known not to have begun: it is
neither cut off by the death of a worker nor undone when it is cancelled. `stop_clocks` lets the clocks of the tape stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from durable_saga.pb import history_pb2 as h
from durable_saga.replay.calls import Calls
from durable_saga.replay.commands import Pause, Resume
from durable_saga.replay.pending import Pending
from durable_saga.replay.standing import Standing
from durable_saga.replay.tape import Tape
from durable_saga.replay.unwind import RUNNING, Entry, Stack


class Pausing:
    """Owns the way into a pause and out of it."""

    __slots__ = ("_calls", "_count", "_stack", "_standing", "_tape")

    def __init__(self, tape: Tape, standing: Standing, stack: Stack, calls: Calls) -> None:
        self._tape, self._standing, self._stack, self._calls = tape, standing, stack, calls
        self._count = 0

    def pause(self, fact: h.PauseRequested) -> None:
        """The last one counts, for its clocks too."""
        self._standing.pause = fact
        self._count += 1
        self._tape.stop_clock() if fact.stop_clocks else self._tape.start_clock()
        for one in self._open():
            if one.not_before_ms > self._tape.now_ms:
                self._keep_back(one, True)
        self._tape.want(partial(Pause, self._count))

    def resume(self, _: h.ResumeRequested) -> None:
        """Without a pause it is recorded, and changes nothing."""
        if self._standing.pause is None:
            return
        self._standing.pause = None
        self._tape.start_clock()
        for one in self._open():
            if one.is_kept_back:
                self._keep_back(one, False)
        self._tape.want(partial(Resume, self._count))

    def effects(self) -> list[Pause]:
        """What holds now, for a process that takes over."""
        return [Pause(self._count)] if self._standing.is_paused else []

    def is_kept_back(self, call: str) -> bool:
        """The history proves that the attempt of this step has not begun."""
        pending = self._calls.pending.get(call)
        return pending is not None and pending.is_kept_back

    def _keep_back(self, one: Pending | Entry, is_kept_back: bool) -> None:
        one.is_kept_back = is_kept_back
        if isinstance(one, Pending):  # after the end of it, it may have begun where that was committed
            one.from_history = self._tape.is_replaying and not is_kept_back

    def _open(self) -> Iterator[Pending | Entry]:
        yield from self._calls.pending.values()
        yield from (entry for entry in self._stack.entries.values() if entry.state == RUNNING)
