"""What a store raises. Nothing was acknowledged when one of these comes up.

JournalError
├── JournalUnavailable   try again later, with back-off
├── JournalFull          free some room, then try again
├── JournalDamaged       waiting does not mend it
├── SchemaTooNew         upgrade this program
├── WeakSettings         strict mode: change the cluster's settings
└── InboxFull            the sender waits, or gives up
"""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h


class JournalError(Exception):
    """The base of what a store raises. Nothing was acknowledged when one of these comes up. `code` is a gRPC status where a
    caller may come again, else empty."""

    code = ""

    @property
    def message(self) -> str:
        return str(self)


class JournalUnavailable(JournalError):
    """The store can't be reached or refused the call before doing anything. Try again later with back-off."""

    code = "UNAVAILABLE"


class JournalFull(JournalError):
    """The store has no room (a full disk). Nothing was written; free some room, then try again."""

    code = "RESOURCE_EXHAUSTED"


class JournalDamaged(JournalError):
    """What stands there can't be read: a run's own events, or the file. Waiting does not mend it; everything else goes on.
    `left`: the events of the run that could be read."""

    def __init__(self, message: str, left: Sequence[h.Event] = ()) -> None:
        self.left = left
        super().__init__(message)


class SchemaTooNew(JournalError):
    """The journal's tables were made by a newer version of this program. Upgrade this program; never write to it."""


class WeakSettings(JournalError):
    """Strict mode: the cluster's settings do not keep the promises; the message names each one."""


class InboxFull(JournalError):
    """The run has INBOX_MESSAGES_MAX unread messages, or INBOX_BYTES_MAX. Nothing was written; the sender waits or gives up."""
