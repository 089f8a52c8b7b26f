"""The async generators of a run: one that is left (`break` in an `async for`) is closed where it is let go of, as on asyncio.

The place is the same in every replay, since Python lets go of an object when nothing refers to it. One that is part of a cycle
is found by the garbage collector, at some time or other: it is kept, and closed with those that are still open at the end of
the saga's code, in the order in which they were begun. Runs of rules 0 close none.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from durable_saga.replay.running_loop import running_loop

ROOM_MIN = 100
_collecting: set[int] = set()
"""The threads in which the garbage collector runs."""


def _collects(phase: str, _: object) -> None:
    if phase == "start":
        _collecting.add(threading.get_ident())
    else:
        _collecting.discard(threading.get_ident())


gc.callbacks.append(_collects)


class Closing(Protocol):
    """The loop of a run."""

    @property
    def rules(self) -> int: ...

    @property
    def discarded(self) -> bool: ...

    def close_generator(self, generator: AsyncGenerator[Any, Any], number: int, /) -> None:
        """Soon, in a task of its own."""


class Generators:
    """Those of one loop that were begun and are not closed: (number, reference) by id. When one is left, its references are
    dead already."""

    __slots__ = ("_begun", "_count", "_kept", "_loop", "_room")

    def __init__(self, loop: Closing) -> None:
        self._loop = loop
        self._count = 0
        self._room = ROOM_MIN
        self._begun: dict[int, tuple[int, weakref.ref[Any]]] = {}
        self._kept: dict[int, Any] = {}

    def begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        """A hook of Python's: it is iterated for the first time."""
        if not self._loop.rules:
            return
        self._count += 1
        self._begun[id(generator)] = (self._count, weakref.ref(generator))
        if len(self._begun) > self._room:
            self._begun = {key: one for key, one in self._begun.items() if one[1]() is not None}
            self._room = max(ROOM_MIN, 2 * len(self._begun))

    def left(self, generator: AsyncGenerator[Any, Any]) -> None:
        """A hook of Python's: nothing refers to it any more."""
        loop = self._loop
        if not loop.rules or loop.discarded:
            return
        number, _ = self._begun.pop(id(generator), (0, None))
        running: object = running_loop()
        if running is not loop or threading.get_ident() in _collecting:
            self._kept[number] = generator
        else:
            loop.close_generator(generator, number)

    def close_all(self) -> bool:
        """At the end of the saga's code. True: there were some."""
        if not self._begun and not self._kept:
            return False
        loop = self._loop
        still = {number: one for number, ref in self._begun.values() if (one := ref()) is not None and one.ag_frame is not None}
        left = sorted([*still.items(), *self._kept.items()], key=lambda item: item[0])
        self._begun, self._kept = {}, {}
        for number, generator in left:
            loop.close_generator(generator, number)
        return bool(left)
