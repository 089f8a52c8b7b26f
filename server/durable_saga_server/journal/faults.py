"""A journal whose writes fail as networks make them fail: for tests and simulation, driven by the caller's seed.

A fault is chosen for each conditional write by `choose`. The store underneath is the real one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any

from durable_saga_server.journal import Commit, Journal, JournalUnavailable, Outcome, Unknown
from durable_saga_server.journal.wrapping import Call, WrappedJournal

CONDITIONAL = ("runs.create", "runs.acquire", "runs.purge")


class Fault(Enum):
    NONE = "none"
    LOST_ANSWER = "the write is done, its answer is lost"
    LOST_REQUEST = "the write is not done, and nobody knows"
    LATE = "the write is not done yet, and nobody knows: `arrive()` does it"
    REFUSED = "the store refuses before it does anything"


class FaultyJournal(WrappedJournal):
    """`choose` is asked once for each conditional write; everything else goes straight through."""

    def __init__(self, journal: Journal, choose: Callable[[], Fault]) -> None:
        super().__init__(journal)
        self._choose = choose
        self._late: list[Callable[[], Awaitable[Any]]] = []

    async def arrive(self) -> int:
        """Do the writes that are late, in the order in which they were sent; nobody hears of their outcomes. How many."""
        late, self._late = self._late, []
        for write in late:
            with suppress(JournalUnavailable):
                await write()
        return len(late)

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name in CONDITIONAL:
            return await self._write(partial(call, *args))
        if name == "runs.commit_many":  # each commit is a write of its own
            return [await self._write(partial(_one, call, commit)) for commit in args[0]]
        return await call(*args)

    async def _write(self, write: Callable[[], Awaitable[Any]]) -> Any:
        fault = self._choose()
        if fault is Fault.REFUSED:
            raise JournalUnavailable("refused, by a fault that was asked for")
        if fault is Fault.LOST_REQUEST:
            return Unknown("a time-out; the request was lost")
        if fault is Fault.LATE:
            self._late.append(write)
            return Unknown("a time-out; the request is under way")
        outcome = await write()
        return Unknown("a time-out; the answer was lost") if fault is Fault.LOST_ANSWER else outcome


async def _one(commit_many: Call, commit: Commit) -> Outcome:
    outcome: Outcome = (await commit_many([commit]))[0]
    return outcome
