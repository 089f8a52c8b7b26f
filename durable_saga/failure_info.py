"""A failure as plain data: for who shows it or sends it on, without any class of the code that failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from durable_saga.pb import payload_pb2 as p
from durable_saga.remade import details_of


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


def failure_info(failure: p.Failure) -> FailureInfo:
    """Never raises: what can't be read is left out."""
    return FailureInfo(
        type=failure.type,
        message=failure.message,
        code=failure.code,
        details=details_of(failure),
        traceback=failure.traceback,
        cause=failure_info(failure.cause) if failure.HasField("cause") else None,
        members=[failure_info(one) for one in failure.members],
        notes=list(failure.notes),
        not_applied=failure.not_applied,
    )
