"""Whether a journal's file, and the log beside it, are still those that are open: one that is deleted or replaced while an
engine runs takes every write, and keeps none."""

from __future__ import annotations

import logging
import os

from durable_saga_server.journal import JournalUnavailable

log = logging.getLogger(__name__)


class Place:
    """Of one file. `remember()` once it is open and was written to, `check()` after each transaction; from any thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = os.path.abspath(path)  # the program may change its folder
        self._known: tuple[tuple[str, int, int], ...] = ()
        self.is_lost = False

    def remember(self) -> None:
        """What there is now belongs to the open journal. A file that has no name in a folder is never lost."""
        found = ((name, _identity(name)) for name in (self._file, f"{self._file}-wal"))
        self._known = tuple((name, *identity) for name, identity in found if identity is not None)

    def check(self) -> None:
        """Raises JournalUnavailable; nothing that was written since the last check may be acknowledged then."""
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


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
