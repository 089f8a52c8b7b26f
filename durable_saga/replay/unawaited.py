"""Calls of steps and child sagas that saga code has made and not awaited: nothing of them is done before they are. A saga that
comes to its end with one of these would be green and have done nothing, so it fails, with the line of the call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Coroutine
from types import CodeType
from typing import Any

from durable_saga.errors import NotAwaited
from durable_saga.replay.history import Place


class Unawaited:
    """Owns the coroutines of calls that have not begun. One that is closed, or whose task is cancelled before it began, is
    none any more."""

    __slots__ = ("_keys", "_made")

    def __init__(self) -> None:
        self._keys = 0
        self._made: dict[str, tuple[str, Coroutine[Any, Any, Any], CodeType, int]] = {}

    def key(self) -> str:
        """For a call that has no id before it begins."""
        self._keys += 1
        return f"child {self._keys}"

    def made(self, call: str, what: str, coroutine: Coroutine[Any, Any, Any], *, depth: int) -> Coroutine[Any, Any, Any]:
        """`depth`: how many frames up the saga's own line is."""
        frame = sys._getframe(depth)
        self._made[call] = (what, coroutine, frame.f_code, frame.f_lasti)
        return coroutine

    def begun(self, call: str) -> None:
        self._made.pop(call, None)

    def take_error(self) -> NotAwaited | None:
        """For the first of them, None if all were awaited."""
        for what, coroutine, code, instruction in self._made.values():
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                self.drop()
                place = Place(code, instruction)
                return NotAwaited(f"{place}: {what}() was called but never awaited, so nothing was done: write `await`")
        return None

    def drop(self) -> None:
        """Without the interpreter's own warning, which would come at any time and names no line."""
        for _, coroutine, *_ in self._made.values():
            coroutine.close()
        self._made.clear()
