"""Who does SQLite's work: a thread that writes, a thread that reads, and the loop itself for what is short.

The writing thread takes everything that waits, puts it into one transaction, and answers after the commit reached the disk:
group commit. A write that comes alone is done by the loop: two hand-overs between threads would cost as much as the synced
commit. It is alone if none is under way, and none came just before, or that one was for a single run as this one is. Where a
commit is slow (the disk), where another process holds the file, and every THREAD_EVERY times, when the log may be due to move
into the file, it is the thread's. A point read is the loop's.

A job that fails is answered with its own error. When one has broken a transaction, that is rolled back, and all of it is done
again with a savepoint for each job. A job can't end its thread; a watchdog begins a thread anew that has ended all the same,
says so when one stands still, and breaks off a read that takes longer than READ_SECONDS_MAX.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from durable_saga_server.clock import Machine
from durable_saga_server.journal import JournalError
from durable_saga_server.journal.sqlite_errors import is_of_all, translate
from durable_saga_server.journal.sqlite_place import Place
from durable_saga_server.journal.sqlite_private import claim

log = logging.getLogger(__name__)

BATCH_WRITES_MAX = 2_000
BUSY_TIMEOUT_MS = 10_000
AGAIN_SECONDS = 0.005
LOOP_SECONDS_MAX = 0.002
"""After a commit of its own that took longer, the loop leaves the next SLOW_WRITES to the thread."""
SLOW_WRITES = 16
QUIET_SECONDS = 0.0002
"""How long nothing was written before the loop writes, unless this write and the one before were for one run each. It makes
one in a turn at most. Under load, what comes is written together."""
THREAD_EVERY = 64
WATCH_SECONDS = 1.0
READ_SECONDS_MAX = 60.0
STUCK_SECONDS = 15.0
"""A batch of jobs that takes longer is logged."""
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Job = tuple[Work[Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


Do = Callable[[sqlite3.Connection, Sequence[Work[Any]], Place], list[Any]]


class _Hand:
    """One thread with its queue and its connection."""

    def __init__(self, name: str, place: Place, do: Do) -> None:
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.connection: sqlite3.Connection | None = None
        self.busy_since = 0.0
        """0: it waits for jobs."""
        self.name = name
        self._place = place
        self._do = do
        self._batch: Sequence[Job] = ()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name=self.name, daemon=True)
        self._thread.start()

    @property
    def is_dead(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    async def stop(self) -> None:
        """When what waits is done."""
        self.jobs.put(None)
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def begin_anew(self) -> None:
        """The thread has ended without being asked to. What it had in hand is answered, what waits is done by the next."""
        batch, self._batch = self._batch, ()
        log.error("the thread %s ended because of a bug in durable_saga (please report it) and is started again", self.name)
        for _, _, future in batch:
            if not future.done():
                future.set_exception(JournalError(f"the thread {self.name} ended while it was at work: try again"))
        self.busy_since = 0.0
        self.connection = None  # it is that thread's; what it had begun is rolled back
        self.start()

    def _loop(self) -> None:
        while (batch := _next_batch(self.jobs)) is not None:
            self._batch, self.busy_since = batch, Machine.monotonic()
            _answer(batch, self._done([work for work, _, _ in batch]))
            self._batch, self.busy_since = (), 0.0
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _done(self, works: Sequence[Work[Any]]) -> list[Any]:
        try:
            self.connection = self.connection or _connect(self._place.path, BUSY_TIMEOUT_MS)
            return self._do(self.connection, works, self._place)
        except BaseException as error:  # whatever it is, those who wait hear of it, and the thread lives
            return [translate(error, self._place.path)] * len(works)


class Hands:
    """Open from `open()` to `close()`. Use it from one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._place = Place(path)
        self._begin_hands()
        self._is_open = False
        self._watch: asyncio.TimerHandle | None = None
        self._own: sqlite3.Connection | None = None
        self._unanswered = 0
        self._written = 0
        self._size = 1
        self._wrote_this_turn = False
        self._own_from = 0
        self._ended = 0.0

    def _begin_hands(self) -> None:
        self._writes = _Hand("journal-writes", self._place, _write)
        self._reads = _Hand("journal-reads", self._place, _read)

    @property
    def is_open(self) -> bool:
        return self._is_open

    async def open(self, first: Work[Any]) -> None:
        """`first` is written before anything else. Raises JournalUnavailable, JournalDamaged, and what `first` raises."""
        try:
            claim(self._path)
        except OSError as error:
            raise translate(error, self._path) from error
        self._is_open = True
        self._writes.start()
        try:
            await self._hand(self._writes, first)
            self._own = _connect(self._path, 0)
            self._reads.start()
            await self._hand(self._reads, _nothing)
        except (JournalError, sqlite3.Error) as error:
            await self.close()
            raise error if isinstance(error, JournalError) else translate(error, self._path) from error
        self._place.remember()  # every connection is there now: none makes a new file later
        self._watch_later()

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        self._is_open = False
        if self._watch is not None:
            self._watch.cancel()
        own, self._own, self._wrote_this_turn = self._own, None, False
        if own is not None:
            own.close()
        for hand in (self._writes, self._reads):
            await hand.stop()
        self._begin_hands()

    def _watch_later(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._look_after_threads)

    def _look_after_threads(self) -> None:
        for hand in (self._writes, self._reads):
            since = hand.busy_since
            seconds = Machine.monotonic() - since if since else 0.0
            if hand.is_dead:
                hand.begin_anew()
            elif seconds > STUCK_SECONDS and int(seconds / WATCH_SECONDS) % int(STUCK_SECONDS / WATCH_SECONDS) == 0:
                log.warning("the thread %s has been at work on the journal for %.0f s", hand.name, seconds)
            if hand is self._reads and seconds > READ_SECONDS_MAX and hand.connection is not None:
                hand.connection.interrupt()
        self._watch_later()

    async def write(self, work: Work[T], size: int = 1) -> T:
        """In a transaction that is durable when this returns; `size` of what could be written apart. Raises JournalError.
        `work` may be called twice: what it did the first time is rolled back then."""
        self._written += 1
        alone, self._size = size == self._size == 1, size
        if self._own is None or self._place.is_lost or not self._is_own_work(alone) or not _begin(self._own):
            return await self._write_in_thread(work)
        began = Machine.monotonic()
        answer: T | Exception = _transact(self._own, [work], self._place)[0]
        self._ended = Machine.monotonic()
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
            self._ended = Machine.monotonic()

    async def read(self, work: Work[T]) -> T:
        """Raises JournalError and ValueError."""
        return await self._hand(self._reads, work)

    async def look(self, work: Work[T]) -> T:
        """A read of one row or a few, which takes less than to ask a thread. Raises JournalError."""
        try:
            if self._own is not None:
                return work(self._own)
        except (sqlite3.Error, OverflowError):
            pass  # the thread has the time to wait for a lock, and the words for what is wrong
        return await self.read(work)

    def _is_own_work(self, alone: bool) -> bool:
        """Whether the loop does this write. No other is under way then, so the two connections do not wait for each other."""
        if self._unanswered or self._wrote_this_turn or not (alone or Machine.monotonic() > self._ended + QUIET_SECONDS):
            return False
        return self._written >= self._own_from and self._written % THREAD_EVERY > 0

    async def _hand(self, hand: _Hand, work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        hand.jobs.put((work, loop, future))
        return await future


def _connect(path: str, busy_timeout_ms: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    if not busy_timeout_ms:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """In a fresh file several may do so at once: SQLite lets one of them, and others hear at once that it is locked,
    whatever their time-out is."""
    until = Machine.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or Machine.monotonic() > until:
                raise
        time.sleep(AGAIN_SECONDS)


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


def _write(connection: sqlite3.Connection, works: Sequence[Work[Any]], place: Place) -> list[Any]:
    if place.is_lost:
        place.check()  # it may have been put back
    connection.execute("BEGIN IMMEDIATE")
    return _transact(connection, works, place)


def _read(connection: sqlite3.Connection, works: Sequence[Work[Any]], place: Place) -> list[Any]:
    return [_attempt_read(work, connection, place.path) for work in works]


def _transact(connection: sqlite3.Connection, works: Sequence[Work[Any]], place: Place) -> list[Any]:
    """The answers of these, in the transaction that is begun. A refusal of ours is one's own answer, and so is what one can't
    do; what SQLite can't do now is everyone's, and nothing is written. Nothing is acknowledged that went into a file which is
    not at its place any more."""
    try:
        try:
            answers = [_attempt(work, connection) for work in works]
        except Exception as error:
            if is_of_all(error):
                raise
            _roll_back(connection)
            connection.execute("BEGIN IMMEDIATE")
            answers = [_attempt_apart(work, connection, place.path) for work in works]
        connection.execute("COMMIT")
        place.check()
    except Exception as error:
        _roll_back(connection)
        return [translate(error, place.path)] * len(works)
    except BaseException:  # Ctrl-C: the lock is not kept
        _roll_back(connection)
        raise
    return answers


def _attempt(work: Work[Any], connection: sqlite3.Connection) -> Any:
    try:
        return work(connection)
    except JournalError as refusal:
        return refusal


def _attempt_apart(work: Work[Any], connection: sqlite3.Connection, path: str) -> Any:
    """What it did is undone when it fails; the others of the transaction are not touched."""
    connection.execute("SAVEPOINT job")
    try:
        answer = work(connection)
    except Exception as error:
        if is_of_all(error):
            raise
        connection.execute("ROLLBACK TO job")
        answer = translate(error, path)
    connection.execute("RELEASE job")
    return answer


def _attempt_read(work: Work[Any], connection: sqlite3.Connection, path: str) -> Any:
    try:
        return work(connection)
    except Exception as error:
        return translate(error, path)


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


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself; the answer to the callers is the first error
