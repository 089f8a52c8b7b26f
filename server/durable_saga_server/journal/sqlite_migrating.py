"""From the tables of an earlier version to those of this one, in the transaction of the caller."""

from __future__ import annotations

import logging
import sqlite3

from durable_saga_server.journal import Hint, Run, SchemaTooNew
from durable_saga_server.journal.sqlite_hints import add_hint
from durable_saga_server.journal.sqlite_ledger import make_tables
from durable_saga_server.journal.sqlite_rows import HEAD_COLUMNS, IS_OPEN, SCHEMA_VERSION, TABLES

log = logging.getLogger(__name__)


def migrate(db: sqlite3.Connection) -> None:
    """Make the tables. Raises SchemaTooNew before it touches anything."""
    there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal_schema'").fetchone()
    version = SCHEMA_VERSION
    if there is not None:
        (version,) = db.execute("SELECT version FROM journal_schema").fetchone()
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"the journal has schema version {version}, but this program only knows {SCHEMA_VERSION}: upgrade durable-saga"
            )
    if there is not None and version < 3:
        db.execute("ALTER TABLE heads ADD COLUMN newest INTEGER DEFAULT 0")
    if there is not None and version < 4:
        db.execute("ALTER TABLE heads ADD COLUMN attributes TEXT DEFAULT ''")
    if there is not None and version < 6:
        for column in ("build", "paused"):
            db.execute(f"ALTER TABLE heads ADD COLUMN {column} TEXT DEFAULT ''")
        db.execute("DROP INDEX IF EXISTS heads_by_change")
        db.execute("DROP TABLE IF EXISTS tallies")
    if there is not None and version < 7:
        for column in ("state", "sub_state", "attempt", "next_ms", "since_ms"):
            db.execute(f"ALTER TABLE heads ADD COLUMN {column} INTEGER DEFAULT 0")
        for column in ("doing", "failure_type"):
            db.execute(f"ALTER TABLE heads ADD COLUMN {column} TEXT DEFAULT ''")
    if version < 5:
        _set_aside(db)
    for statement in TABLES.split(";\n"):
        db.execute(statement)
    make_tables(db)
    if version < 5:
        _number(db)
    if version < 6:
        _count(db)
    if version < 7:
        _tell_standing(db)
    if version < 3:  # version 2 had hints without shards
        for row in db.execute("SELECT due_ms, namespace, saga, run FROM hints").fetchall():
            add_hint(db, Hint(row[0], Run(*row[1:])))
        db.execute("DROP TABLE hints")
        db.execute("DROP TABLE watermark")
    db.execute("UPDATE journal_schema SET version = ?", (SCHEMA_VERSION,))


def _set_aside(db: sqlite3.Connection) -> None:
    """Version 4 named the run in each event."""
    (events,) = db.execute("SELECT count(*) FROM events").fetchone()
    if events:
        log.warning(
            "the journal is being migrated to schema version 5: %s events are copied, about 400,000 a second", f"{events:,}"
        )
    db.execute("DROP TRIGGER IF EXISTS heads_removed")
    for index in ("heads_by_start", "heads_by_status", "heads_by_change"):
        db.execute(f"DROP INDEX IF EXISTS {index}")
    for table in ("heads", "events"):
        db.execute(f"ALTER TABLE {table} RENAME TO {table}_4")


def _count(db: sqlite3.Connection) -> None:
    """Version 5 counted without builds, and blocked runs with the others."""
    kind = f"namespace, saga_type, status, '', {IS_OPEN} AND blocked <> '', 0"
    db.execute(f"INSERT INTO tallies SELECT {kind}, count(*) FROM heads GROUP BY 1, 2, 3, 5")


def _tell_standing(db: sqlite3.Connection) -> None:
    """Version 6 knew what blocks, pauses or holds a run, and not yet what its worker tells of it."""
    known = "CASE WHEN blocked <> '' THEN 1 WHEN paused <> '' THEN 2 WHEN status = 3 THEN 3 WHEN status = 9 THEN 4 ELSE 14 END"
    db.execute(f"UPDATE heads SET sub_state = {known} WHERE {IS_OPEN} AND (status <> 1 OR blocked <> '' OR paused <> '')")


def _number(db: sqlite3.Connection) -> None:
    """Runs get their numbers in the order in which they were started."""
    db.execute(f"INSERT INTO heads ({HEAD_COLUMNS}) SELECT {HEAD_COLUMNS} FROM heads_4 ORDER BY started_ms, saga, run")
    numbered = "SELECT id, seq, event FROM heads CROSS JOIN events_4 USING (namespace, saga, run) ORDER BY id, seq"
    db.execute(f"INSERT INTO events {numbered}")
    for table in ("heads_4", "events_4"):
        db.execute(f"DROP TABLE {table}")
