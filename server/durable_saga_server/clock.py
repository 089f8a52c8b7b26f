"""Time and ids come in as arguments, so that one seed can drive the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from durable_saga.pb.random_ids import new_id


class Clock(Protocol):
    def now_ms(self) -> int:
        """Unix time in milliseconds."""

    async def sleep(self, seconds: float) -> None: ...


class Ids(Protocol):
    def new(self) -> bytes:
        """16 bytes that nobody else has."""


class Machine:
    """The machine's own functions, also where sagas run in this process: the SDK gives saga code others under these names."""

    time_ns: Callable[[], int] = staticmethod(getattr(time.time_ns, "__wrapped__", time.time_ns))
    monotonic: Callable[[], float] = staticmethod(getattr(time.monotonic, "__wrapped__", time.monotonic))


class SystemClock:
    def now_ms(self) -> int:
        return Machine.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RandomIds:
    def new(self) -> bytes:
        return new_id()
