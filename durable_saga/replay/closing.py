"""Closes the coroutines of a run that leaves memory, and gives up those that don't let themselves be closed.

Discarded is raised at its await. (`close()` would leave the inner one of two for the garbage collector.) Code that catches it
and waits again is told once more, since a TaskGroup needs that too; after CLOSINGS_MAX times it is kept, so that the garbage
collector does not run it either.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
from collections import deque
from types import FrameType
from typing import Any

CLOSINGS_MAX = 20
KEPT_MAX = 1_000
_kept: deque[Any] = deque(maxlen=KEPT_MAX)


class Discarded(BaseException):
    """Raised at an await of a saga that was dropped from memory. Not for user code."""


class TakenOut(BaseException):
    """Raised by the watchdog in saga code that runs for too long. Not for user code."""


def close(task: asyncio.Task[Any]) -> str:
    """Tells where the code of the task goes on waiting all the same, "" when it is closed. Raises nothing."""
    coroutine: Any = task.get_coro()
    loop = task.get_loop()
    asyncio.tasks._enter_task(loop, task)  # asyncio.timeout() and the like ask for it
    try:
        for _ in range(CLOSINGS_MAX):
            try:
                coroutine.throw(Discarded())
            except BaseException:
                pass  # the run is gone from memory; what its cleanup says reaches nobody
            if coroutine.cr_frame is None:
                return ""
    finally:
        asyncio.tasks._leave_task(loop, task)
    keep(task)
    return where(coroutine)


def keep(task: asyncio.Task[Any]) -> None:
    """Never run it again."""
    _kept.append(task)


def where(coroutine: Any) -> str:
    """The innermost line of the user's at which a coroutine waits."""
    place = "unknown"
    while coroutine is not None:
        frame: FrameType | None = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None and not f"{frame.f_globals.get('__name__', '')}.".startswith(("durable_saga.", "asyncio.")):
            place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return place


def _keep_for_ever() -> None:
    """Nor is it run again when the process ends."""
    for task in _kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))


atexit.register(_keep_for_ever)
