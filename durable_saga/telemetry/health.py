"""Whether a process is alive and ready. Asked from other threads, so that a loop that is blocked is told and not waited for.

Alive: its event loop turns, or has stood still for less than ALIVE_SECONDS. Ready: it turns now, and nothing that `checks`
name is in the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable_saga.telemetry.catalogue import LOOP_LAG

BEAT_SECONDS = 0.5
READY_SECONDS = 3.0
"""A loop that stands still for longer makes its process not ready."""
ALIVE_SECONDS = 120.0
"""One that stands still for longer makes it not alive: whoever looks after it may start it again."""


class Health:
    """`now` gives seconds. `checks` are functions that give a reason, or "" where all is well; they must not wait."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._turned = now()
        self._task: asyncio.Task[None] | None = None
        self.checks: list[Callable[[], str]] = []

    def start(self) -> None:
        """On the loop that is to be watched."""
        self._turned = self._now()
        self._task = asyncio.create_task(self._beat(), name="health")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            due = self._turned + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self._turned = self._now()
            LOOP_LAG.record(max(self._turned - due, 0.0))

    def not_alive(self) -> str:
        stood = self._now() - self._turned
        return f"the event loop has stood still for {stood:.0f} s" if stood > ALIVE_SECONDS else ""

    def not_ready(self) -> str:
        """Why, or ""."""
        stood = self._now() - self._turned
        if stood > READY_SECONDS:
            return f"the event loop has stood still for {stood:.0f} s: something blocks it"
        return next((reason for check in list(self.checks) if (reason := check())), "")
