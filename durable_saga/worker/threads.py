"""Threads for plain steps and compensations: made when they are needed, and left behind when they hang.

They are daemons, so that none of them keeps a process from ending. Work that is handed over begins at once, unless it is
withdrawn before: then it never runs. A thread whose work is given up counts as hung until it ends; others are made in its
place, until HUNG_THREADS_MAX of them hang. `has_room()` waits for one to end then.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

log = logging.getLogger(__name__)
HUNG_THREADS_MAX = 200
IDLE_THREADS_MAX = 100


class Work:
    """One call in a thread. `ended` resolves on the loop, never with an exception, then `value` and `error` say how.
    The task that waits for it may be cancelled; then `given_up()` is to be called, and `on_end` is when it ends after all."""

    def __init__(self, threads: Threads, function: Callable[[], Any]) -> None:
        self._threads = threads
        self._function = function
        self._claim = threading.Lock()  # whoever gets it runs the function, or keeps it from running
        self.ended: asyncio.Future[None] = threads.loop.create_future()
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_done = False  # set last, in the thread
        self.seconds = 0.0
        self.on_end: Callable[[], None] | None = None

    def withdraw(self) -> bool:
        """True: it has not begun and never will."""
        return self._claim.acquire(blocking=False)

    def given_up(self, on_end: Callable[[], None]) -> None:
        """Nobody waits for it any more; it hangs until it ends."""
        self.on_end = on_end
        self._threads.hung += 1

    def run(self) -> None:
        """In the thread."""
        if not self._claim.acquire(blocking=False):
            return
        began = time.monotonic()
        try:
            self.value = self._function()
        except BaseException as error:  # SystemExit and KeyboardInterrupt of a step are its failure, and nobody else's
            self.error = error
        del self._function
        self.seconds = time.monotonic() - began
        self.is_done = True
        try:
            self._threads.loop.call_soon_threadsafe(self._end)
        except RuntimeError:
            pass  # the loop is closed: nobody wants to know

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        if self.on_end is not None:
            self._threads.one_came_back()
            self.on_end()


class Threads:
    """Owns the threads of one worker. Use it on the worker's loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.hung = 0
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()
        self._made = 0
        self._closed = False
        self._waiting: list[asyncio.Future[None]] = []

    def submit(self, function: Callable[[], Any]) -> Work:
        """Hand it to a thread that waits, or to a new one."""
        work = Work(self, function)
        self._queue.put(work)
        with self._lock:
            is_new = self._idle == 0
            if not is_new:
                self._idle -= 1
        if is_new:
            self._made += 1
            threading.Thread(target=self._serve, name=f"saga-step_{self._made}", daemon=True).start()
        return work

    async def has_room(self) -> None:
        """Returns when fewer than HUNG_THREADS_MAX threads hang."""
        while self.hung >= HUNG_THREADS_MAX:
            if not self._waiting:
                log.error("%s threads hang in steps that timed out or were cancelled, so other plain steps wait", self.hung)
            future = self.loop.create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                self._waiting.remove(future)

    def one_came_back(self) -> None:
        self.hung -= 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
                break

    def close(self) -> None:
        """Threads that wait end; the others when their work does, or with the process."""
        self._closed = True
        for _ in range(self._made):
            self._queue.put(None)

    def _serve(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            work.run()
            del work
            with self._lock:
                if self._closed or self._idle >= IDLE_THREADS_MAX:
                    return
                self._idle += 1
