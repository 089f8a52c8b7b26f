"""The resources of a worker, such as pools and clients: open before its first step, closed after its last.

They are opened in the order in which they are given and closed in the reverse order, in the task that runs the worker, once in
each of its processes. Steps see what they set: names of the module, and ContextVars. What can't be opened is LifespanFailed,
after those before it are closed; what can't be closed is logged, and the others are closed all the same.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from durable_saga.authoring.declaring import check_function
from durable_saga.definition.definition import place_of
from durable_saga.errors import LifespanFailed

log = logging.getLogger(__name__)
_ONCE = "it must `yield` once, between opening and closing its resources"


class WorkerLifespan:
    """Made by `@worker_lifespan`, for `Worker(lifespans=…)` and `SagaTestRunner(lifespans=…)`. `durable-saga worker` uses
    those of its module."""

    def __init__(self, function: Callable[[], AsyncIterator[None]]) -> None:
        self.name = check_function(function, None, "@worker_lifespan")
        self.place = place_of(function)
        self._function = function
        self.__doc__ = function.__doc__

    def __repr__(self) -> str:
        return f"<worker_lifespan {self.name}>"

    async def _open(self) -> Any:
        """Raises LifespanFailed."""
        generator = aiter(self._function())
        try:
            await anext(generator)
        except StopAsyncIteration:
            raise LifespanFailed(f"worker_lifespan {self.name} ({self.place}) ended without a yield: {_ONCE}") from None
        except Exception as error:
            raise LifespanFailed(f"worker_lifespan {self.name} ({self.place}) could not open: {self._told(error)}") from error
        return generator

    async def _close(self, generator: Any) -> None:
        """Its code goes on behind the yield, however the worker ended."""
        try:
            await anext(generator)
        except StopAsyncIteration:
            return
        except Exception as error:
            log.error("worker_lifespan %s (%s) could not close: %s", self.name, self.place, self._told(error), exc_info=error)
            return
        log.error("worker_lifespan %s (%s) yields a second time: %s", self.name, self.place, _ONCE)
        await generator.aclose()

    def _told(self, error: Exception) -> str:
        """With the line of its own code, where there is one."""
        file = inspect.unwrap(self._function).__code__.co_filename
        frames = traceback.extract_tb(error.__traceback__)
        own = [one for one in frames if one.filename == file] or list(frames)
        where = f", at {own[-1].filename}:{own[-1].lineno}" if own else ""
        return f"{type(error).__name__}: {error}{where}"


def worker_lifespan(function: Callable[[], AsyncIterator[None]]) -> WorkerLifespan:
    """Make an async generator function the resources of a worker:

        @worker_lifespan
        async def resources() -> AsyncIterator[None]:
            async with create_pool(URL) as pool:
                POOL.set(pool)  # a ContextVar, or a name of the module
                yield

    Raises TypeError for any other function, and for one that takes arguments."""
    lifespan = WorkerLifespan(function)
    if not inspect.isasyncgenfunction(function):
        raise TypeError(f"{lifespan.place}: @worker_lifespan needs an `async def {lifespan.name}` with a yield: {_ONCE}")
    if needed := list(inspect.signature(function).parameters):
        raise TypeError(f"{lifespan.place}: {lifespan.name} takes {', '.join(needed)}: a worker_lifespan gets no arguments")
    return lifespan


def checked(lifespans: Sequence[WorkerLifespan] | WorkerLifespan) -> list[WorkerLifespan]:
    """Raises TypeError for anything else."""
    found = [lifespans] if isinstance(lifespans, WorkerLifespan) else list(lifespans)
    for one in found:
        if not isinstance(one, WorkerLifespan):
            raise TypeError(f"{one!r} isn't a worker_lifespan: mark an async function that yields once with @worker_lifespan")
    return found


@asynccontextmanager
async def opened(lifespans: Sequence[WorkerLifespan]) -> AsyncIterator[None]:
    """All of them. Raises LifespanFailed."""
    async with AsyncExitStack() as stack:
        for one in lifespans:
            stack.push_async_callback(one._close, await one._open())
        yield
