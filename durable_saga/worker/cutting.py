"""What of a run's events goes into one commit: journals refuse writes that are too large."""

from __future__ import annotations

from durable_saga.pb import history_pb2 as h

COMMIT_BYTES_MAX = 4 * 1024 * 1024
COMMIT_EVENTS_MAX = 2_000


def cut(events: list[h.Event], size: int) -> tuple[list[h.Event], list[h.Event]]:
    """Of that size in bytes: those of the next commit, and the rest."""
    if size <= COMMIT_BYTES_MAX and len(events) <= COMMIT_EVENTS_MAX:
        return events, []
    size = 0
    for place, event in enumerate(events):
        size += event.ByteSize()
        if place and (size > COMMIT_BYTES_MAX or place >= COMMIT_EVENTS_MAX):
            return events[:place], events[place:]
    return events, []
