"""A SQLite journal's files are their owner's alone (0600), and no links: what is followed could be a file of somebody else.

SQLite gives the log (-wal) and its index (-shm) the mode of the file itself. An existing file is never opened here: closing it
would take away the locks that SQLite holds on it in this process.
"""

from __future__ import annotations

import logging
import os
import stat

from durable_saga_server.journal import JournalDamaged

log = logging.getLogger(__name__)
MODE = 0o600
BESIDE = ("-wal", "-shm", "-journal")
IN_MEMORY = ":memory:"


def claim(path: str) -> None:
    """Before SQLite opens it: make the file, or narrow it and those beside it. Raises JournalDamaged for what is no ordinary
    file, and OSError."""
    if path == IN_MEMORY:
        return
    try:
        new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), MODE)
    except FileExistsError:
        pass
    else:
        os.close(new)
    for name in (path, *(f"{path}{suffix}" for suffix in BESIDE)):
        _narrow(name)


def _narrow(name: str) -> None:
    try:
        found = os.lstat(name)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise JournalDamaged(f"{name} is a symbolic link, which a journal does not follow: name the file itself")
    if stat.S_ISDIR(found.st_mode):
        raise JournalDamaged(f"{name} is a folder, not a journal: name a file")
    if not stat.S_ISREG(found.st_mode):
        raise JournalDamaged(f"{name} isn't an ordinary file, so it can't be a journal: name another file")
    if stat.S_IMODE(found.st_mode) & ~MODE:
        try:
            os.chmod(name, MODE)
        except PermissionError:
            log.warning("%s belongs to another user, and others may read it: run `chmod 600` as that user", name)
