"""Clients that go straight to the journal, under the storm: what they see of the same few runs must be linearizable.

Rounds of `tests.linearizability.clients`, whose own faults come on top of those of the nodes.
"""

from __future__ import annotations

import asyncio
import uuid

from durable_saga_server.journal import Journal, JournalError

from tests.chaos.cell import ChaosCell
from tests.linearizability.checker import check
from tests.linearizability.clients import drive

JOURNALS = 2
BETWEEN_ROUNDS_SECONDS = 3.0
AGAIN_SECONDS = 1.0


class Registers:
    """Works until `stop()`. `wrong` says what had no order; `unchecked` counts histories too entangled to be decided."""

    def __init__(self, cell: ChaosCell, seed: int) -> None:
        self._cell = cell
        self._seed = seed
        self._stopping = asyncio.Event()
        self.rounds = self.calls = self.unsettled = self.unchecked = 0
        self.wrong: list[str] = []

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        journals = [self._cell.open_journal() for _ in range(JOURNALS)]
        try:
            for journal in journals:
                await self._reached(journal)
            while not self._stopping.is_set():
                await self._round(journals)
                try:
                    async with asyncio.timeout(BETWEEN_ROUNDS_SECONDS):
                        await self._stopping.wait()
                except TimeoutError:
                    pass  # the next one
        finally:
            for journal in journals:
                await journal.close()

    async def _reached(self, journal: Journal) -> None:
        while True:
            try:
                return await journal.initialize()
            except JournalError:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _round(self, journals: list[Journal]) -> None:
        self._seed += 1
        recorder, _ = await drive(journals, uuid.uuid4().hex, self._seed)
        self.rounds += 1
        for run, calls in recorder.calls().items():
            self.calls += len(calls)
            self.unsettled += sum(not call.is_settled for call in calls)
            try:
                found = await asyncio.to_thread(check, calls)
            except RuntimeError:
                self.unchecked += 1
            else:
                if found is not None:
                    self.wrong.append(f"the journal, round of seed {self._seed}, {run.saga}: {found}")
