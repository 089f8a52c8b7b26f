"""Faults between a Cassandra journal and its cluster: statements that are lost or late, and answers that are lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from durable_saga_server.journal import JournalUnavailable, Unknown
from durable_saga_server.journal.cassandra import CassandraJournal

LATE_SECONDS_MAX = 0.2
_WRITES = ("log_row", "fence_revoke", "fence_close")
"""Plain statements that may be lost; the others are those of any journal, and the tests of all journals look at them."""


class Faults:
    """Of one journal. `share`: of the statements that something happens to."""

    def __init__(self, journal: CassandraJournal, seed: int, share: float) -> None:
        self._dice, self._share = random.Random(seed), share
        self.late: set[asyncio.Task[Any]] = set()
        self.happened = 0
        session: Any = journal._session
        self._read, self._together, self._conditional = session.read, session.write_together, session.conditional
        session.read, session.write_together, session.conditional = self.read, self.write_together, self.conditional

    async def read(self, name: str, *values: Any) -> Any:
        if name in _WRITES or name in ("fence", "log_rows", "head"):
            await self._fault(lambda: self._read(name, *values), may_be_late=name in _WRITES)
        return await self._read(name, *values)

    async def write_together(self, name: str, rows: Any) -> None:
        if name in _WRITES:
            await self._fault(lambda: self._together(name, rows), may_be_late=True)
        await self._together(name, rows)

    async def conditional(self, *parts: Any) -> Any:
        try:
            await self._fault(lambda: self._conditional(*parts), may_be_late=True)
        except JournalUnavailable as error:
            return Unknown(str(error))
        return await self._conditional(*parts)

    async def _fault(self, call: Callable[[], Awaitable[Any]], *, may_be_late: bool) -> None:
        """Raises JournalUnavailable, if something happens to it."""
        if self._dice.random() > self._share:
            return
        self.happened += 1
        kind = self._dice.choice(("lost", "done", "late") if may_be_late else ("lost",))
        if kind == "done":
            await call()
        elif kind == "late":
            self.late.add(asyncio.create_task(self._later(call)))
        raise JournalUnavailable(f"the test has it {kind}")

    async def _later(self, call: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.sleep(self._dice.random() * LATE_SECONDS_MAX)
        await call()

    async def settle(self) -> None:
        """Whatever is late has arrived; nothing happens from now on."""
        self._share = 0.0
        if self.late:
            await asyncio.wait(self.late)
