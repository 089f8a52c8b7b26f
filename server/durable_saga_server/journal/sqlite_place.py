"""Whether a journal's file, and the log beside it, are still those that are open: one that is deleted or replaced while an
engine runs takes every write, and keeps none.

Both are looked at after a transaction, but not after each: on Linux 6.13 and later a look makes the next write to the file note
its time anew, and took a seventh of a step. What is acknowledged between two looks is lost as it would be if the file had gone
as much later.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from durable_saga_server.clock import Machine
from durable_saga_server.journal import JournalUnavailable

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.01


class Place:
    """Of one file. `remember()` once it is open and was written to, `check()` after each transaction; from any thread.
    `clock` gives seconds."""

    def __init__(self, path: str, clock: Callable[[], float] = Machine.monotonic) -> None:
        self.path = path
        self._file = os.path.abspath(path)  # the program may change its folder
        self._clock = clock
        self._known: tuple[tuple[str, int, int], ...] = ()
        self._looked = 0.0
        self.is_lost = False

    def remember(self) -> None:
        """What there is now belongs to the open journal. A file that has no name in a folder is never lost."""
        found = ((name, _identity(name)) for name in (self._file, f"{self._file}-wal"))
        self._known = tuple((name, *identity) for name, identity in found if identity is not None)

    def check(self) -> None:
        """Raises JournalUnavailable; nothing that was written since the last look may be acknowledged then."""
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS or self.is_lost:
            self._looked = now
            self._look()

    def _look(self) -> None:
        lost = next((name for name, *known in self._known if _identity(name) != tuple(known)), "")
        if lost:
            sentence = (
                f"the journal's file {lost} was deleted or replaced while it was open, so nothing more is written. Put that"
                " same file back, or stop the engine and restore a copy"
            )
            if not self.is_lost:
                log.error("%s", sentence)
            self.is_lost = True
            raise JournalUnavailable(sentence)
        if self.is_lost:
            self.is_lost = False
            log.warning("the journal's file %s is back in its place", self.path)


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
