"""Making and migrating the tables, from any number of processes at once.

Cassandra orders changes of the schema on one node, not between nodes: two nodes that make one table at a time give it two
ids. So every process sends them to the same node, the first of those that are up by their ids, and a keyspace that is of
this version already sees none. A change that fails is sent again: each one does nothing where it was done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cassandra import DriverException
from cassandra.protocol import ErrorMessage

from durable_saga_server.journal import JournalError, JournalUnavailable, SchemaTooNew
from durable_saga_server.journal.cassandra import schema
from durable_saga_server.journal.cassandra.session import Session

log = logging.getLogger(__name__)
CHANGE_ATTEMPTS_MAX = 10
CHANGE_AGAIN_SECONDS = 0.5
INDEX_WAIT_SECONDS_MAX = 30.0
T = TypeVar("T")


async def make_keyspace(session: Session, keyspace: str, replication: str) -> None:
    if not await session.run(f"SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = '{keyspace}'"):
        await _change(session, f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}")


async def version_of(session: Session, keyspace: str) -> int:
    """0: there are no tables yet. Raises SchemaTooNew."""
    names = await session.run(f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'")
    if (session.table("journal_schema"),) not in names:
        return 0
    rows = await patiently(lambda: session.run("SELECT version FROM journal_schema WHERE one = 1"))
    version = int(rows[0][0]) if rows else 0
    if version > schema.SCHEMA_VERSION:
        raise SchemaTooNew(
            f"keyspace {keyspace} has schema version {version}, but this program only knows {schema.SCHEMA_VERSION}:"
            " upgrade durable-saga"
        )
    return version


async def make_tables(session: Session) -> None:
    """Wait for the indexes too, for a while: over a listing that is large they may take longer, and it answers later."""
    for text in (*schema.TABLES, *schema.CHANGES, *schema.INDEXES):
        await _change(session, text)
    waited = 0.0
    while not await _has_indexes(session):
        if waited >= INDEX_WAIT_SECONDS_MAX:
            log.warning("Cassandra is still building the indexes of the listing: filters work when the indexes are ready")
            return
        await asyncio.sleep(CHANGE_AGAIN_SECONDS)
        waited += CHANGE_AGAIN_SECONDS


async def _change(session: Session, text: str) -> None:
    await patiently(lambda: session.run_on(session.nodes()[0], text))


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What needs a schema that another process may be at, or that this node does not have yet. Raises JournalUnavailable."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return await work()
        except (JournalError, DriverException, ErrorMessage) as error:
            if attempt == CHANGE_ATTEMPTS_MAX:
                raise JournalUnavailable(f"Cassandra's schema is not what it should be: {error}") from error
            await asyncio.sleep(CHANGE_AGAIN_SECONDS)


async def _has_indexes(session: Session) -> bool:
    try:
        for one in schema.INDEX_PROBES:
            await session.run(f"SELECT day FROM listing WHERE namespace = '' AND day = 0 AND {one} LIMIT 1")
    except (JournalError, DriverException, ErrorMessage):
        return False
    return True
