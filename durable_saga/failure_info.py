"""A failure as plain data: for who shows it or sends it on, without any class of the code that failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FailureInfo:
    """An exception as plain data. `type` is its qualified name, `code` its own code ("" if it has none), `details` the plain
    values that it held, `members` those of an exception group, and `notes` says what could not be kept. `not_applied` means
    that the effect did not happen. `traceback` is for the team that runs the saga, not for its customers."""

    type: str
    message: str
    code: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    traceback: str = ""
    cause: FailureInfo | None = None
    members: list[FailureInfo] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_applied: bool = False
