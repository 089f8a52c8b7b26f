"""Whether a journal's file, and the log beside it, are still those that are open: one that is deleted or replaced while an
engine runs takes every write, and keeps none.

Nobody can do that without a change of their folder, so it is the folder that is asked after each transaction. To ask the
files is dear: on Linux 6.13 and later, each question makes the next write note its time, and that took a seventh of a step.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from durable_saga_server.clock import Machine
from durable_saga_server.journal import JournalUnavailable

log = logging.getLogger(__name__)
UNSETTLED_SECONDS = 0.1
"""So long after a change of the folder its time may stay the same through another one: it is counted in ticks of up to
10 ms."""
LOOK_SECONDS = 1.0
"""The files are looked at so often whatever the folder says: a mount over one of them does not change it, and a file system may
count in seconds."""


class Place:
    """Of one file. `remember()` once it is open and was written to, `check()` after each transaction; from any thread.
    `clock` gives seconds."""

    def __init__(self, path: str, clock: Callable[[], float] = Machine.monotonic) -> None:
        self.path = path
        self._file = os.path.abspath(path)  # the program may change its folder
        self._folder = os.path.dirname(self._file)
        self._clock = clock
        self._known: tuple[tuple[str, int, int], ...] = ()
        self._seen: tuple[int, int, int] | None = None
        self._changed = self._looked = 0.0
        self.is_lost = False

    def remember(self) -> None:
        """What there is now belongs to the open journal. A file that has no name in a folder is never lost."""
        found = ((name, _identity(name)) for name in (self._file, f"{self._file}-wal"))
        self._known = tuple((name, *identity) for name, identity in found if identity is not None)
        self._seen = None

    def check(self) -> None:
        """Raises JournalUnavailable; nothing that was written since the last check may be acknowledged then."""
        now, folder = self._clock(), _stamp(self._folder)
        if folder is None or folder != self._seen:
            self._seen, self._changed = folder, now
        elif now - self._changed > UNSETTLED_SECONDS and now - self._looked < LOOK_SECONDS and not self.is_lost:
            return
        self._looked = now
        self._look()

    def _look(self) -> None:
        lost = next((name for name, *known in self._known if _identity(name) != tuple(known)), "")
        if lost:
            sentence = (
                f"the journal's file {lost} was deleted or replaced while it was open: nothing more is written. Put that very"
                " file back, or stop the engine and restore a copy"
            )
            if not self.is_lost:
                log.error("%s", sentence)
            self.is_lost = True
            raise JournalUnavailable(sentence)
        if self.is_lost:
            self.is_lost = False
            log.warning("the journal's file %s is back at its place", self.path)


def _stamp(folder: str) -> tuple[int, int, int] | None:
    """Differs when a name in it was made, removed or moved."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
