"""What asyncio's loops do and a saga's does not: each says what to do instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from durable_saga.errors import UnsupportedOperation

_ADVICE = {
    "run_in_executor": "call a @step instead; plain functions run in a thread there",
    "call_soon_threadsafe": "saga code has no threads; send the saga a signal instead",
    "add_signal_handler": "saga code does not see signals of the operating system; the worker handles them",
    "run_until_complete": "await the coroutine instead",
    "run_forever": "await instead",
    "stop": "return from the saga instead",
    "close": "return from the saga instead",
    "set_exception_handler": "an error in a callback fails the saga, and that of a task is raised where it is awaited",
    "set_default_executor": "saga code has no threads; plain @step functions run in those of the worker",
    "set_task_factory": "the tasks of a saga are always its loop's own",
    "set_debug": "set PYTHONASYNCIODEBUG for the worker's loop; a saga's loop has no debug mode",
    "shutdown_asyncgens": "async generators that a saga leaves are closed by themselves",
    "shutdown_default_executor": "saga code has no threads",
}


def refuse_all_but(kept: Collection[str], loop: type[Any]) -> None:
    """Let this class of loops raise UnsupportedOperation from all other public methods of a loop."""
    for name in [name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_")]:
        if name not in kept:
            setattr(loop, name, _refusal(name))


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        advice = _ADVICE.get(name, "do it in a @step")
        raise UnsupportedOperation(f"loop.{name}() can't be called in saga code, which is replayed: {advice}")

    return refuse
