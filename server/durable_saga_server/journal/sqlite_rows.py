"""The rows of the SQLite journal: every function runs inside the transaction of its caller and decides by `rules`.

A head has a number, and its events stand under it: runs that were started about the same time lie side by side in the file,
so a transaction of many runs writes few pages, whatever their names are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import (
    Attributes,
    Commit,
    Committed,
    Created,
    Exists,
    Head,
    Hint,
    JournalDamaged,
    Outcome,
    Run,
)
from durable_saga_server.journal.damage import cut_bytes, read_events
from durable_saga_server.journal.rules import cut_hints, decide_acquire, decide_commit, decide_purge, hints_of, keys_in

SCHEMA_VERSION = 5
RUN_IS = "namespace = ? AND saga = ? AND run = ?"
HEAD_COLUMNS = (
    "namespace, saga, run, incarnation, saga_type, status, owner, epoch, next_seq, last_commit, started_ms, updated_ms,"
    " ended_ms, wake_at_ms, blocked, newest, attributes"
)
NOTEWORTHY = "status NOT IN (1, 2, 4)"
"""What the partial index holds: `rules.NOTEWORTHY`, and runs that continue in another."""
_SET = (
    "owner = ?, epoch = ?, next_seq = ?, last_commit = ?, updated_ms = ?, ended_ms = ?, wake_at_ms = ?, blocked = ?,"
    " attributes = ?"
)
_UPDATE_HEAD = f"UPDATE heads SET {_SET} WHERE id = ?"
"""Leaves the indexes of status alone, which most writes do not change."""
_UPDATE_HEAD_AND_STATUS = f"UPDATE heads SET status = ?, {_SET} WHERE id = ?"
_ID = f"(SELECT id FROM heads WHERE {RUN_IS})"
_FORGET_ATTRIBUTES = "DELETE FROM search_attributes WHERE namespace = OLD.namespace AND saga = OLD.saga AND run = OLD.run;"
TABLES = f"""
CREATE TABLE IF NOT EXISTS journal_schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS heads (
  id INTEGER PRIMARY KEY, namespace TEXT, saga TEXT, run INTEGER, incarnation BLOB, saga_type TEXT, status INTEGER,
  owner TEXT, epoch INTEGER, next_seq INTEGER, last_commit BLOB, started_ms INTEGER, updated_ms INTEGER,
  ended_ms INTEGER, wake_at_ms INTEGER, blocked TEXT, newest INTEGER DEFAULT 0, attributes TEXT DEFAULT '',
  UNIQUE (namespace, saga, run));
CREATE INDEX IF NOT EXISTS heads_by_start ON heads (namespace, started_ms DESC, saga, run);
CREATE INDEX IF NOT EXISTS heads_by_status ON heads (namespace, status, started_ms DESC, saga, run);
CREATE TABLE IF NOT EXISTS events (head INTEGER, seq INTEGER, event BLOB NOT NULL, PRIMARY KEY (head, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (
  namespace TEXT, saga TEXT, run INTEGER, message_id TEXT, received_ms INTEGER, message BLOB,
  PRIMARY KEY (namespace, saga, run, message_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shard_hints (
  shard INTEGER, due_ms INTEGER, namespace TEXT, saga TEXT, run INTEGER,
  PRIMARY KEY (shard, due_ms, namespace, saga, run)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watermarks (shard INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS members (
  name TEXT PRIMARY KEY, address TEXT, beat INTEGER, seen_ms INTEGER, workers TEXT, saga_types TEXT);
CREATE INDEX IF NOT EXISTS heads_by_change ON heads (namespace, updated_ms, saga, run) WHERE {NOTEWORTHY};
CREATE TABLE IF NOT EXISTS keys (
  namespace TEXT, key TEXT, saga TEXT, run INTEGER, PRIMARY KEY (namespace, key, saga, run)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS search_attributes (
  namespace TEXT, name TEXT, value TEXT, started_ms INTEGER, saga TEXT, run INTEGER,
  PRIMARY KEY (namespace, name, value, started_ms DESC, saga, run)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS search_attributes_of ON search_attributes (namespace, saga, run, name);
CREATE TRIGGER IF NOT EXISTS heads_removed AFTER DELETE ON heads BEGIN {_FORGET_ATTRIBUTES} END;
CREATE TABLE IF NOT EXISTS tallies (
  namespace TEXT, saga_type TEXT, status INTEGER, count INTEGER NOT NULL,
  PRIMARY KEY (namespace, saga_type, status)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
  namespace TEXT, group_name TEXT, item TEXT, until_ms INTEGER,
  PRIMARY KEY (namespace, group_name, item)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
  namespace TEXT, saga TEXT, run INTEGER, digest BLOB, part INTEGER, written_ms INTEGER, chunk BLOB NOT NULL,
  PRIMARY KEY (namespace, saga, run, digest, part));
INSERT OR IGNORE INTO journal_schema VALUES (1, {SCHEMA_VERSION})
"""


def run_key(run: Run) -> tuple[str, str, int]:
    """What RUN_IS compares with."""
    return run.namespace, run.saga, run.run


def read_head(db: sqlite3.Connection, run: Run) -> Head | None:
    return _find(db, run)[1]


def _find(db: sqlite3.Connection, run: Run) -> tuple[int, Head | None]:
    """The head with its number."""
    row = db.execute(f"SELECT id, {HEAD_COLUMNS} FROM heads WHERE {RUN_IS}", run_key(run)).fetchone()
    return (0, None) if row is None else (row[0], head_of(row[1:]))


def head_of(row: tuple[object, ...]) -> Head:
    return Head(Run(*row[:3]), *row[3:-1], _attributes(row[-1]))  # type: ignore[arg-type,call-arg]


def _attributes(text: object) -> Attributes:
    """None where they can't be read: the listing of the others goes on."""
    try:
        return tuple((str(name), str(value)) for name, value in json.loads(str(text))) if text else ()
    except (ValueError, TypeError):
        return ()


def _values(head: Head) -> tuple[object, ...]:
    return (
        head.run.namespace, head.run.saga, head.run.run, head.incarnation, head.saga_type, head.status, head.owner,
        head.epoch, head.next_seq, head.last_commit, head.started_ms, head.updated_ms, head.ended_ms, head.wake_at_ms,
        head.blocked, head.newest, json.dumps(head.attributes) if head.attributes else "",
    )  # fmt: skip


def _insert_head(db: sqlite3.Connection, head: Head) -> int:
    """Its number."""
    done = db.execute(f"INSERT INTO heads ({HEAD_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", _values(head))
    if head.attributes:
        _write_attributes(db, head)
    _count(db, head, 1)
    return done.lastrowid or 0


def _update_head(db: sqlite3.Connection, number: int, head: Head, before: Head) -> None:
    changed = (
        head.owner, head.epoch, head.next_seq, head.last_commit, head.updated_ms, head.ended_ms, head.wake_at_ms,
        head.blocked, json.dumps(head.attributes) if head.attributes else "", number,
    )  # fmt: skip
    if head.attributes != before.attributes:
        _write_attributes(db, head)
    if head.status == before.status:
        db.execute(_UPDATE_HEAD, changed)
        return
    db.execute(_UPDATE_HEAD_AND_STATUS, (head.status, *changed))
    _count(db, head, 1)
    _count(db, before, -1)


def _count(db: sqlite3.Connection, head: Head, more: int) -> None:
    tally = "INSERT INTO tallies VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
    db.execute(tally, (head.run.namespace, head.saga_type, head.status, more))


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


def create(db: sqlite3.Connection, head: Head, event: h.Event, hint: Hint | None) -> Created | Exists:
    if hint is not None:
        add_hint(db, hint)
    if (there := read_head(db, head.run)) is not None:
        return Exists(there)
    _write_events(db, _insert_head(db, head), head.run, [event])
    return Created(head)


def acquire(db: sqlite3.Connection, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
    number, before = _find(db, run)
    outcome = decide_acquire(before, incarnation, epoch, owner, now_ms)
    if before is not None and isinstance(outcome, Committed) and outcome.head is not None:
        _update_head(db, number, outcome.head, before)
    return outcome


def commit(db: sqlite3.Connection, commit: Commit) -> Outcome:
    number, before = _find(db, commit.run)
    outcome = decide_commit(before, commit)
    if before is None or not isinstance(outcome, Committed) or outcome.head is None or outcome.head is before:
        return outcome
    _update_head(db, number, outcome.head, before)
    _write_events(db, number, commit.run, commit.events)
    if commit.consumed:
        read = [(*run_key(commit.run), message_id) for message_id in commit.consumed]
        db.executemany(f"UPDATE inbox SET message = NULL WHERE {RUN_IS} AND message_id = ?", read)
    return outcome


def purge(db: sqlite3.Connection, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
    number, found = _find(db, run)
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


def events(db: sqlite3.Connection, run: Run, from_seq: int, limit: int) -> list[h.Event]:
    select = f"SELECT seq, event FROM events WHERE head = {_ID} AND seq >= ? ORDER BY seq LIMIT ?"
    return read_events(run, cut_bytes(db.execute(select, (*run_key(run), from_seq, limit))))


def advance(db: sqlite3.Connection, run: Run, incarnation: bytes, newest: int) -> None:
    where = f"{RUN_IS} AND incarnation = ? AND newest < ?"
    db.execute(f"UPDATE heads SET newest = ? WHERE {where}", (newest, *run_key(run), incarnation, newest))


def add_hint(db: sqlite3.Connection, hint: Hint) -> None:
    db.execute("INSERT OR IGNORE INTO shard_hints VALUES (?,?,?,?,?)", (hint.shard, hint.due_ms, *run_key(hint.run)))


def hints(db: sqlite3.Connection, shard: int, after_ms: int, until_ms: int, limit: int) -> list[Hint]:
    select = "SELECT due_ms, namespace, saga, run FROM shard_hints WHERE shard = ? AND due_ms > ? AND due_ms <= ?"
    order = " ORDER BY due_ms, namespace, saga, run"
    found = db.execute(select + order + " LIMIT ?", (shard, after_ms, until_ms, limit + 1)).fetchall()
    if len(found) > limit:  # the last due_ms must be whole
        found = db.execute(select + order, (shard, after_ms, found[limit - 1][0])).fetchall()
    return hints_of(shard, cut_hints(found, limit))


def watermark(db: sqlite3.Connection, shard: int) -> int:
    found = db.execute("SELECT due_ms FROM watermarks WHERE shard = ?", (shard,)).fetchone()
    return int(found[0]) if found else 0


def set_watermark(db: sqlite3.Connection, shard: int, due_ms: int) -> None:
    moved = "INSERT INTO watermarks VALUES (?,?) ON CONFLICT DO UPDATE SET due_ms = max(due_ms, excluded.due_ms)"
    db.execute(moved, (shard, due_ms))
    passed = "(SELECT due_ms FROM watermarks WHERE shard = ?)"
    db.execute(f"DELETE FROM shard_hints WHERE shard = ? AND due_ms <= {passed}", (shard, shard))
