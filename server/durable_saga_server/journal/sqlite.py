"""The journal in one SQLite file: the embedded default. WAL and synchronous=FULL, so what is committed survives a crash.

A write that fails by its condition changes nothing and does not disturb the others of its transaction (`sqlite_hands`).
Several processes may open one file; SQLite's lock orders them.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import (
    Commit,
    Created,
    Exists,
    Filter,
    Head,
    Hint,
    JournalError,
    JournalFull,
    JournalUnavailable,
    Listed,
    Member,
    Outcome,
    Run,
    Tally,
    Unknown,
)
from durable_saga_server.journal import sqlite_chunks as large
from durable_saga_server.journal import sqlite_inbox as inboxes
from durable_saga_server.journal import sqlite_index as index
from durable_saga_server.journal import sqlite_rows as rows
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_ledger import SqliteLedger
from durable_saga_server.journal.sqlite_migrating import migrate


class SqliteJournal:
    """Opens on `initialize()`. Use it from one event loop."""

    batches_at_once = 2
    """One is written, one is ready to be."""

    def __init__(self, path: str | pathlib.Path) -> None:
        self._hands = Hands(str(path))
        self._inboxes = inboxes.Inboxes()
        self.ledger = SqliteLedger(self._hands)

    async def initialize(self) -> None:
        """Raises SchemaTooNew, JournalUnavailable (the folder isn't there, no rights)."""
        if not self._hands.is_open:
            await self._hands.open(migrate)

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        await self._hands.close()

    # --- the interface -------------------------------------------------------------------------------------------------

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        return await self._hands.write(lambda db: rows.create(db, head, event, hint))

    async def head(self, run: Run) -> Head | None:
        return await self._hands.look(lambda db: rows.read_head(db, run))

    async def glance(self, run: Run) -> Head | None:
        return await self.head(run)

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        return await self._hands.write(lambda db: rows.acquire(db, run, incarnation, epoch, owner, now_ms))

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        if len(commits) == 1:
            return [await self._hands.write(lambda db: rows.commit(db, commits[0]))]
        try:
            return await self._hands.write(lambda db: [rows.commit(db, commit) for commit in commits], len(commits))
        except (JournalUnavailable, JournalFull):
            raise
        except JournalError as error:  # of one of them, and nothing was written: each is sent again on its own
            return [Unknown(str(error))] * len(commits)

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        return await self._hands.read(lambda db: rows.events(db, run, from_seq, limit))

    async def put_message(self, run: Run, message: h.InboxMessage) -> bool:
        return await self._hands.write(lambda db: self._inboxes.put(db, run, message))

    async def has_message(self, run: Run, message_id: str) -> bool:
        return await self._hands.look(lambda db: inboxes.has_message(db, run, message_id))

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        await self._hands.write(lambda db: rows.advance(db, run, incarnation, newest))

    async def inbox(self, run: Run) -> Sequence[h.InboxMessage]:
        return await self._hands.read(lambda db: inboxes.inbox(db, run))

    async def put_chunks(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        await self._hands.write(lambda db: large.put_chunks(db, run, digest, first, chunks, now_ms))

    async def chunks(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        return await self._hands.read(lambda db: large.chunks(db, run, digest, first, limit))

    async def drop_chunks(self, run: Run, before_ms: int) -> bool:
        return await self._hands.write(lambda db: large.drop_chunks(db, run, before_ms))

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        return await self._hands.write(lambda db: rows.purge(db, run, incarnation, before_ms))

    async def add_hint(self, hint: Hint) -> None:
        await self._hands.write(lambda db: rows.add_hint(db, hint))

    async def hints(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        return await self._hands.read(lambda db: rows.hints(db, shard, after_ms, until_ms, limit))

    async def bring_near(self, shard: int, until_ms: int) -> None: ...

    async def watermark(self, shard: int) -> int:
        return await self._hands.read(lambda db: rows.watermark(db, shard))

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        await self._hands.write(lambda db: rows.set_watermark(db, shard, due_ms))

    async def beat(self, member: Member) -> None:
        await self._hands.write(lambda db: index.beat(db, member))

    async def members(self) -> Sequence[Member]:
        return await self._hands.read(index.members)

    async def leave(self, name: str) -> None:
        await self._hands.write(lambda db: index.leave(db, name))

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        return await self._hands.read(lambda db: index.listing(db, filter, limit, page))

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        return await self._hands.read(lambda db: index.keyed(db, namespace, key, limit))

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        await self._hands.write(lambda db: index.drop_key(db, namespace, key, run, before_ms))

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        return await self._hands.read(lambda db: index.changes(db, namespace, after_ms, limit))

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        return await self._hands.read(lambda db: index.tallies(db, namespace))

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        return await self._hands.write(lambda db: index.claim(db, namespace, group, item, now_ms, until_ms))

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        await self._hands.write(lambda db: index.confirm(db, namespace, group, item))

    def list_again(self, run: Run) -> None: ...
