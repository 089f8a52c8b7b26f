"""Pauses as callers see them. Pure."""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import pausing


def pause_of(asked: h.PauseRequested, since_ms: int) -> c.Pause:
    return c.Pause(who=asked.who, reason=asked.reason, since_ms=since_ms, stop_clocks=asked.stop_clocks)


def words(pause: c.Pause) -> str:
    """Behind "it is paused"."""
    whole = f"with all sagas of type {pause.saga_type} " if pause.saga_type else ""
    return whole + pausing.words(pause.who, pause.reason)
