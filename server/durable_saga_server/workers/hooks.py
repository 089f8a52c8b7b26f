"""What the parts for workers ask of parts that stand above them. Whoever puts the server together gives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import Run


@dataclass(frozen=True, slots=True)
class Hooks:
    hint: Callable[[Run, int], Awaitable[None]]
    """Somebody is to look at the run at a time (Unix milliseconds). Durable when it returns. Raises JournalError."""
    follow: Callable[[Run], Coroutine[Any, Any, None]]
    """The run was continued: begin the next one."""
    ended: Callable[[Run, int], None]
    """The run has ended at a time (Unix milliseconds), and was not continued."""
    notify: Callable[[Run, h.Event | None], None]
    """The run changed its status: tell those who wait for it. The event with which it was completed, or None."""
