"""What reaches a run of this worker, in order: one that holds references to large values waits until they are fetched, and what
comes after it waits behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Protocol

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.aside import Decode
from durable_saga.sealing.messages import Kept, Sealing, open_arrived
from durable_saga.transport.fetching import fill

Handle = Callable[[Any], Generator[Decode, tuple[Any] | None] | None]


async def _decoded_aside(wants: Generator[Decode, tuple[Any] | None]) -> None:
    sent: tuple[Any] | None = None
    with contextlib.closing(wants):
        while True:
            try:
                decode = wants.send(sent)
            except StopIteration:
                return
            try:
                sent = (await asyncio.to_thread(decode),)
            except Exception:  # whoever takes it decodes it again, and tells this
                sent = None


class Reader(Protocol):
    """Who fetches and opens values."""

    sealing: Sealing | None

    def fetch(self, key: h.RunKey, payload: p.Payload, /) -> Awaitable[bytes]: ...


class Arrivals:
    """Opens what is sealed. `failed` is told an error of a fetch, or why a value can't be opened; nothing more is handled after
    it. `empty` is called when nothing waits any more."""

    def __init__(
        self, key: h.RunKey, reader: Reader, failed: Callable[[Exception], None], empty: Callable[[], None]
    ) -> None:  # fmt: skip
        self._key = key
        self._reader = reader
        self.kept: Kept = {}
        self._failed = failed
        self._empty = empty
        self._waiting: deque[tuple[Any, Sequence[p.Payload], Handle]] = deque()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting) + (self._task is not None)

    def take(self, arrived: Any, missing: Sequence[p.Payload], handle: Handle) -> None:
        """Handle it now, or once its large values, and what came before it, are there; then what `handle` wants to be decoded
        is decoded in a thread."""
        if self._task is None and not missing:
            try:
                open_arrived(self._reader.sealing, arrived, self._key, self.kept)
            except Exception as error:
                self._failed(error)
            else:
                for _ in handle(arrived) or ():
                    pass
            return
        self._waiting.append((arrived, missing, handle))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._waiting:
                arrived, missing, handle = self._waiting.popleft()
                await fill(self._key, missing, self._reader.fetch)
                open_arrived(self._reader.sealing, arrived, self._key, self.kept)
                if (wants := handle(arrived)) is not None:
                    await _decoded_aside(wants)
        except Exception as error:
            self._waiting.clear()
            self._failed(error)
        finally:
            self._task = None
        self._empty()

    def drop(self) -> None:
        self._waiting.clear()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
