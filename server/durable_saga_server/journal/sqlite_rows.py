"""The rows of the SQLite journal: every function runs inside the transaction of its caller and decides by `rules`."""

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
    Outcome,
    Run,
    SchemaTooNew,
)
from durable_saga_server.journal.rules import cut_hints, decide_acquire, decide_commit, decide_purge, hints_of, keys_in

SCHEMA_VERSION = 4
RUN_IS = "namespace = ? AND saga = ? AND run = ?"
HEAD_COLUMNS = (
    "namespace, saga, run, incarnation, saga_type, status, owner, epoch, next_seq, last_commit, started_ms, updated_ms,"
    " ended_ms, wake_at_ms, blocked, newest, attributes"
)
NOTEWORTHY = "status NOT IN (1, 2, 4)"
"""What the partial index holds: `rules.NOTEWORTHY`, and runs that continue in another."""
_UPDATE = (
    "UPDATE heads SET owner = :owner, epoch = :epoch, next_seq = :next_seq, last_commit = :last_commit,"
    " updated_ms = :updated_ms, ended_ms = :ended_ms, wake_at_ms = :wake_at_ms, blocked = :blocked, attributes = :attributes"
)
_WHERE = " WHERE namespace = :namespace AND saga = :saga AND run = :run"
_UPDATE_HEAD = _UPDATE + _WHERE
"""Leaves the indexes of status alone, which most writes do not change."""
_UPDATE_HEAD_AND_STATUS = _UPDATE + ", status = :status" + _WHERE
_FORGET_ATTRIBUTES = "DELETE FROM search_attributes WHERE namespace = OLD.namespace AND saga = OLD.saga AND run = OLD.run;"
_TABLES = f"""
CREATE TABLE IF NOT EXISTS journal_schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS heads (
  namespace TEXT, saga TEXT, run INTEGER, incarnation BLOB, saga_type TEXT, status INTEGER, owner TEXT, epoch INTEGER,
  next_seq INTEGER, last_commit BLOB, started_ms INTEGER, updated_ms INTEGER, ended_ms INTEGER, wake_at_ms INTEGER,
  blocked TEXT, newest INTEGER DEFAULT 0, attributes TEXT DEFAULT '', PRIMARY KEY (namespace, saga, run)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS heads_by_start ON heads (namespace, started_ms DESC, saga, run);
CREATE INDEX IF NOT EXISTS heads_by_status ON heads (namespace, status, started_ms DESC, saga, run);
CREATE TABLE IF NOT EXISTS events (
  namespace TEXT, saga TEXT, run INTEGER, seq INTEGER, event BLOB NOT NULL,
  PRIMARY KEY (namespace, saga, run, seq)) WITHOUT ROWID;
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


def migrate(db: sqlite3.Connection) -> None:
    """Make the tables. Raises SchemaTooNew before it touches anything."""
    there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal_schema'").fetchone()
    version = SCHEMA_VERSION
    if there is not None:
        (version,) = db.execute("SELECT version FROM journal_schema").fetchone()
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"the journal has schema version {version}, this program knows {SCHEMA_VERSION}: upgrade durable-saga"
            )
    if there is not None and version < 3:
        db.execute("ALTER TABLE heads ADD COLUMN newest INTEGER DEFAULT 0")
    if there is not None and version < 4:
        db.execute("ALTER TABLE heads ADD COLUMN attributes TEXT DEFAULT ''")
    for statement in _TABLES.split(";\n"):
        db.execute(statement)
    if version < 2:  # version 1 counted nothing
        db.execute("DELETE FROM tallies")
        counted = "SELECT namespace, saga_type, status, count(*) FROM heads GROUP BY namespace, saga_type, status"
        db.execute(f"INSERT INTO tallies {counted}")
    if version < 3:  # version 2 had hints without shards
        for row in db.execute("SELECT due_ms, namespace, saga, run FROM hints").fetchall():
            add_hint(db, Hint(row[0], Run(*row[1:])))
        db.execute("DROP TABLE hints")
        db.execute("DROP TABLE watermark")
    db.execute("UPDATE journal_schema SET version = ?", (SCHEMA_VERSION,))


def read_head(db: sqlite3.Connection, run: Run) -> Head | None:
    row = db.execute(f"SELECT {HEAD_COLUMNS} FROM heads WHERE {RUN_IS}", run_key(run)).fetchone()
    return None if row is None else head_of(row)


def head_of(row: tuple[object, ...]) -> Head:
    attributes = tuple((name, text) for name, text in json.loads(str(row[-1]))) if row[-1] else ()
    return Head(Run(*row[:3]), *row[3:-1], attributes)  # type: ignore[arg-type,call-arg]


def _values(head: Head) -> tuple[object, ...]:
    return (
        head.run.namespace, head.run.saga, head.run.run, head.incarnation, head.saga_type, head.status, head.owner,
        head.epoch, head.next_seq, head.last_commit, head.started_ms, head.updated_ms, head.ended_ms, head.wake_at_ms,
        head.blocked, head.newest, json.dumps(head.attributes) if head.attributes else "",
    )  # fmt: skip


def _write_head(db: sqlite3.Connection, head: Head, before: Head | None = None) -> None:
    if before is None:
        db.execute(f"INSERT INTO heads ({HEAD_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", _values(head))
    else:
        db.execute(_UPDATE_HEAD if before.status == head.status else _UPDATE_HEAD_AND_STATUS, _changed(head))
    if head.attributes != (before.attributes if before is not None else ()):
        _write_attributes(db, head)
    if before is not None and before.status == head.status:
        return
    tally = "INSERT INTO tallies VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
    db.execute(tally, (head.run.namespace, head.saga_type, head.status, 1))
    if before is not None:
        db.execute(tally, (head.run.namespace, head.saga_type, before.status, -1))


def _changed(head: Head) -> dict[str, object]:
    """What a write may change; the rest of a head stays as it was made."""
    return {
        "namespace": head.run.namespace, "saga": head.run.saga, "run": head.run.run, "status": head.status,
        "owner": head.owner, "epoch": head.epoch, "next_seq": head.next_seq, "last_commit": head.last_commit,
        "updated_ms": head.updated_ms, "ended_ms": head.ended_ms, "wake_at_ms": head.wake_at_ms, "blocked": head.blocked,
        "attributes": json.dumps(head.attributes) if head.attributes else "",
    }  # fmt: skip


def _write_attributes(db: sqlite3.Connection, head: Head) -> None:
    run = run_key(head.run)
    db.execute(f"DELETE FROM search_attributes WHERE {RUN_IS}", run)
    rows = [(run[0], name, text, head.started_ms, *run[1:]) for name, text in head.attributes]
    db.executemany("INSERT INTO search_attributes VALUES (?,?,?,?,?,?)", rows)


def _write_events(db: sqlite3.Connection, run: Run, events: Sequence[h.Event]) -> None:
    db.executemany(
        "INSERT INTO events VALUES (?,?,?,?,?)",
        [(run.namespace, run.saga, run.run, event.seq, event.SerializeToString()) for event in events],
    )
    for key in keys_in(events):
        db.execute("INSERT OR IGNORE INTO keys VALUES (?,?,?,?)", (run.namespace, key, run.saga, run.run))


def create(db: sqlite3.Connection, head: Head, event: h.Event, hint: Hint | None) -> Created | Exists:
    if hint is not None:
        add_hint(db, hint)
    if (there := read_head(db, head.run)) is not None:
        return Exists(there)
    _write_head(db, head)
    _write_events(db, head.run, [event])
    return Created(head)


def acquire(db: sqlite3.Connection, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
    before = read_head(db, run)
    outcome = decide_acquire(before, incarnation, epoch, owner, now_ms)
    if isinstance(outcome, Committed) and outcome.head is not None:
        _write_head(db, outcome.head, before)
    return outcome


def commit(db: sqlite3.Connection, commit: Commit) -> Outcome:
    before = read_head(db, commit.run)
    outcome = decide_commit(before, commit)
    if isinstance(outcome, Committed) and outcome.head is not None and outcome.head is not before:
        _write_head(db, outcome.head, before)
        _write_events(db, commit.run, commit.events)
        db.executemany(
            f"UPDATE inbox SET message = NULL WHERE {RUN_IS} AND message_id = ?",
            [(*run_key(commit.run), message_id) for message_id in commit.consumed],
        )
    return outcome


def purge(db: sqlite3.Connection, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
    outcome = decide_purge(read_head(db, run), incarnation)
    if not isinstance(outcome, Committed) or (head := outcome.head) is None:
        return outcome
    key = run_key(run)
    for (event,) in db.execute(f"SELECT event FROM events WHERE {RUN_IS}", key).fetchall():
        for name in keys_in([h.Event.FromString(event)]):
            where = "namespace = ? AND key = ? AND saga = ? AND run = ?"
            db.execute(f"DELETE FROM keys WHERE {where}", (run.namespace, name, run.saga, run.run))
    for table in ("events", "inbox", "heads"):
        db.execute(f"DELETE FROM {table} WHERE {RUN_IS}", key)
    db.execute(f"DELETE FROM chunks WHERE {RUN_IS} AND written_ms < ?", (*key, before_ms))
    tally = "UPDATE tallies SET count = count - 1 WHERE namespace = ? AND saga_type = ? AND status = ?"
    db.execute(tally, (run.namespace, head.saga_type, head.status))
    return outcome


def events(db: sqlite3.Connection, run: Run, from_seq: int, limit: int) -> list[h.Event]:
    found = db.execute(
        f"SELECT event FROM events WHERE {RUN_IS} AND seq >= ? ORDER BY seq LIMIT ?", (*run_key(run), from_seq, limit)
    )
    return [h.Event.FromString(event) for (event,) in found]


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
