"""Where the code of a saga waits for a call, for messages: found only when somebody asks."""

from __future__ import annotations

from typing import Any


def waiting_at(loop: Any, call: str) -> str:
    """The line of the saga's code that awaits this call, for a message; empty when no task does so directly."""
    for task in list(loop.tasks.values()):
        place, step = "", task.get_coro()
        while (frame := getattr(step, "cr_frame", None)) is not None:
            if frame.f_code.co_qualname == "Calls._run" and frame.f_locals.get("call") == call:
                return place
            if not frame.f_globals.get("__name__", "").startswith(("durable_saga.", "asyncio", "contextlib")):
                place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
            step = step.cr_await
    return ""
