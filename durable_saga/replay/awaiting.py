"""Where the code of a saga waits for a call, or is busy, for messages: found only when somebody asks."""

from __future__ import annotations

import asyncio
from typing import Any


def waiting_at(loop: Any, call: str) -> str:
    """The line of the saga's code that awaits this call, for a message; empty when no task does so directly."""
    for task in list(loop.tasks.values()):
        place, step = "", task.get_coro()
        while (frame := getattr(step, "cr_frame", None)) is not None:
            if frame.f_code.co_qualname == "Calls._run" and frame.f_locals.get("call") == call:
                return place
            if not _is_ours(frame.f_globals.get("__name__", "")):
                place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
            step = step.cr_await
    return ""


def busy_at(handle: asyncio.Handle) -> str:
    """The line of the saga's code that this callback runs, "unknown" where it runs none."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    code, frames = getattr(callback, "__code__", None), []
    if isinstance(task := getattr(callback, "__self__", None), asyncio.Task):
        frames = [frame for frame in task.get_stack() if not _is_ours(frame.f_globals.get("__name__", ""))]
    if frames:
        return f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno} in {frames[-1].f_code.co_qualname}"
    return "unknown" if code is None else f"{code.co_filename}:{code.co_firstlineno} in {code.co_qualname}"


def _is_ours(module: str) -> bool:
    return module.startswith(("durable_saga.", "asyncio", "contextlib"))
