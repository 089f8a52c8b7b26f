"""A test of CPython's that drives a loop (`loop.run_until_complete(...)`) in a saga, whose loop runs already: its code is a
greenlet, and wherever it runs the loop the saga waits instead.

Between such calls the test sees what it sees on asyncio: no loop runs and no task is current. Its clock begins at 0, and the
generator by which it says when timers are due is asked as there.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
from collections.abc import Callable, Generator
from typing import Any

import greenlet


class Stage:
    """The loop of a saga as a test that drives one sees it."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self._start = loop.time()
        self._stop: asyncio.Future[Any] | None = None
        self._is_set_up = self._is_given = False
        self._times: Generator[Any, Any, Any] | None = None
        self._original_call_at, self._original_time = loop.call_at, loop.time
        loop.time, loop.call_at = self._time, self._call_at

    def new_test_loop(self, times: Callable[[], Generator[Any, Any, Any]] | None = None) -> Any:
        """That of the saga; where a test prepares two, the second is asyncio's."""
        if self._is_given and not self._is_set_up:
            return importlib.import_module("test.test_asyncio.utils").TestLoop(times)
        self._is_given = True
        return self.drivable(times)

    def is_set_up(self) -> None:
        """What the test does to the loop before it begins is to have its own kind of futures."""
        self._is_set_up = True
        vars(self.loop).pop("create_future", None)

    def drivable(self, times: Callable[[], Generator[Any, Any, Any]] | None = None) -> Any:
        """The loop, with what a test does to one of its own. `times`: what it says of its timers."""
        loop = self.loop
        if times is not None:
            self._start = self._original_time()
            self._times = times()
            next(self._times)
        loop.run_until_complete, loop.run_forever, loop.stop = self._run_until_complete, self._run_forever, self._end_run
        loop.advance_time = lambda seconds: None  # it moves by itself
        loop.set_task_factory = lambda factory: None  # a test's own preparation
        loop.close, loop.shutdown_asyncgens = lambda: None, self._nothing
        return loop

    async def play(self, body: Callable[[], None]) -> None:
        """Raises what the body raises."""
        test = greenlet.greenlet(self._off(body))
        test.gr_context = contextvars.copy_context()
        waited = test.switch()
        while not test.dead:
            try:
                await waited
            except BaseException as error:
                waited = test.throw(error)
            else:
                waited = test.switch()

    def check_times(self) -> None:
        """The test has said all of its times."""
        if self._times is not None:
            times, self._times = self._times, None
            try:
                times.send(0)
            except StopIteration:
                return
            raise AssertionError("not all timers were set")

    def _off(self, body: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            task = self._leave()
            try:
                body()
            finally:
                self._enter(task)

        return run

    def _leave(self) -> Any:
        task = asyncio.current_task(self.loop)
        asyncio.tasks._leave_task(self.loop, task)  # type: ignore[arg-type]  # the saga's own
        asyncio.events._set_running_loop(None)
        return task

    def _enter(self, task: Any) -> None:
        asyncio.events._set_running_loop(self.loop)
        asyncio.tasks._enter_task(self.loop, task)

    # --- what the test calls ---------------------------------------------------------------------------------------

    def _run_forever(self) -> None:
        if asyncio.events._get_running_loop() is not None:
            raise RuntimeError("This event loop is already running")
        stop = self._stop = self.loop.create_future()
        parent = greenlet.getcurrent().parent
        assert parent is not None
        self._enter(self._saga_task)
        try:
            parent.switch(stop)
        finally:
            self._leave()

    @property
    def _saga_task(self) -> Any:
        return self.loop.owner.standing.main

    def _end_run(self) -> None:
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(None)

    def _run_until_complete(self, awaitable: Any) -> Any:
        is_new = not asyncio.isfuture(awaitable)
        future = asyncio.ensure_future(awaitable, loop=self.loop)
        if is_new:
            future._log_destroy_pending = False
        future.add_done_callback(self._done)
        try:
            self._run_forever()
        finally:
            future.remove_done_callback(self._done)
        if not future.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return future.result()

    def _done(self, _: object) -> None:
        self._end_run()

    async def _nothing(self) -> None:
        """The saga's loop closes async generators by itself."""

    def _time(self) -> float:
        return float(round(self._original_time() - self._start, 6))

    def _call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        if self._times is not None:
            self._times.send(when)
        handle = self._original_call_at(when + self._start, callback, *args, context=context)
        handle._when = when
        return handle
