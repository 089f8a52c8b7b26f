"""A failure as plain data: for who shows it or sends it on, without any class of the code that failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FailureInfo:
    """`type` is the qualified name of the exception, `code` its own one ("" where it has none), `details` what it held of plain
    values, `members` those of an exception group, `notes` what could not be kept of it. `not_applied`: it says that its effect
    did not happen. `traceback` is for the team that runs the saga, not for its customers."""

    type: str
    message: str
    code: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    traceback: str = ""
    cause: FailureInfo | None = None
    members: list[FailureInfo] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_applied: bool = False
