"""A journal from a URL."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from durable_saga_server.journal import Journal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.sqlite import SqliteJournal

ACCEPTED = (
    "memory:, sqlite:///FILE, cassandra://HOST[:PORT][,HOST…]/KEYSPACE[?replication_factor=3&datacenter=NAME&tables=PREFIX]"
)


def open_journal(url: str, *, strict: bool = True) -> Journal:
    """The journal that the URL names, not yet connected. `strict` refuses a Cassandra with weak settings. Raises ValueError
    for a URL that names none, ImportError when the extra `cassandra` is not installed."""
    parts = urlsplit(url)
    if url == "memory:":
        return MemoryJournal()
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        return SqliteJournal(parts.path[1:])  # three slashes: a relative path; four: an absolute one
    keyspace = parts.path.strip("/")
    if parts.scheme == "cassandra" and parts.netloc and keyspace:
        from durable_saga_server.journal.cassandra import CassandraJournal  # an extra: a worker needs no driver

        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return CassandraJournal(
            parts.netloc.split(","),
            keyspace,
            strict=strict,
            replication_factor=int(options.get("replication_factor", "3")),
            datacenter=options.get("datacenter", ""),
            tables=options.get("tables", ""),
        )
    raise ValueError(f"{url!r} names no journal; accepted: {ACCEPTED}")
