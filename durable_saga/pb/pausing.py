"""Pauses in words, as listings show them, and what a head is told of them with a commit."""

from __future__ import annotations

from collections.abc import Iterable

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import PAUSED_CHARACTERS_MAX


def words(who: str, reason: str) -> str:
    """Behind "it is paused"."""
    return f"by {who or 'somebody'}{': ' if reason else ''}{reason}"[:PAUSED_CHARACTERS_MAX]


def paused_after(events: Iterable[h.Event], *, ends_paused: bool = False) -> str | None:
    """How a run stands after these events: paused, in words, or empty: not. None: as before. `ends_paused`: it ends in a pause."""
    found: str | None = None
    for event in events:
        kind = event.WhichOneof("kind")
        if kind == "pause_requested":
            found = words(event.pause_requested.who, event.pause_requested.reason)
        elif kind == "resume_requested":
            found = ""
    return "" if ends_paused else found
