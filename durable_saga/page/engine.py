"""Calls to the engine as a page makes them: bounded in time, so that a browser gets an answer also when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from durable_saga.errors import Unavailable

T = TypeVar("T")
READ_SECONDS_MAX = 4.0
WRITE_SECONDS_MAX = 15.0


async def read(call: Awaitable[T]) -> T:
    """Raises Unavailable after READ_SECONDS_MAX, and what the call raises."""
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            return await call
    except TimeoutError:
        raise Unavailable(f"the engine did not answer for {READ_SECONDS_MAX:.0f} seconds") from None


async def write(call: Awaitable[T]) -> T:
    """Raises Unavailable after WRITE_SECONDS_MAX, and what the call raises."""
    try:
        async with asyncio.timeout(WRITE_SECONDS_MAX):
            return await call
    except TimeoutError:
        raise Unavailable(
            f"the engine did not answer for {WRITE_SECONDS_MAX:.0f} seconds, so this may or may not have been done: look at the"
            " saga before you try again"
        ) from None
