"""Pauses as callers see them, and whether a run is paused after some of its events. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h

PAUSED_CHARACTERS_MAX = 500
"""Of the words that listings show."""


def pause_of(asked: h.PauseRequested, since_ms: int) -> c.Pause:
    return c.Pause(who=asked.who, reason=asked.reason, since_ms=since_ms, stop_clocks=asked.stop_clocks)


def words(pause: c.Pause) -> str:
    """Behind "it is paused"."""
    whole = f"with all sagas of type {pause.saga_type} " if pause.saga_type else ""
    who = f"by {pause.who}" if pause.who else "by somebody"
    return f"{whole}{who}{': ' if pause.reason else ''}{pause.reason}"[:PAUSED_CHARACTERS_MAX]


def paused_after(events: Iterable[h.Event], before: str = "") -> str:
    """In words; empty: it is not."""
    for event in events:
        kind = event.WhichOneof("kind")
        if kind == "pause_requested":
            before = words(pause_of(event.pause_requested, event.time_ms))
        elif kind == "saga_started" and event.saga_started.HasField("pause"):
            before = words(pause_of(event.saga_started.pause, event.time_ms))
        elif kind == "resume_requested":
            before = ""
    return before
