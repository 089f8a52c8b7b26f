"""The journal in one SQLite file: the embedded default. WAL and synchronous=FULL, so what is committed survives a crash.

All writes go through one thread. It takes everything that waits, puts it into one transaction, and answers after the
commit reached the disk: group commit. A write that fails by its condition changes nothing and does not disturb the others.
Reads have a connection and a thread of their own. Several processes may open one file; SQLite's lock orders them.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import (
    Commit,
    Created,
    Exists,
    Filter,
    Head,
    Hint,
    JournalError,
    JournalFull,
    JournalUnavailable,
    Listed,
    Member,
    Outcome,
    Run,
    Tally,
    Unknown,
)
from durable_saga_server.journal import sqlite_chunks as large
from durable_saga_server.journal import sqlite_inbox as inboxes
from durable_saga_server.journal import sqlite_index as index
from durable_saga_server.journal import sqlite_rows as rows

BATCH_WRITES_MAX = 2_000
BUSY_TIMEOUT_MS = 10_000
T = TypeVar("T")
Job = tuple[Callable[[sqlite3.Connection], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class SqliteJournal:
    """Opens on `initialize()`. Use it from one event loop."""

    batches_at_once = 2
    """One is written, one is ready to be."""

    def __init__(self, path: str | pathlib.Path) -> None:
        self._path = str(path)
        self._writes: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._inboxes = inboxes.Inboxes()

    async def initialize(self) -> None:
        """Raises SchemaTooNew, JournalUnavailable (the folder isn't there, no rights)."""
        if self._threads:
            return
        self._start(self._write_loop, "journal-writes")
        try:
            await self._submit(self._writes, rows.migrate)
        except JournalError:
            await self.close()
            raise
        self._start(self._read_loop, "journal-reads")

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        self._writes.put(None)
        self._reads.put(None)
        threads, self._threads = self._threads, []
        for thread in threads:
            await asyncio.to_thread(thread.join)
        self._writes, self._reads = queue.SimpleQueue(), queue.SimpleQueue()

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    # --- threads -----------------------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        connection: sqlite3.Connection | None = None
        while (batch := _next_batch(self._writes)) is not None:
            try:
                connection = connection or self._connect()
                connection.execute("BEGIN IMMEDIATE")
                answers = [_attempt(job, connection) for job in batch]
                connection.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                problem = _translate(error, self._path)
                _roll_back(connection)
                _answer(batch, [problem] * len(batch))
            else:
                _answer(batch, answers)
        if connection is not None:
            connection.close()

    def _read_loop(self) -> None:
        connection = self._connect()
        while (batch := _next_batch(self._reads)) is not None:
            _answer(batch, [_attempt_read(job, connection, self._path) for job in batch])
        connection.close()

    async def _submit(self, where: queue.SimpleQueue[Job | None], job: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        where.put((job, loop, future))
        return await future

    # --- the interface -------------------------------------------------------------------------------------------------

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        return await self._submit(self._writes, lambda db: rows.create(db, head, event, hint))

    async def head(self, run: Run) -> Head | None:
        return await self._submit(self._reads, lambda db: rows.read_head(db, run))

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        return await self._submit(self._writes, lambda db: rows.acquire(db, run, incarnation, epoch, owner, now_ms))

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        return await self._submit(self._writes, lambda db: [rows.commit(db, commit) for commit in commits])

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        return await self._submit(self._reads, lambda db: rows.events(db, run, from_seq, limit))

    async def put_message(self, run: Run, message: h.InboxMessage) -> bool:
        return await self._submit(self._writes, lambda db: self._inboxes.put(db, run, message))

    async def has_message(self, run: Run, message_id: str) -> bool:
        return await self._submit(self._reads, lambda db: inboxes.has_message(db, run, message_id))

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        await self._submit(self._writes, lambda db: rows.advance(db, run, incarnation, newest))

    async def inbox(self, run: Run) -> Sequence[h.InboxMessage]:
        return await self._submit(self._reads, lambda db: inboxes.inbox(db, run))

    async def put_chunks(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        await self._submit(self._writes, lambda db: large.put_chunks(db, run, digest, first, chunks, now_ms))

    async def chunks(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        return await self._submit(self._reads, lambda db: large.chunks(db, run, digest, first, limit))

    async def drop_chunks(self, run: Run, before_ms: int) -> bool:
        return await self._submit(self._writes, lambda db: large.drop_chunks(db, run, before_ms))

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        return await self._submit(self._writes, lambda db: rows.purge(db, run, incarnation, before_ms))

    async def add_hint(self, hint: Hint) -> None:
        await self._submit(self._writes, lambda db: rows.add_hint(db, hint))

    async def hints(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        return await self._submit(self._reads, lambda db: rows.hints(db, shard, after_ms, until_ms, limit))

    async def bring_near(self, shard: int, until_ms: int) -> None: ...

    async def watermark(self, shard: int) -> int:
        return await self._submit(self._reads, lambda db: rows.watermark(db, shard))

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        await self._submit(self._writes, lambda db: rows.set_watermark(db, shard, due_ms))

    async def beat(self, member: Member) -> None:
        await self._submit(self._writes, lambda db: index.beat(db, member))

    async def members(self) -> Sequence[Member]:
        return await self._submit(self._reads, index.members)

    async def leave(self, name: str) -> None:
        await self._submit(self._writes, lambda db: index.leave(db, name))

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        return await self._submit(self._reads, lambda db: index.listing(db, filter, limit, page))

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        return await self._submit(self._reads, lambda db: index.keyed(db, namespace, key, limit))

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        await self._submit(self._writes, lambda db: index.drop_key(db, namespace, key, run, before_ms))

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        return await self._submit(self._reads, lambda db: index.changes(db, namespace, after_ms, limit))

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        return await self._submit(self._reads, lambda db: index.tallies(db, namespace))

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        return await self._submit(self._writes, lambda db: index.claim(db, namespace, group, item, now_ms, until_ms))

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        await self._submit(self._writes, lambda db: index.confirm(db, namespace, group, item))

    def list_again(self, run: Run) -> None: ...


def _next_batch(where: queue.SimpleQueue[Job | None]) -> list[Job] | None:
    """Wait for one, then take whatever else waits. None: closed."""
    first = where.get()
    if first is None:
        return None
    batch = [first]
    while len(batch) < BATCH_WRITES_MAX and not where.empty():
        job = where.get()
        if job is None:
            where.put(None)  # close after this batch
            break
        batch.append(job)
    return batch


def _attempt(job: Job, connection: sqlite3.Connection) -> Any:
    """One write of a batch. A refusal of ours is its own answer; an error of SQLite fails the whole transaction."""
    try:
        return job[0](connection)
    except JournalError as refusal:
        return refusal


def _attempt_read(job: Job, connection: sqlite3.Connection, path: str) -> Any:
    try:
        return job[0](connection)
    except (JournalError, ValueError) as error:
        return error
    except sqlite3.Error as error:
        return _translate(error, path)


def _translate(error: Exception, path: str) -> JournalError:
    text = str(error)
    if "full" in text or getattr(error, "errno", None) == 28:
        return JournalFull(f"no room for the journal {path} ({text}): free some disk space, nothing was lost")
    if "not a database" in text:
        return JournalError(f"{path} is no journal ({text}): name another file")
    folder = os.path.dirname(path) or "."
    advice = "" if os.path.isdir(folder) else f": the folder {folder} is not there, make it"
    return JournalUnavailable(f"the journal {path} can't be used now ({text}){advice}")


def _roll_back(connection: sqlite3.Connection | None) -> None:
    if connection is not None and connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself; the answer to the callers is the first error


def _answer(batch: Sequence[Job], answers: Sequence[Any]) -> None:
    """One call into the loop for the whole batch."""

    def resolve() -> None:
        for (_, _, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_exception(answer) if isinstance(answer, Exception) else future.set_result(answer)

    try:
        batch[0][1].call_soon_threadsafe(resolve)
    except RuntimeError:
        pass  # the loop that asked is closed: nobody waits
