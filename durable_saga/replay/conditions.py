"""Conditions that saga code waits for: asked whenever the code has come to rest, in the order in which they were given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from durable_saga.replay.standing import Standing


class Conditions:
    """Owns those that are not true yet, each with the future of who waits."""

    __slots__ = ("_standing", "_waiting")

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._waiting: dict[asyncio.Future[None], Callable[[], Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wait(self, future: asyncio.Future[None], condition: Callable[[], Any]) -> asyncio.Future[None]:
        """The future is done when the condition is true, and fails with what it raises."""
        self._waiting[future] = condition
        return future

    def come_true(self) -> bool:
        """Ask them; whether anybody goes on."""
        found = False
        for future, condition in list(self._waiting.items()):
            if not future.done():
                try:
                    if not self._standing.ask(condition):
                        continue
                except Exception as error:
                    future.set_exception(error)
                else:
                    future.set_result(None)
                found = True
            del self._waiting[future]
        return found
