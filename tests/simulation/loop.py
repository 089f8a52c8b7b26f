"""One event loop on a virtual clock for all simulated processes. It owns the order of everything that runs.

Every callback belongs to the process whose context it carries. A paused process's callbacks are kept until it goes on, late
and in their order; those of a dead one never run, and no `finally` of its code does, as after kill -9.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import sys
from asyncio import events
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Protocol

START_US = 1_800_000_000_000_000


class Scheduled(Protocol):
    """What the loop knows of a process."""

    is_dead: bool
    is_paused: bool
    held: list[asyncio.Handle]


PROCESS: contextvars.ContextVar[Any] = contextvars.ContextVar("simulated_process")


class _Task(asyncio.Task[Any]):
    """Sets of tasks are walked in the order of birth."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimulationLoop(asyncio.BaseEventLoop):
    """`now_us` is Unix time in microseconds. `on_error` gets what a callback or task of a live process raised."""

    def __init__(self, on_error: Callable[[str], None]) -> None:
        super().__init__()
        self.now_us = START_US
        self._on_error = on_error
        self._timers: list[tuple[int, int, asyncio.Handle]] = []
        self._births = 0
        self.callbacks = 0
        self._tasks: dict[_Task, None] = {}
        self._generators: list[AsyncGenerator[Any, Any]] = []
        self.set_task_factory(self._birth)

    def _process_events(self, events: list[Any]) -> None: ...

    def time(self) -> float:
        return self.now_us / 1_000_000

    def _next(self) -> int:
        self._births += 1
        return self._births

    def _birth(self, loop: Any, coroutine: Any, context: contextvars.Context | None = None) -> asyncio.Task[Any]:
        task = _Task.__new__(_Task)
        task.number = self._next()
        context = context if context is not None else contextvars.copy_context()
        task.__init__(coroutine, loop=self, context=context)  # type: ignore[misc]
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # those of a dead process
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop, context=context)
        return task

    def spawn(self, work: Coroutine[Any, Any, Any], context: contextvars.Context) -> asyncio.Task[Any]:
        return self._birth(self, work, context)

    def at(self, when_us: int, context: contextvars.Context, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        """Call it then, as a part of the process whose context that is."""
        handle = asyncio.TimerHandle(when_us / 1_000_000, callback, args, self, context)
        heapq.heappush(self._timers, (max(when_us, self.now_us), self._next(), handle))
        return handle

    def call_later(  # type: ignore[override]  # the supertype is generic in the arguments, to no use here
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.at(self.now_us + round(delay * 1_000_000), context or contextvars.copy_context(), callback, *args)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.at(round(when * 1_000_000), context or contextvars.copy_context(), callback, *args)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None: ...

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        process, error = PROCESS.get(None), context.get("exception")
        if process is None or not process.is_dead:
            self._on_error(f"{context.get('message', 'an error')}: {error!r}")

    def resume(self, held: list[asyncio.Handle]) -> None:
        self._ready.extend(held)  # type: ignore[attr-defined]
        held.clear()

    def run_until(self, done: Callable[[], bool], until_us: int) -> bool:
        """Run until `done()`, or False: nothing is left to do before `until_us`."""
        ready: Any = self._ready  # type: ignore[attr-defined]
        hooks, before = sys.get_asyncgen_hooks(), events._get_running_loop()
        sys.set_asyncgen_hooks(firstiter=self._generators.append, finalizer=lambda _: None)
        events._set_running_loop(self)
        try:
            while not done():
                if not ready and not self._advance(until_us):
                    return False
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                process: Scheduled = handle._context.get(PROCESS)
                if process.is_dead:
                    continue
                if process.is_paused:
                    process.held.append(handle)
                    continue
                self.callbacks += 1
                handle._run()
            return True
        finally:
            events._set_running_loop(before)
            sys.set_asyncgen_hooks(*hooks)

    def _advance(self, until_us: int) -> bool:
        while self._timers and self._timers[0][2]._cancelled:
            heapq.heappop(self._timers)
        if not self._timers or self._timers[0][0] > until_us:
            self.now_us = max(self.now_us, until_us)
            return False
        self.now_us = self._timers[0][0]
        while self._timers and self._timers[0][0] == self.now_us:
            self._ready.append(heapq.heappop(self._timers)[2])  # type: ignore[attr-defined]
        return True

    def drop(self) -> None:
        """Let go of what still waits, without a word about it."""
        self._on_error = lambda _: None
        events._set_running_loop(self)
        try:
            for task in list(self._tasks):
                _close(task.get_coro())
        finally:
            events._set_running_loop(None)
        for callbacks in (self._ready, self._timers, self._tasks, self._generators):  # type: ignore[attr-defined]
            callbacks.clear()
        self.close()


def _close(coroutine: Any) -> None:
    try:
        coroutine.close()
    except (Exception, asyncio.CancelledError):
        pass  # the world it belonged to is over
