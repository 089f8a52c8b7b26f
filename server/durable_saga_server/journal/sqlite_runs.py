"""Heads and events in SQLite. Each write is one transaction, which decides by `rules`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import (
    Commit,
    Committed,
    Created,
    Exists,
    Head,
    Hint,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalUnavailable,
    Outcome,
    Run,
    Unknown,
)
from durable_saga_server.journal.damage import cut_bytes, read_events
from durable_saga_server.journal.rules import decide_acquire, decide_commit, decide_purge, keys_in, sub_state, tally_kind
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_hints import add_hint
from durable_saga_server.journal.sqlite_rows import HEAD_COLUMNS, RUN_IS, find_head, read_head, run_key, values_of

_SET = "owner = ?, epoch = ?, next_seq = ?, last_commit = ?, updated_ms = ?, wake_at_ms = ?, attributes = ?"
_UPDATE_HEAD = f"UPDATE heads SET {_SET} WHERE id = ?"
"""Leaves most indexes alone, and what is counted, which most writes do not change."""
_MARKS = "status = ?, blocked = ?, build = ?, paused = ?, sub_state = ?, state = ?, doing = ?, failure_type = ?, attempt = ?"
_UPDATE_ALL = f"UPDATE heads SET ended_ms = ?, {_MARKS}, next_ms = ?, since_ms = ?, {_SET} WHERE id = ?"
_INSERT = f"INSERT INTO heads ({HEAD_COLUMNS}, sub_state) VALUES ({', '.join('?' * (HEAD_COLUMNS.count(',') + 2))})"
_ID = f"(SELECT id FROM heads WHERE {RUN_IS})"


class SqliteRuns:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        return await self._hands.write(lambda db: _create(db, head, event, hint))

    async def head(self, run: Run) -> Head | None:
        return await self._hands.look(lambda db: read_head(db, run))

    async def glance(self, run: Run) -> Head | None:
        return await self.head(run)

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        return await self._hands.write(lambda db: _acquire(db, run, incarnation, epoch, owner, now_ms))

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        if len(commits) == 1:
            return [await self._hands.write(lambda db: _commit(db, commits[0]))]
        try:
            return await self._hands.write(lambda db: [_commit(db, commit) for commit in commits], len(commits))
        except (JournalUnavailable, JournalFull):
            raise
        except JournalError as error:  # of one of them, and nothing was written: each is sent again on its own
            return [Unknown(str(error))] * len(commits)

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        select = f"SELECT seq, event FROM events WHERE head = {_ID} AND seq >= ? ORDER BY seq LIMIT ?"
        values = (*run_key(run), from_seq, limit)
        return await self._hands.read(lambda db: read_events(run, cut_bytes(db.execute(select, values))))

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        update = f"UPDATE heads SET newest = ? WHERE {RUN_IS} AND incarnation = ? AND newest < ?"
        values = (newest, *run_key(run), incarnation, newest)
        await self._hands.write(lambda db: db.execute(update, values).rowcount)

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        return await self._hands.write(lambda db: _purge(db, run, incarnation, before_ms))


# --- inside a transaction ----------------------------------------------------------------------------------------------------


def _create(db: sqlite3.Connection, head: Head, event: h.Event, hint: Hint | None) -> Created | Exists:
    if hint is not None:
        add_hint(db, hint)
    if (there := read_head(db, head.run)) is not None:
        return Exists(there)
    _write_events(db, _insert_head(db, head), head.run, [event])
    return Created(head)


def _acquire(db: sqlite3.Connection, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
    number, before = find_head(db, run)
    outcome = decide_acquire(before, incarnation, epoch, owner, now_ms)
    if before is not None and isinstance(outcome, Committed) and outcome.head is not None:
        _update_head(db, number, outcome.head, before)
    return outcome


def _commit(db: sqlite3.Connection, commit: Commit) -> Outcome:
    number, before = find_head(db, commit.run)
    outcome = decide_commit(before, commit)
    if before is None or not isinstance(outcome, Committed) or outcome.head is None or outcome.head is before:
        return outcome
    _update_head(db, number, outcome.head, before)
    _write_events(db, number, commit.run, commit.events)
    if commit.consumed:
        read = [(*run_key(commit.run), message_id) for message_id in commit.consumed]
        db.executemany(f"UPDATE inbox SET message = NULL WHERE {RUN_IS} AND message_id = ?", read)
    return outcome


def _purge(db: sqlite3.Connection, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
    number, found = find_head(db, run)
    outcome = decide_purge(found, incarnation)
    if not isinstance(outcome, Committed) or (head := outcome.head) is None:
        return outcome
    key = run_key(run)
    for row in db.execute("SELECT seq, event FROM events WHERE head = ?", (number,)).fetchall():
        try:
            names = keys_in(read_events(run, [row]))
        except JournalDamaged:
            continue  # a key that it declares finds no run any more, and goes when somebody publishes to it
        for name in names:
            where = "namespace = ? AND key = ? AND saga = ? AND run = ?"
            db.execute(f"DELETE FROM keys WHERE {where}", (run.namespace, name, run.saga, run.run))
    db.execute("DELETE FROM events WHERE head = ?", (number,))
    for table in ("inbox", "heads"):
        db.execute(f"DELETE FROM {table} WHERE {RUN_IS}", key)
    db.execute(f"DELETE FROM chunks WHERE {RUN_IS} AND written_ms < ?", (*key, before_ms))
    _count(db, head, -1)
    return outcome


def _insert_head(db: sqlite3.Connection, head: Head) -> int:
    """Its number."""
    done = db.execute(_INSERT, values_of(head))
    if head.attributes:
        _write_attributes(db, head)
    _count(db, head, 1)
    return done.lastrowid or 0


def _update_head(db: sqlite3.Connection, number: int, head: Head, before: Head) -> None:
    changed = (
        head.owner, head.epoch, head.next_seq, head.last_commit, head.updated_ms, head.wake_at_ms,
        json.dumps(head.attributes) if head.attributes else "", number,
    )  # fmt: skip
    if head.attributes != before.attributes:
        _write_attributes(db, head)
    if _marks(head) == _marks(before):
        db.execute(_UPDATE_HEAD, changed)
        return
    marks = head.ended_ms, head.status, head.blocked, head.build, head.paused, sub_state(head), *head.doing
    db.execute(_UPDATE_ALL, (*marks, *changed))
    if tally_kind(head) != tally_kind(before):
        _count(db, head, 1)
        _count(db, before, -1)


def _marks(head: Head) -> tuple[object, ...]:
    """What most writes do not change."""
    return head.ended_ms, head.status, head.blocked, head.build, head.paused, head.doing


def _count(db: sqlite3.Connection, head: Head, more: int) -> None:
    tally = "INSERT INTO tallies VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
    db.execute(tally, (head.run.namespace, *tally_kind(head), more))


def _write_attributes(db: sqlite3.Connection, head: Head) -> None:
    run = run_key(head.run)
    db.execute(f"DELETE FROM search_attributes WHERE {RUN_IS}", run)
    rows = [(run[0], name, text, head.started_ms, *run[1:]) for name, text in head.attributes]
    db.executemany("INSERT INTO search_attributes VALUES (?,?,?,?,?,?)", rows)


def _write_events(db: sqlite3.Connection, number: int, run: Run, events: Sequence[h.Event]) -> None:
    rows = [(number, event.seq, event.SerializeToString()) for event in events]
    db.executemany("INSERT INTO events VALUES (?,?,?)", rows)
    for key in keys_in(events):
        db.execute("INSERT OR IGNORE INTO keys VALUES (?,?,?,?)", (run.namespace, key, run.saga, run.run))
