"""The tables of the SQLite journal, and how a head is a row of them. What reads rows runs inside the transaction of its caller.

A head has a number, and its events stand under it: runs that were started about the same time lie side by side in the file,
so a transaction of many runs writes few pages, whatever their names are.
"""

from __future__ import annotations

import json
import sqlite3

from durable_saga_server.journal import Attributes, Doing, Head, Run
from durable_saga_server.journal.rules import sub_state

SCHEMA_VERSION = 7
RUN_IS = "namespace = ? AND saga = ? AND run = ?"
HEAD_COLUMNS = (
    "namespace, saga, run, incarnation, saga_type, status, owner, epoch, next_seq, last_commit, started_ms, updated_ms,"
    " ended_ms, wake_at_ms, blocked, newest, attributes, build, paused,"
    " state, doing, failure_type, attempt, next_ms, since_ms"
)
NOTEWORTHY = "(status NOT IN (1, 2, 4) OR blocked <> '')"
"""What a partial index holds: `rules.is_noteworthy`, and runs that continue in another."""
IS_OPEN = "status IN (1, 2, 3, 9)"
_FORGET_ATTRIBUTES = "DELETE FROM search_attributes WHERE namespace = OLD.namespace AND saga = OLD.saga AND run = OLD.run;"
_STANDING = "namespace = {0}.namespace AND sub_state = {0}.sub_state AND saga_type = {0}.saga_type AND name = {0}.doing" \
    " AND failure_type = {0}.failure_type"  # fmt: skip
_NOT_AS_BEFORE = (
    "UPDATE standings SET count = count - 1 WHERE OLD.sub_state > 0 AND OLD.status IN (1, 2, 3, 9) AND "
    + _STANDING.format("OLD") + "; DELETE FROM standings WHERE count <= 0 AND " + _STANDING.format("OLD") + ";"
)  # fmt: skip
_AS_NOW = (
    "INSERT INTO standings SELECT NEW.namespace, NEW.sub_state, NEW.saga_type, NEW.doing, NEW.failure_type, 1"
    " WHERE NEW.sub_state > 0 AND NEW.status IN (1, 2, 3, 9) ON CONFLICT DO UPDATE SET count = count + 1;"
)
"""Triggers count, so that a server of an earlier version that ends a run is counted too. Most writes touch none of it."""
TABLES = f"""
CREATE TABLE IF NOT EXISTS journal_schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS heads (
  id INTEGER PRIMARY KEY, namespace TEXT, saga TEXT, run INTEGER, incarnation BLOB, saga_type TEXT, status INTEGER,
  owner TEXT, epoch INTEGER, next_seq INTEGER, last_commit BLOB, started_ms INTEGER, updated_ms INTEGER,
  ended_ms INTEGER, wake_at_ms INTEGER, blocked TEXT, newest INTEGER DEFAULT 0, attributes TEXT DEFAULT '',
  build TEXT DEFAULT '', paused TEXT DEFAULT '', state INTEGER DEFAULT 0, sub_state INTEGER DEFAULT 0,
  doing TEXT DEFAULT '', failure_type TEXT DEFAULT '', attempt INTEGER DEFAULT 0, next_ms INTEGER DEFAULT 0,
  since_ms INTEGER DEFAULT 0, UNIQUE (namespace, saga, run));
CREATE INDEX IF NOT EXISTS heads_by_start ON heads (namespace, started_ms DESC, saga, run);
CREATE INDEX IF NOT EXISTS heads_by_status ON heads (namespace, status, started_ms DESC, saga, run);
CREATE INDEX IF NOT EXISTS heads_of_build ON heads (namespace, build, started_ms DESC, saga, run)
  WHERE build <> '' AND {IS_OPEN};
CREATE INDEX IF NOT EXISTS heads_blocked ON heads (namespace, started_ms DESC, saga, run) WHERE blocked <> '';
CREATE INDEX IF NOT EXISTS heads_paused ON heads (namespace, started_ms DESC, saga, run) WHERE paused <> '';
CREATE INDEX IF NOT EXISTS heads_by_type ON heads (namespace, saga_type, status, started_ms DESC, saga, run);
CREATE INDEX IF NOT EXISTS heads_by_state ON heads (namespace, sub_state, started_ms DESC, saga, run) WHERE sub_state <> 0;
CREATE INDEX IF NOT EXISTS heads_by_failure ON heads (namespace, failure_type, started_ms DESC, saga, run)
  WHERE failure_type <> '';
CREATE INDEX IF NOT EXISTS heads_by_end ON heads (namespace, ended_ms) WHERE ended_ms <> 0;
CREATE TABLE IF NOT EXISTS standings (
  namespace TEXT, sub_state INTEGER, saga_type TEXT, name TEXT, failure_type TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (namespace, sub_state, saga_type, name, failure_type)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS heads_begun AFTER INSERT ON heads WHEN NEW.sub_state > 0 BEGIN {_AS_NOW} END;
CREATE TRIGGER IF NOT EXISTS heads_standing AFTER UPDATE OF status, sub_state, doing, failure_type ON heads
  WHEN OLD.sub_state > 0 OR NEW.sub_state > 0 BEGIN {_NOT_AS_BEFORE} {_AS_NOW} END;
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
  namespace TEXT, saga_type TEXT, status INTEGER, build TEXT, blocked INTEGER, paused INTEGER, count INTEGER NOT NULL,
  PRIMARY KEY (namespace, saga_type, status, build, blocked, paused)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
  namespace TEXT, group_name TEXT, item TEXT, until_ms INTEGER,
  PRIMARY KEY (namespace, group_name, item)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS switches (
  namespace TEXT, name TEXT, value BLOB NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
  namespace TEXT, saga TEXT, run INTEGER, digest BLOB, part INTEGER, written_ms INTEGER, chunk BLOB NOT NULL,
  PRIMARY KEY (namespace, saga, run, digest, part));
INSERT OR IGNORE INTO journal_schema VALUES (1, {SCHEMA_VERSION})
"""


def run_key(run: Run) -> tuple[str, str, int]:
    """What RUN_IS compares with."""
    return run.namespace, run.saga, run.run


def read_head(db: sqlite3.Connection, run: Run) -> Head | None:
    return find_head(db, run)[1]


def find_head(db: sqlite3.Connection, run: Run) -> tuple[int, Head | None]:
    """The head with its number."""
    row = db.execute(f"SELECT id, {HEAD_COLUMNS} FROM heads WHERE {RUN_IS}", run_key(run)).fetchone()
    return (0, None) if row is None else (row[0], head_of(row[1:]))


def head_of(row: tuple[object, ...]) -> Head:
    told = Doing(*row[-6:])  # type: ignore[arg-type]  # columns come untyped
    return Head(Run(*row[:3]), *row[3:-9], _attributes(row[-9]), *row[-8:-6], told)  # type: ignore[arg-type,call-arg]


def _attributes(text: object) -> Attributes:
    """None where they can't be read: the listing of the others goes on."""
    try:
        return tuple((str(name), str(value)) for name, value in json.loads(str(text))) if text else ()
    except (ValueError, TypeError):
        return ()


def values_of(head: Head) -> tuple[object, ...]:
    """For HEAD_COLUMNS and the sub-state."""
    return (
        head.run.namespace, head.run.saga, head.run.run, head.incarnation, head.saga_type, head.status, head.owner,
        head.epoch, head.next_seq, head.last_commit, head.started_ms, head.updated_ms, head.ended_ms, head.wake_at_ms,
        head.blocked, head.newest, json.dumps(head.attributes) if head.attributes else "", head.build,
        head.paused, *head.doing, sub_state(head),
    )  # fmt: skip
