"""Whether a run whose type no worker has is to be undone from its journal (docs/unwinding-from-the-journal.md). Its worker
decides at last."""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import Head, Journal

STOPS = frozenset({"cancel", "compensate"})
"""Messages that undo a run without its code."""


async def is_to_be_undone(journal: Journal, head: Head, came: Sequence[h.InboxMessage] | None, now_ms: int) -> bool:
    """`came`: as of Waker.wake(). Raises JournalError."""
    if head.status in (h.COMPENSATING, h.COMPENSATION_STUCK):
        return True
    messages = came if came is not None else await journal.inbox.unread(head.run)
    return any(one.WhichOneof("kind") in STOPS for one in messages) or await _is_overdue(journal, head, now_ms)


async def _is_overdue(journal: Journal, head: Head, now_ms: int) -> bool:
    """By its first event, without the pauses of its clocks, which its worker knows. Raises JournalError."""
    for event in await journal.runs.events(head.run, 0, 1):
        timeout_ms = event.saga_started.timeout_ms or event.saga_started.default_timeout_ms
        return 0 < timeout_ms <= now_ms - event.time_ms
    return False
