"""What went wrong in SQLite, in the words of a journal.

Full, busy and read-only are everybody's trouble; a value that SQLite does not take, or a damaged place in the file, is that of
the job that met it.
"""

from __future__ import annotations

import os
import sqlite3

from google.protobuf.message import DecodeError

from durable_saga_server.journal import JournalDamaged, JournalError, JournalFull, JournalUnavailable

_NO_SPACE = 28
_PRIMARY = 0xFF


def is_of_all(error: BaseException) -> bool:
    """Whether the other jobs of a transaction would meet it too."""
    return isinstance(error, sqlite3.OperationalError | OSError | MemoryError)


def translate(error: BaseException, path: str) -> Exception:
    """A mistake of ours is itself; a value that SQLite has no room for, and all that SQLite says, is a JournalError."""
    text, code = str(error), getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if isinstance(error, OverflowError | DecodeError | MemoryError) or not isinstance(error, Exception):
        return JournalError(f"the journal can't do this ({type(error).__name__}: {text})")
    if not isinstance(error, sqlite3.Error | OSError):
        return error
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == _NO_SPACE:
        return JournalFull(f"no room for the journal {path} ({text}): free some disk space. Nothing was lost")
    if code == sqlite3.SQLITE_NOTADB:
        return JournalDamaged(f"{path} isn't a journal ({text}): name another file")
    if code == sqlite3.SQLITE_CORRUPT:
        return JournalDamaged(f"the journal {path} is damaged ({text}): restore it from a copy")
    if os.path.isdir(path):
        return JournalDamaged(f"{path} is a folder, not a journal: name a file")
    if code == sqlite3.SQLITE_INTERRUPT:
        return JournalError(f"a read of the journal took too long and was broken off ({text}): ask for less")
    if isinstance(error, sqlite3.Error) and not is_of_all(error):
        return JournalError(f"the journal does not accept this ({text}), and nothing was written")
    folder = os.path.dirname(path) or "."
    advice = "" if os.path.isdir(folder) else f": the folder {folder} does not exist, so make it first"
    return JournalUnavailable(f"the journal {path} can't be used now ({text}){advice}")
