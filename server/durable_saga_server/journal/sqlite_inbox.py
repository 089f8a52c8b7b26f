"""Inboxes in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, InboxFull, Run
from durable_saga_server.journal.damage import read_messages
from durable_saga_server.journal.rules import in_order
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_rows import RUN_IS, run_key

COUNT_EVERY = 256
COUNTED_RUNS_MAX = 10_000


class SqliteInbox:
    """Bounds what waits. A count reads every message that the run ever got, so there is one for each COUNT_EVERY that are put;
    in between the room that it found is used up. Where several processes write one file, each may use that much up."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._room: dict[Run, int] = {}

    async def put(self, run: Run, message: h.InboxMessage) -> bool:
        return await self._hands.write(lambda db: self._put(db, run, message))

    async def has(self, run: Run, message_id: str) -> bool:
        return await self._hands.look(lambda db: _has(db, run, message_id))

    async def unread(self, run: Run) -> Sequence[h.InboxMessage]:
        select = f"SELECT message FROM inbox WHERE {RUN_IS} AND message IS NOT NULL"

        def read(db: sqlite3.Connection) -> list[h.InboxMessage]:
            return in_order(read_messages(run, (message for (message,) in db.execute(select, run_key(run)))))

        return await self._hands.read(read)

    def _put(self, db: sqlite3.Connection, run: Run, message: h.InboxMessage) -> bool:
        if _has(db, run, message.message_id):
            return False
        room = self._room.pop(run, 0)
        if not room:
            unread, unread_bytes = _count(db, run)
            room = min(INBOX_MESSAGES_MAX - unread, COUNT_EVERY)
            if unread_bytes >= INBOX_BYTES_MAX:
                raise InboxFull(
                    f"{run.saga} has {unread_bytes} bytes of unread messages (INBOX_BYTES_MAX is {INBOX_BYTES_MAX}): send more"
                    " when it has read some"
                )
        if room <= 0:
            raise InboxFull(
                f"{run.saga} has {INBOX_MESSAGES_MAX} unread messages (INBOX_MESSAGES_MAX): send more when it has read some"
            )
        key = (*run_key(run), message.message_id)
        db.execute("INSERT INTO inbox VALUES (?,?,?,?,?,?)", (*key, message.received_ms, message.SerializeToString()))
        self._room[run] = room - 1
        if len(self._room) > COUNTED_RUNS_MAX:
            del self._room[next(iter(self._room))]  # the one that got nothing for the longest time
        return True


def _has(db: sqlite3.Connection, run: Run, message_id: str) -> bool:
    found = db.execute(f"SELECT 1 FROM inbox WHERE {RUN_IS} AND message_id = ?", (*run_key(run), message_id))
    return found.fetchone() is not None


def _count(db: sqlite3.Connection, run: Run) -> tuple[int, int]:
    """Unread messages, at most INBOX_MESSAGES_MAX, and their bytes."""
    some = f"SELECT length(message) AS size FROM inbox WHERE {RUN_IS} AND message IS NOT NULL LIMIT ?"
    counted = f"SELECT count(*), coalesce(sum(size), 0) FROM ({some})"
    unread, unread_bytes = db.execute(counted, (*run_key(run), INBOX_MESSAGES_MAX)).fetchone()
    return int(unread), int(unread_bytes)
