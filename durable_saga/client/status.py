"""The statuses of a saga, one word each: what overviews, listings and statistics say."""

from __future__ import annotations

import enum
import re

from durable_saga.pb.limits import status_name

_LATER = re.compile(r"status_\d+")


class Status(enum.StrEnum):
    """The status of a saga. Each member is equal to its word: `found.status == "running"`. A status of a newer server, which
    this client does not know, is a member too, by its number: `status_17`."""

    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPENSATION_STUCK = "compensation_stuck"
    """Open; it waits for a person."""
    HELD = "held"
    """Open; its code failed, and it waits for recover or compensate."""
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FAILED = "failed"
    """It failed, and there was nothing to undo."""
    CANCELLED = "cancelled"
    """It was cancelled, and undone."""
    TERMINATED = "terminated"
    """It was ended by force, and not undone."""
    CONTINUED = "continued"
    """This run went on in the next one of the saga."""

    @property
    def is_open(self) -> bool:
        """The saga has not ended."""
        return self in OPEN

    @classmethod
    def _missing_(cls, value: object) -> Status | None:
        if not isinstance(value, str) or not _LATER.fullmatch(value):
            return None
        later = str.__new__(cls, value)
        later._name_, later._value_ = value.upper(), value
        return later


OPEN = (Status.RUNNING, Status.COMPENSATING, Status.COMPENSATION_STUCK, Status.HELD)


def status_of(number: int) -> Status:
    """Of the number on the wire. Never raises."""
    return Status(status_name(number).lower())
