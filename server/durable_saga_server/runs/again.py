"""A start of an id that is there: whether it begins again, and as which run. Decided without I/O.

A saga that begins again gets the next run of its id; the runs before stay as they are. The first run names the new one before
that is made: so it is found whoever dies in between, and a name of a run that was never made leads nowhere.
"""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga_server.failures import ServiceError
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head

DELAY_MS_MAX = 10 * 366 * 86_400_000
"""A start may be this far ahead."""


def begins_again(request: c.StartRequest, newest: Head, now_ms: int) -> bool:
    """Whether this start makes a new run after this one, the newest of the id."""
    if newest.status in OPEN or newest.status == h.CONTINUED:
        return False
    if request.window_ms and newest.ended_ms + request.window_ms <= now_ms:
        return True
    if request.if_exists == c.AGAIN_AFTER_FAILURE:
        return newest.status != h.COMPLETED
    return bool(request.if_exists == c.AGAIN)


def starts_ms(request: c.StartRequest, now_ms: int) -> int:
    """When it is to begin; 0: at once. Raises ServiceError."""
    if request.start_at_ms < 0 or request.after_ms < 0 or request.window_ms < 0:
        raise ServiceError("INVALID_ARGUMENT", "a start can't have a time, a delay or a window below zero")
    if request.start_at_ms and request.after_ms:
        raise ServiceError("INVALID_ARGUMENT", "a start has either a time or a delay: give one of the two")
    at_ms = request.start_at_ms or (now_ms + request.after_ms if request.after_ms else 0)
    if at_ms > now_ms + DELAY_MS_MAX:
        raise ServiceError("INVALID_ARGUMENT", f"a start can be {DELAY_MS_MAX // 86_400_000} days ahead at most")
    return at_ms if at_ms > now_ms else 0


def first_run_of(newest_started: h.SagaStarted) -> int:
    """Of the saga since it was last started, by the first event of any run since."""
    return newest_started.first_run or 1
