"""Logging in saga code: a record is written once, not again by each replay, and by any handler.

Records go to their handlers outside the guard, with the machine's time, so a handler may open files and sockets. What a replay
says again is dropped. Each record, of a saga or of a step, carries `saga`, `run`, `saga_type`, `step` and `attempt`; what does
not apply is empty, and an `extra=` of the same name wins. `add_context` is the same as a processor of structlog.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any

from durable_saga.pb.log_fields import CONTEXT
from durable_saga.redaction import redact_record, when_used
from durable_saga.replay.mark import mark, outside

_NOTHING: dict[str, Any] = dict.fromkeys(CONTEXT, "")
step_context: Callable[[], dict[str, Any]] | None = None
"""What runs as a step here, told by who runs steps; empty for none."""
_handle = logging.Logger.handle
_START = getattr(logging, "_startTime", 0)


def install() -> None:
    """Once per process."""
    logging.Logger.handle = handle  # type: ignore[method-assign, assignment]


when_used.append(install)


def context() -> dict[str, Any]:
    """What a record that is made here carries."""
    environment = mark.environment
    if environment is not None:
        return {**_NOTHING, **environment.log_context()}
    return {**_NOTHING, **step_context()} if step_context is not None else _NOTHING


def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    environment = mark.environment
    if environment is not None and environment.is_repeating:
        return
    found = context()
    for name, value in found.items():
        record.__dict__.setdefault(name, value)
    if found["saga"] or record.name.startswith("durable_saga"):
        redact_record(record)
    if environment is None:
        _handle(logger, record)
        return
    with outside():
        _set_time(record)
        _handle(logger, record)


def _set_time(record: logging.LogRecord) -> None:
    """It was made with the saga's time."""
    now = logging.makeLogRecord({})
    record.created, record.msecs, record.relativeCreated = now.created, now.msecs, now.relativeCreated


def add_context(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog; put it first. Raises structlog.DropEvent for what a replay says again."""
    environment = mark.environment
    if environment is not None and environment.is_repeating:
        import structlog

        raise structlog.DropEvent
    for name, value in context().items():
        if value != "":
            event.setdefault(name, value)
    return event
