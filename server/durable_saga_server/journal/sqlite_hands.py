"""Who does SQLite's work: a thread that writes, a thread that reads, and the loop itself for what is short.

The writing thread takes everything that waits, puts it into one transaction, and answers after the commit reached the disk:
group commit. A write that comes alone is done by the loop: two hand-overs between threads would cost as much as the synced
commit. It is alone if none is under way, and none came just before, or that one was for a single run as this one is. Where a
commit is slow (the disk), where another process holds the file, and every THREAD_EVERY times, when the log may be due to move
into the file, it is the thread's. A point read is the loop's.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, TypeVar

from durable_saga_server.journal import JournalError, JournalFull, JournalUnavailable
from durable_saga_server.journal.sqlite_place import Place

BATCH_WRITES_MAX = 2_000
BUSY_TIMEOUT_MS = 10_000
LOOP_SECONDS_MAX = 0.002
"""After a commit of its own that took longer, the loop leaves the next SLOW_WRITES to the thread."""
SLOW_WRITES = 16
QUIET_SECONDS = 0.0002
"""How long nothing was written before the loop writes, unless this write and the one before were for one run each. It makes
one in a turn at most. Under load, what comes is written together."""
THREAD_EVERY = 64
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Job = tuple[Work[Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Hands:
    """Open from `open()` to `close()`. Use it from one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._place = Place(path)
        self._writes: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._own: sqlite3.Connection | None = None
        self._unanswered = 0
        self._written = 0
        self._size = 1
        self._wrote_this_turn = False
        self._own_from = 0
        self._ended = 0.0

    @property
    def is_open(self) -> bool:
        return bool(self._threads)

    async def open(self, first: Work[Any]) -> None:
        """`first` is written before anything else. Raises JournalUnavailable, and what `first` raises."""
        self._start(self._write_loop, "journal-writes")
        try:
            await self._hand(self._writes, first)
            self._own = _connect(self._path, 0)
            self._start(self._read_loop, "journal-reads")
            await self._hand(self._reads, _nothing)
        except (JournalError, sqlite3.Error) as error:
            await self.close()
            raise error if isinstance(error, JournalError) else _translate(error, self._path) from error
        self._place.remember()  # every connection is there now: none makes a new file later

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        self._writes.put(None)
        self._reads.put(None)
        threads, self._threads = self._threads, []
        own, self._own, self._wrote_this_turn = self._own, None, False
        if own is not None:
            own.close()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        self._writes, self._reads = queue.SimpleQueue(), queue.SimpleQueue()

    async def write(self, work: Work[T], size: int = 1) -> T:
        """In a transaction that is durable when this returns; `size` of what could be written apart. Raises JournalError."""
        self._written += 1
        alone, self._size = size == self._size == 1, size
        if self._own is None or self._place.is_lost or not self._is_own_work(alone) or not _begin(self._own):
            return await self._write_in_thread(work)
        began = perf_counter()
        answer: T | Exception = _transact(self._own, [work], self._place)[0]
        self._ended = perf_counter()
        self._wrote_this_turn = True
        asyncio.get_running_loop().call_soon(self._next_turn)
        if self._ended - began > LOOP_SECONDS_MAX:
            self._own_from = self._written + SLOW_WRITES
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _next_turn(self) -> None:
        self._wrote_this_turn = False

    async def _write_in_thread(self, work: Work[T]) -> T:
        self._unanswered += 1
        try:
            return await self._hand(self._writes, work)
        finally:
            self._unanswered -= 1
            self._ended = perf_counter()

    async def read(self, work: Work[T]) -> T:
        """Raises JournalError and ValueError."""
        return await self._hand(self._reads, work)

    async def look(self, work: Work[T]) -> T:
        """A read of one row or a few, which takes less than to ask a thread. Raises JournalError."""
        try:
            if self._own is not None:
                return work(self._own)
        except sqlite3.Error:
            pass  # the thread has the time to wait for a lock, and the words for what is wrong
        return await self.read(work)

    def _is_own_work(self, alone: bool) -> bool:
        """Whether the loop does this write. No other is under way then, so the two connections do not wait for each other."""
        if self._unanswered or self._wrote_this_turn or not (alone or perf_counter() > self._ended + QUIET_SECONDS):
            return False
        return self._written >= self._own_from and self._written % THREAD_EVERY > 0

    # --- threads -----------------------------------------------------------------------------------------------------

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    async def _hand(self, where: queue.SimpleQueue[Job | None], work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        where.put((work, loop, future))
        return await future

    def _write_loop(self) -> None:
        connection: sqlite3.Connection | None = None
        while (batch := _next_batch(self._writes)) is not None:
            try:
                connection = connection or _connect(self._path, BUSY_TIMEOUT_MS)
                if self._place.is_lost:
                    self._place.check()  # it may have been put back
                connection.execute("BEGIN IMMEDIATE")
            except (sqlite3.Error, OSError, JournalError) as error:
                problem = error if isinstance(error, JournalError) else _translate(error, self._path)
                _answer(batch, [problem] * len(batch))
            else:
                _answer(batch, _transact(connection, [work for work, _, _ in batch], self._place))
        if connection is not None:
            connection.close()

    def _read_loop(self) -> None:
        connection: sqlite3.Connection | None = None
        while (batch := _next_batch(self._reads)) is not None:
            try:
                connection = connection or _connect(self._path, BUSY_TIMEOUT_MS)
            except (sqlite3.Error, OSError) as error:
                _answer(batch, [_translate(error, self._path)] * len(batch))
            else:
                _answer(batch, [_attempt_read(work, connection, self._path) for work, _, _ in batch])
        if connection is not None:
            connection.close()


def _connect(path: str, busy_timeout_ms: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    if not busy_timeout_ms:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _nothing(db: sqlite3.Connection) -> None:
    """A read that only asks for the connection."""
    db.execute("SELECT 1 FROM sqlite_master").fetchone()


def _begin(connection: sqlite3.Connection) -> bool:
    """False: somebody else writes, or something is wrong that the thread will meet too."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error:
        return False
    return True


def _transact(connection: sqlite3.Connection, works: Sequence[Work[Any]], place: Place) -> list[Any]:
    """The answers of these, in the transaction that is begun. A refusal of ours is one's own answer; an error of SQLite is
    everyone's, and nothing is written. Nothing is acknowledged that went into a file which is not at its place any more."""
    try:
        answers = [_attempt(work, connection) for work in works]
        connection.execute("COMMIT")
        place.check()
    except Exception as error:
        problem = _translate(error, place.path) if isinstance(error, sqlite3.Error | OSError) else error
        _roll_back(connection)
        return [problem] * len(works)
    except BaseException:  # Ctrl-C: the lock is not kept
        _roll_back(connection)
        raise
    return answers


def _attempt(work: Work[Any], connection: sqlite3.Connection) -> Any:
    try:
        return work(connection)
    except JournalError as refusal:
        return refusal


def _attempt_read(work: Work[Any], connection: sqlite3.Connection, path: str) -> Any:
    try:
        return work(connection)
    except (JournalError, ValueError) as error:
        return error
    except sqlite3.Error as error:
        return _translate(error, path)


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


def _translate(error: Exception, path: str) -> JournalError:
    text = str(error)
    if "full" in text or getattr(error, "errno", None) == 28:
        return JournalFull(f"no room for the journal {path} ({text}): free some disk space, nothing was lost")
    if "not a database" in text:
        return JournalError(f"{path} is no journal ({text}): name another file")
    folder = os.path.dirname(path) or "."
    advice = "" if os.path.isdir(folder) else f": the folder {folder} is not there, make it"
    return JournalUnavailable(f"the journal {path} can't be used now ({text}){advice}")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself; the answer to the callers is the first error
