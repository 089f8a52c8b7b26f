"""The log of this process on Cassandra: rows of many runs, one batch for all that wait, and one read of the fence for these.

A log is one partition that one process writes. The fence beside it, of the same name, says whether what stands in the log still
counts: `opened` is there, `closed` is not, and no row revokes the run's term. A commit is what was acknowledged by a quorum
before a read of the fence began that found it so (docs/commit-protocol.md, "Logs").
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from durable_saga_server.journal import JournalError, JournalUnavailable, Run
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.cassandra.tails import TailRow
from durable_saga_server.tending import mistake

BATCHES_AT_ONCE_MAX = 2
VALIDATIONS_AT_ONCE_MAX = 2
BATCH_ROWS_MAX = 500
BATCH_BYTES_MAX = 4 * 1024 * 1024
LOG_BYTES_MAX = 64 * 1024 * 1024
"""A log partition that has more is turned: runs go on in another one."""
LOG_MS_MAX = 600_000
REVOKED_MAX = 500
"""A fence that revokes more terms is read for too long: its log is turned."""

Term = tuple[Run, bytes, int]
"""Which part of a log: run, incarnation, term."""


class Fence(NamedTuple):
    """What a read of a fence has shown."""

    is_open: bool
    revoked: frozenset[Term]

    def holds(self, term: Term) -> bool:
        return self.is_open and term not in self.revoked


class _Waiting(NamedTuple):
    term: Term
    row: TailRow
    size: int
    done: asyncio.Future[bool]


class Log:
    """`terms` are those that may still have rows here which count."""

    def __init__(self, session: Session, name: str, opened_ms: int) -> None:
        self._session = session
        self.name, self.opened_ms = name, opened_ms
        self.size = self.revoked = 0
        self.is_closed = False
        self.terms: dict[Term, None] = {}
        self._waiting: list[_Waiting] = []
        self._acknowledged: list[_Waiting] = []
        self._asked: list[asyncio.Future[Fence]] = []
        self._batches = self._validations = 0
        self._is_woken = False
        self._tasks: set[asyncio.Task[None]] = set()

    def is_full(self, now_ms: int) -> bool:
        return self.size > LOG_BYTES_MAX or now_ms > self.opened_ms + LOG_MS_MAX or self.revoked > REVOKED_MAX

    async def append(self, term: Term, row: TailRow) -> bool:
        """True: committed. False: the fence says no; the row may be there nevertheless, and count. Raises JournalUnavailable
        when the outcome is unknown: send the identical row again."""
        done = asyncio.get_running_loop().create_future()
        size = sum(map(len, row.events)) + 100
        self.size += size
        self.terms[term] = None
        self._waiting.append(_Waiting(term, row, size, done))
        self._go_on_soon()
        return bool(await done)

    async def validate(self) -> Fence:
        """A read of the fence that begins now or later. Raises JournalUnavailable."""
        asked: asyncio.Future[Fence] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._go_on_soon()
        return await asked

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _go_on_soon(self) -> None:
        """What is asked for in one turn of the loop travels together."""
        if not self._is_woken:
            self._is_woken = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_woken = False
        while self._waiting and self._batches < BATCHES_AT_ONCE_MAX:
            self._batches += 1
            self._spawn(self._write(self._take()))
        while (self._acknowledged or self._asked) and self._validations < VALIDATIONS_AT_ONCE_MAX:
            self._validations += 1
            rows, self._acknowledged = self._acknowledged, []
            asked, self._asked = self._asked, []
            self._spawn(self._validate(rows, asked))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"log {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[_Waiting]:
        size = count = 0
        for one in self._waiting:
            if count and (count >= BATCH_ROWS_MAX or size + one.size > BATCH_BYTES_MAX):
                break
            size, count = size + one.size, count + 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _write(self, rows: Sequence[_Waiting]) -> None:
        try:
            await self._session.write_together("log_row", [values_of(self.name, one.term, one.row) for one in rows])
        except Exception as error:  # whatever it is: an answer that never comes would be worse
            _fail(rows, error)
        else:
            self._acknowledged += rows
        self._batches -= 1  # one that was cancelled, as its loop ends, begins nothing more
        self._go_on()

    async def _validate(self, rows: Sequence[_Waiting], asked: Sequence[asyncio.Future[Fence]]) -> None:
        """It covers what was acknowledged before it began."""
        try:
            fence = await read_fence(self._session, self.name)
        except Exception as error:
            unknown = _fail(rows, error)
            for one in asked:
                if not one.done():
                    one.set_exception(unknown)
        else:
            self.is_closed, self.revoked = self.is_closed or not fence.is_open, len(fence.revoked)
            for row in rows:
                if not row.done.done():
                    row.done.set_result(fence.holds(row.term))
            for one in asked:
                if not one.done():
                    one.set_result(fence)
        self._validations -= 1
        self._go_on()


def _fail(rows: Sequence[_Waiting], error: Exception) -> JournalUnavailable:
    """Nobody knows what became of them; what a mistake raised is told to who looks after this process."""
    if not isinstance(error, JournalError):
        mistake("a log on Cassandra", error)
    unknown = error if isinstance(error, JournalUnavailable) else JournalUnavailable(f"{type(error).__name__}: {error}")
    for one in rows:
        if not one.done.done():
            one.done.set_exception(unknown)
    return unknown


def values_of(log: str, term: Term, row: TailRow) -> tuple[object, ...]:
    run, incarnation, number = term
    return log, *run, incarnation, number, row.seq, row.commit_id, row.now_ms, row.wake_at_ms, list(row.events)


async def open_log(session: Session, name: str, now_ms: int) -> Log:
    """Its fence is open, and everybody can find it, before its first use. Raises JournalUnavailable."""
    await session.read("log_known", name, now_ms)
    await session.read("fence_open", name)
    return Log(session, name, now_ms)


async def read_fence(session: Session, name: str) -> Fence:
    """Raises JournalUnavailable."""
    rows = await session.read("fence", name)
    is_open = bool(rows) and bool(rows[0][0]) and not rows[0][1]
    revoked = frozenset((Run(*row[2:5]), row[5], row[6]) for row in rows if row[2] is not None)
    return Fence(is_open, revoked)


async def revoke(session: Session, name: str, term: Term) -> None:
    """Nothing that is acknowledged from now on counts under this term. Raises JournalUnavailable."""
    await session.read("fence_revoke", name, *term[0], term[1], term[2])


async def read_rows(session: Session, name: str, term: Term, from_seq: int) -> list[TailRow]:
    """In order. Raises JournalUnavailable."""
    rows = await session.read("log_rows", name, *term[0], term[1], term[2], from_seq)
    return [TailRow(seq, commit_id, now_ms, wake_at_ms, events or ()) for seq, commit_id, now_ms, wake_at_ms, events in rows]
