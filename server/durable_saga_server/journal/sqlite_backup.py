"""A whole copy of a SQLite journal, while it is written to or not, and a journal from such a copy.

`back_up` promises: the copy is one moment of the journal, holds all that was acknowledged before it began, is synced, one file,
readable by its owner alone, and was read back and found whole before it got its name. Whoever writes is not held up. Either
the file is there and whole, or it is not there. `restore` never replaces a file. Both raise JournalError and are
to be called from a thread.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from durable_saga_server.journal import JournalDamaged, JournalError, SchemaTooNew
from durable_saga_server.journal.sqlite_errors import translate
from durable_saga_server.journal.sqlite_private import BESIDE, claim
from durable_saga_server.journal.sqlite_rows import SCHEMA_VERSION

PARTIAL = ".partial"


def back_up(path: str, copy: str) -> int:
    """The copy's bytes. Raises JournalError when the journal is not there or not whole, and when `copy` is there already."""
    if not os.path.isfile(path) or os.path.islink(path):
        raise JournalError(f"there is no journal {path}")
    return _copy(path, copy)


def restore(copy: str, path: str) -> int:
    """The journal's bytes. Nothing may run on it, and it may not be there: what would be lost is moved away by a person."""
    there = [name for name in (path, *(f"{path}{suffix}" for suffix in BESIDE)) if os.path.lexists(name)]
    if there:
        raise JournalError(
            f"{', '.join(there)} exists and is not overwritten: stop everything that uses it and move it away first"
        )
    if not os.path.isfile(copy):
        raise JournalError(f"there is no copy {copy}")
    return _copy(copy, path)


def check(path: str) -> int:
    """How many runs it holds. Raises JournalDamaged when it is not whole, SchemaTooNew, JournalError when it is no journal."""
    with _open(path) as db:
        try:
            found = [row[0] for row in db.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                raise JournalDamaged(f"{path} is damaged: {'; '.join(found)}")
            version = db.execute("SELECT version FROM journal_schema").fetchone()
            if version is None or version[0] > SCHEMA_VERSION:
                raise SchemaTooNew(
                    f"{path} has schema version {version}, but this program only knows {SCHEMA_VERSION}: upgrade durable-saga"
                )
            if version[0] == SCHEMA_VERSION:
                counted = "(SELECT count(*) FROM events WHERE events.head = heads.id)"
                cut = db.execute(f"SELECT saga, run FROM heads WHERE next_seq != {counted} LIMIT 1").fetchone()
                if cut is not None:
                    raise JournalDamaged(f"{path} is damaged: events of saga {cut[0]}, run {cut[1]}, are missing")
            return int(db.execute("SELECT count(*) FROM heads").fetchone()[0])
        except sqlite3.Error as error:
            raise translate(error, path) from error


def schema_of(path: str) -> int:
    """Of the journal in that file, which may be in use. Raises JournalError: it is not there, or no journal."""
    if not os.path.isfile(path):
        raise JournalError(f"there is no journal {path}")
    with _open(path) as db:
        try:
            (version,) = db.execute("SELECT version FROM journal_schema").fetchone() or (0,)
            return int(version)
        except sqlite3.Error as error:
            raise translate(error, path) from error


def _copy(source: str, target: str) -> int:
    if os.path.lexists(target):
        raise JournalError(f"{target} already exists: name a new file")
    partial = f"{target}{PARTIAL}"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)  # of one that was broken off
        claim(partial)
        with _open(source) as whole, _open(partial) as part:
            whole.backup(part)  # in one step: one moment, and readers do not hold up who writes
            part.execute("PRAGMA journal_mode = DELETE")
        check(partial)
        _sync(partial)
        os.link(partial, target)  # unlike a rename, never over a file that has come meanwhile
        os.unlink(partial)
        _sync(os.path.dirname(os.path.abspath(target)))
        return os.stat(target).st_size
    except (sqlite3.Error, OSError) as error:
        raise translate(error, target) from error
    finally:
        for name in (partial, *(f"{partial}{suffix}" for suffix in BESIDE)):
            with contextlib.suppress(OSError):  # what went wrong was told
                os.unlink(name)


@contextlib.contextmanager
def _open(path: str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        yield db
    finally:
        db.close()


def _sync(path: str) -> None:
    """A file that nobody has open, or a folder."""
    found = os.open(path, os.O_RDONLY)
    try:
        os.fsync(found)
    finally:
        os.close(found)
