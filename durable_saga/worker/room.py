"""The room that a worker has for attempts: so many at once, in the order in which they came. Where it is full for long, the log
says who fills it: attempts without a time-out that hang would otherwise keep every other saga of the worker from going on,
and nothing would tell.
"""

from __future__ import annotations

import asyncio
import logging

from durable_saga.pb import worker_pb2 as w
from durable_saga.telemetry import catalogue as metrics
from durable_saga.telemetry.instruments import Watching
from durable_saga.worker.attempt import Attempt
from durable_saga.worker.threads import Threads

log = logging.getLogger(__name__)
FULL_SECONDS = 10.0
"""An attempt that has waited for so long is told of, and then as long as it is so."""
FULL_AGAIN_SECONDS = 60.0


class Room:
    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self._size = size
        self._loop = loop
        self._free = asyncio.Semaphore(size)
        self._inside: dict[Attempt, tuple[str, float]] = {}
        self._waiting = 0
        self._told = 0.0

    @property
    def size(self) -> int:
        return self._size

    @property
    def used(self) -> int:
        return len(self._inside)

    @property
    def waiting(self) -> int:
        return self._waiting

    async def enter(self, attempt: Attempt, saga: str) -> None:
        """`leave()` gives it back."""
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        self._inside[attempt] = saga, self._loop.time()

    def leave(self, attempt: Attempt) -> None:
        del self._inside[attempt]
        self._free.release()

    async def _wait(self) -> None:
        self._waiting += 1
        timer = self._loop.call_later(FULL_SECONDS, self._tell)
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
            timer.cancel()

    def _tell(self) -> None:
        now = self._loop.time()
        if self._waiting and self._inside and not (self._told and now < self._told + FULL_AGAIN_SECONDS):
            self._told = now
            attempt, (saga, since) = next(iter(self._inside.items()))
            limit = attempt.effect.definition.timeout_ms
            log.warning(
                "%s attempts wait: all %s places (concurrency) are taken. The oldest, %s of saga %s, has run for %.0f s%s",
                self._waiting, self._size, attempt.effect.definition.name, saga, now - since,
                "" if limit else " and has no time-out: give steps a time-out, so that those that hang make room",
            )  # fmt: skip


def watching_over(room: Room, threads: Threads) -> Watching:
    """How much of a worker's room is taken."""
    return Watching(
        (metrics.SLOTS, lambda: [(room.size, ())]), (metrics.SLOTS_USED, lambda: [(room.used, ())]),
        (metrics.SLOTS_WAITING, lambda: [(room.waiting, ())]), (metrics.THREADS_HUNG, lambda: [(threads.hung, ())]),
    )  # fmt: skip


def load_of(room: Room, sagas: int) -> w.Heartbeat:
    """What a worker tells the servers of itself."""
    return w.Heartbeat(sagas=sagas, slots=room.size, slots_used=room.used, slots_waiting=room.waiting)
