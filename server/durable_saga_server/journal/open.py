"""A journal from a URL."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import parse_qsl, urlsplit

from durable_saga.pb.redaction import redact
from durable_saga_server.journal import Journal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.sqlite_backup import schema_of
from durable_saga_server.journal.sqlite_rows import SCHEMA_VERSION

ACCEPTED = (
    "memory:, sqlite:///FILE, cassandra://HOST[:PORT][,HOST…]/KEYSPACE"
    "[?replication_factor=3&datacenter=NAME&tables=PREFIX&durability=replicas&commits=log]"
)
CASSANDRA_OPTIONS = ("replication_factor", "datacenter", "tables", "durability", "commits")


def open_journal(url: str, *, strict: bool = True) -> Journal:
    """The journal that the URL names, not yet connected. `strict` refuses a Cassandra with weak settings. Raises ValueError
    for a URL that names none, ImportError when the extra `cassandra` is not installed."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError(
            f"{redact(url)!r} holds a user or a password, and URLs end up in logs and process lists. Set"
            " DURABLE_SAGA_CASSANDRA_USER and DURABLE_SAGA_CASSANDRA_PASSWORD (or _PASSWORD_FILE) instead"
        )
    if url == "memory:":
        return MemoryJournal()
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1 and not parts.query:
        return SqliteJournal(parts.path[1:])  # three slashes: a relative path; four: an absolute one
    keyspace = parts.path.strip("/")
    if parts.scheme == "cassandra" and parts.netloc and keyspace:
        try:  # an extra: a worker needs no driver
            from durable_saga_server.journal.cassandra import CassandraJournal
            from durable_saga_server.journal.cassandra.access import Access
        except ModuleNotFoundError as error:
            raise ImportError(f"{error}: a Cassandra journal needs `pip install 'durable-saga[cassandra]'`") from error

        options = _options(parts.query, url)
        return CassandraJournal(
            parts.netloc.split(","),
            keyspace,
            strict=strict,
            replication_factor=_replicas(options.get("replication_factor", "3")),
            datacenter=options.get("datacenter", ""),
            tables=options.get("tables", ""),
            durability=options.get("durability", "synced"),
            commits=options.get("commits", "conditional"),
            access=Access.from_environment(os.environ),
        )
    raise ValueError(f"{redact(url)!r} isn't the URL of a journal; accepted: {ACCEPTED}")


async def schema_found(url: str) -> int:
    """The schema version that this journal has, 0: none. It is not opened, so nothing is migrated. Raises as open_journal()
    does, JournalError, and SchemaTooNew for a Cassandra of a newer version."""
    journal = open_journal(url, strict=False)
    if isinstance(journal, SqliteJournal):
        return await asyncio.to_thread(schema_of, urlsplit(url).path[1:])
    if isinstance(journal, MemoryJournal):
        return 0
    from durable_saga_server.journal.cassandra import CassandraJournal

    assert isinstance(journal, CassandraJournal)  # nosec B101: there are three
    return await journal.schema_version()


def schema_written(url: str) -> int:
    """The schema version that this program gives such a journal, 0: none. Raises ImportError."""
    scheme = urlsplit(url).scheme
    if scheme == "cassandra":
        from durable_saga_server.journal.cassandra import schema

        return schema.SCHEMA_VERSION
    return SCHEMA_VERSION if scheme == "sqlite" else 0


def _options(query: str, url: str) -> dict[str, str]:
    """Raises ValueError: an option that is silently ignored is one that somebody relies on."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in CASSANDRA_OPTIONS:
            raise ValueError(
                f"{redact(url)!r}: {name} isn't an option of a Cassandra journal: use {', '.join(CASSANDRA_OPTIONS)}"
            )
        if name in found:
            raise ValueError(f"{redact(url)!r}: {name} is given twice")
        found[name] = value
    return found


def _replicas(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 99:
        raise ValueError(f"replication_factor is {text!r}: give a number of replicas, 3 for production")
    return int(text)
