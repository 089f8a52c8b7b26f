"""Answers that come in on the driver's thread, brought to the loop in their order.

Those that arrive before the loop takes them share one wake-up of it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

Answer = tuple[list[tuple[Any, ...]], list[str]]
"""Rows, and the names of their columns."""


class Answers:
    """`expect()` on the loop, `tell()` from any thread; one who does not wait any more is passed over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._arrived: list[tuple[asyncio.Future[Answer], Answer | BaseException]] = []

    def expect(self) -> asyncio.Future[Answer]:
        return self._loop.create_future()

    def tell(self, future: asyncio.Future[Answer], answer: Answer | BaseException) -> None:
        with self._lock:
            self._arrived.append((future, answer))
            if len(self._arrived) > 1:
                return  # the loop was called and has not come yet
        try:
            self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    def _settle(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for future, answer in arrived:
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
