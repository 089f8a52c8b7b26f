"""The runs that this process writes into its logs, and how a run comes out of a log: read, and carried into its head."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, JournalUnavailable, Run, Unknown
from durable_saga_server.journal.cassandra.heads import LINEARIZABLE, read_placed
from durable_saga_server.journal.cassandra.log import Term, read_rows, revoke
from durable_saga_server.journal.cassandra.own_logs import OwnLogs
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.cassandra.tails import Held, adopted, is_in_log

LOOKS_MAX = 5
"""How often a run is looked at again that others change meanwhile."""
CONDITIONAL_AT_ONCE_MAX = 128
"""Conditional writes of runs that are in a log, or come into one."""
IDLE_SECONDS = 30.0
"""A run that was not committed for so long is moved out of an old log."""


@dataclass(slots=True)
class _Turn:
    """Of those who write one run. `count`: who has it and who waits."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    count: int = 0


class HeldRuns:
    """`logs` are those of this process, which writes a run by one call after the other: what it holds is what the last of them
    has left. Every method raises JournalUnavailable."""

    def __init__(self, session: Session, logs: OwnLogs) -> None:
        self._session, self._logs = session, logs
        self._held: dict[Run, Held] = {}
        self._turns: dict[Run, _Turn] = {}
        self._room = asyncio.Semaphore(CONDITIONAL_AT_ONCE_MAX)
        logs.move_out = self.move_out

    @asynccontextmanager
    async def _alone(self, run: Run) -> AsyncIterator[None]:
        """Nobody else in this process writes the run meanwhile."""
        turn = self._turns.setdefault(run, _Turn())
        turn.count += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.count -= 1
            if not turn.count:
                del self._turns[run]

    async def _conditional(self, *parts: tuple[str, Sequence[Any]]) -> tuple[bool, dict[str, Any]] | Unknown:
        """As Session.conditional(), so many at once."""
        async with self._room:
            return await self._session.conditional(*parts)

    def began(self, head: Head, log: str, term: int) -> None:
        """A run was made, in this log."""
        if log:
            self._keep(Held(head, head.next_seq, head.last_commit), head, log, term)

    def _keep(self, held: Held, head: Head, log: str, term: int | None) -> None:
        """A conditional write was applied: all that is committed stands with the head."""
        if held.log and (held.log, held.term) != (log, term):
            self._logs.left(held.log, term_of(held))
        held.keep(head, log, term)
        held.used = asyncio.get_running_loop().time()
        own = self._logs.of(log)
        if own is not None:
            own.terms[term_of(held)] = None
            self._held[head.run] = held
        elif self._held.get(head.run) is held:
            del self._held[head.run]

    def _forget(self, held: Held) -> None:
        if self._held.get(held.head.run) is held:
            del self._held[held.head.run]

    async def move_out(self, run: Run, log: str) -> bool:
        """Whether its head names this log no more, by this call or before. A run that is at work moves with its next commit."""
        async with self._alone(run):
            held = self._held.get(run)
            if held is not None and held.log == log:
                if held.used > asyncio.get_running_loop().time() - IDLE_SECONDS:
                    return False
                self._forget(held)
                if not held.unsettled and await self._settle(held):
                    return True
            placed = await read_placed(self._session, LINEARIZABLE, run)
            if placed is None or placed[1] != log or placed[0].status not in OPEN:
                return True
            read = await self._read(run)
            return read is None or read.log != log or await self._settle(read)

    async def _read(self, run: Run) -> Held | None:
        """A run as it stands there, taken from its writer: nothing is committed any more under its term."""
        placed = await read_placed(self._session, LINEARIZABLE, run)
        if placed is None:
            return None
        head, log, term = placed
        if not is_in_log(head, log):
            return Held(head, head.next_seq, head.last_commit, log, term)
        key = (run, head.incarnation, term or 0)
        await revoke(self._session, log, key)
        return adopted(head, log, term, await read_rows(self._session, log, key, head.next_seq))

    async def _settle(self, held: Held) -> bool:
        """Its tail stands with the head, its owner keeps it, and it is in no log. False: somebody else did something."""
        head = held.head
        if not is_in_log(head, held.log):
            return True
        term = (held.term or 0) + 1
        values = (
            head.next_seq, head.last_commit, head.updated_ms, head.wake_at_ms, term,
            *head.run, *held.condition, held.log,
        )  # fmt: skip
        outcome = await self._conditional(("settle", values), *event_rows(head.run, held.base, held.tail))
        if isinstance(outcome, Unknown) or not outcome[0]:
            return False
        self._keep(held, head, "", term)
        return True

    async def _settled(self, run: Run) -> Head | None:
        """Somebody has begun to take it over, and did not go on."""
        async with self._alone(run):
            for _ in range(LOOKS_MAX):
                held = await self._read(run)
                if held is None or await self._settle(held):
                    return None if held is None else held.head
        raise JournalUnavailable(f"saga {run.saga} is being taken over again and again: ask later")


def term_of(held: Held) -> Term:
    return held.head.run, held.head.incarnation, held.term or 0


def event_rows(run: Run, first: int, events: Sequence[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    """The part of a conditional batch that writes events."""
    return [("event", (*run, seq, event)) for seq, event in enumerate(events, first)]
