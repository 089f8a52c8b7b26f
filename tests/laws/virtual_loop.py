"""asyncio as it is, on a clock that only moves when it is told to. For the reference interpreter; shares nothing with the
engine's own loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

START_MS = 1_700_000_000_000


class _Task(asyncio.Task[Any]):
    """Sets of tasks are walked in the order of birth."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _NoSelector:
    def select(self, timeout: float | None) -> list[Any]:
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._selector = _NoSelector()
        self.now_ms = START_MS
        self.timers: list[tuple[int, asyncio.TimerHandle]] = []
        self.tasks: dict[asyncio.Task[Any], contextvars.Context] = {}
        self._births = 0
        self.set_task_factory(self._birth)

    def _process_events(self, events: list[Any]) -> None: ...

    def time(self) -> float:
        return self.now_ms / 1000

    def _birth(self, loop: Any, coroutine: Any, context: contextvars.Context | None = None) -> asyncio.Task[Any]:
        context = context or contextvars.copy_context()
        task = _Task.__new__(_Task)
        self._births += 1
        task.number = self._births
        task.__init__(coroutine, loop=self, context=context)  # type: ignore[misc]
        self.tasks[task] = context
        task.add_done_callback(lambda one: self.tasks.pop(one, None))
        return task

    def call_later(  # type: ignore[override]  # the supertype is generic in the arguments, to no use here
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self.timers.append((round(when * 1000), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None: ...

    def next_timer_ms(self) -> int:
        """0: none."""
        self.timers = [one for one in self.timers if not one[1].cancelled()]
        return min((due_ms for due_ms, _ in self.timers), default=0)

    def fire(self, due_ms: int) -> None:
        """Run the timers of one due time, in the order in which they were set."""
        due = [timer for at_ms, timer in self.timers if at_ms == due_ms and not timer.cancelled()]
        self.timers = [one for one in self.timers if one[0] != due_ms]
        for timer in due:
            timer._run()

    def run_until_idle(self) -> None:
        while self._ready:  # type: ignore[attr-defined]
            self._run_once()  # type: ignore[attr-defined]

    @contextmanager
    def running(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            self._drop()
            asyncio._set_running_loop(None)

    def _drop(self) -> None:
        """Let go of what still waits, without a word about it."""
        self.set_exception_handler(lambda *_: None)
        for task in list(self.tasks):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            task.get_coro().close()
        self.tasks.clear()
        self.close()
