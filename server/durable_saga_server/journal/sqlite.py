"""The journal in one SQLite file: the embedded default. WAL and synchronous=FULL, so what is committed survives a crash.

A write that fails by its condition changes nothing and does not disturb the others of its transaction (`sqlite_hands`).
Several processes may open one file; SQLite's lock orders them. Each facet is a part of its own, in `sqlite_runs` and so on.
"""

from __future__ import annotations

import pathlib

from durable_saga_server.journal.sqlite_chunks import SqliteChunks
from durable_saga_server.journal.sqlite_claims import SqliteClaims
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_hints import SqliteHints
from durable_saga_server.journal.sqlite_inbox import SqliteInbox
from durable_saga_server.journal.sqlite_index import SqliteIndex
from durable_saga_server.journal.sqlite_ledger import SqliteLedger
from durable_saga_server.journal.sqlite_members import SqliteMembers
from durable_saga_server.journal.sqlite_migrating import migrate
from durable_saga_server.journal.sqlite_runs import SqliteRuns
from durable_saga_server.journal.sqlite_switches import SqliteSwitches


class SqliteJournal:
    """Opens on `initialize()`. Use it from one event loop."""

    batches_at_once = 2
    """One is written, one is ready to be."""

    def __init__(self, path: str | pathlib.Path) -> None:
        self._hands = hands = Hands(str(path))
        self.runs = SqliteRuns(hands)
        self.inbox = SqliteInbox(hands)
        self.hints = SqliteHints(hands)
        self.chunks = SqliteChunks(hands)
        self.members = SqliteMembers(hands)
        self.index = SqliteIndex(hands)
        self.claims = SqliteClaims(hands)
        self.switches = SqliteSwitches(hands)
        self.ledger = SqliteLedger(hands)

    async def initialize(self) -> None:
        """Raises SchemaTooNew, JournalUnavailable (the folder isn't there, no rights)."""
        if not self._hands.is_open:
            await self._hands.open(migrate)

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        await self._hands.close()
