"""Time and ids come in as arguments, so that one seed can drive the server."""

from __future__ import annotations

import asyncio
from typing import Protocol

from durable_saga.machine import Machine


class Clock(Protocol):
    def now_ms(self) -> int:
        """Unix time in milliseconds."""

    async def sleep(self, seconds: float) -> None: ...


class Ids(Protocol):
    def new(self) -> bytes:
        """16 bytes that nobody else has."""


class SystemClock:
    def now_ms(self) -> int:
        return Machine.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RandomIds:
    def new(self) -> bytes:
        return Machine.urandom(16)
