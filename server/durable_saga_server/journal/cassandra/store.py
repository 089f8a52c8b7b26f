"""The journal on Cassandra: its parts put together, its tables made. Each facet is a part in a module of that name."""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga_server.clock import Clock, SystemClock
from durable_saga_server.journal.cassandra import migrating, schema
from durable_saga_server.journal.cassandra.access import Access
from durable_saga_server.journal.cassandra.chunks import CassandraChunks
from durable_saga_server.journal.cassandra.claims import CassandraClaims
from durable_saga_server.journal.cassandra.hints import BEGIN_EARLIER_MS, CassandraHints
from durable_saga_server.journal.cassandra.inbox import CassandraInbox
from durable_saga_server.journal.cassandra.index import CassandraIndex
from durable_saga_server.journal.cassandra.ledger import CassandraLedger
from durable_saga_server.journal.cassandra.listing import Listing
from durable_saga_server.journal.cassandra.members import CassandraMembers
from durable_saga_server.journal.cassandra.own_logs import OwnLogs
from durable_saga_server.journal.cassandra.purging import Purging
from durable_saga_server.journal.cassandra.runs import COMMITS_AT_ONCE_MAX, CassandraRuns
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.cassandra.settings import REPLICAS, SYNCED, check_read_repair, check_settings
from durable_saga_server.journal.cassandra.switches import CassandraSwitches

CONDITIONAL, LOGGED = "conditional", "log"


class CassandraJournal:
    """`hosts` are HOST or HOST:PORT. `tables` begins the names of our tables, where others live in the keyspace.
    `strict` refuses weak settings; otherwise they are named in a warning. `durability` is what a commit waits for: "synced",
    the disks of a quorum; "replicas", their memory, on a cluster whose commit log syncs later. `access`: user and TLS.
    `commits`: each step is a conditional write ("conditional"), or a row of a log ("log")."""

    batches_at_once = COMMITS_AT_ONCE_MAX

    def __init__(
        self,
        hosts: Sequence[str],
        keyspace: str,
        *,
        strict: bool = True,
        replication_factor: int = 3,
        datacenter: str = "",
        tables: str = "",
        durability: str = SYNCED,
        access: Access | None = None,
        commits: str = CONDITIONAL,
        clock: Clock | None = None,
    ) -> None:
        if durability not in (SYNCED, REPLICAS):
            raise ValueError(f"durability is {durability!r}: give {SYNCED!r} or {REPLICAS!r}")
        if commits not in (CONDITIONAL, LOGGED):
            raise ValueError(f"commits is {commits!r}: give {CONDITIONAL!r} or {LOGGED!r}")
        if not keyspace.replace("_", "").isalnum():
            raise ValueError(f"{keyspace!r} isn't a keyspace name: use letters, digits and _")
        if tables and not tables.replace("_", "").isalnum():
            raise ValueError(f"{tables!r} can't begin the names of tables: use letters, digits and _")
        self._session = Session(hosts, keyspace.lower(), datacenter=datacenter, tables=tables.lower(), access=access)
        self._keyspace = keyspace.lower()
        self._strict, self._durability = strict, durability
        replication = {"class": "NetworkTopologyStrategy", datacenter or "replication_factor": str(replication_factor)}
        self._replication = str(replication)
        self._clock = clock or SystemClock()
        session, clock = self._session, self._clock
        self._listing = Listing(session, clock)
        self.inbox = CassandraInbox(session, clock)
        self.hints = CassandraHints(session, clock)
        self.chunks = CassandraChunks(session)
        self.members = CassandraMembers(session)
        self.index = CassandraIndex(session, self._listing, clock)
        self.claims = CassandraClaims(session)
        self.switches = CassandraSwitches(session)
        self.ledger = CassandraLedger(session, clock)
        self._logs = OwnLogs(session, clock, writes=commits == LOGGED)
        purging = Purging(session, self._listing, self.index, self.chunks)
        self.runs = CassandraRuns(session, clock, self.hints, self.index, self._listing, purging, self._logs)

    async def initialize(self) -> None:
        session = self._session
        await session.open()
        try:
            await migrating.make_keyspace(session, self._keyspace, self._replication)
            await check_settings(session, self._keyspace, strict=self._strict, durability=self._durability)
            version = await migrating.version_of(session, self._keyspace)
            if version < schema.SCHEMA_VERSION:
                await migrating.make_tables(session)
            await migrating.patiently(session.prepare)
            if not version:
                await self.hints.begin(self._clock.now_ms() - BEGIN_EARLIER_MS)
            elif version < 3:
                await self.hints.take_over_unsharded()
            if version < schema.SCHEMA_VERSION:
                await session.run(f"INSERT INTO journal_schema (one, version) VALUES (1, {schema.SCHEMA_VERSION})")
            if self._logs.writes:
                await check_read_repair(session, self._keyspace)
            await self._logs.start()
        except BaseException:
            await session.close()
            raise

    async def schema_version(self) -> int:
        """What the keyspace has, and nothing is changed; 0: there are no tables yet. Instead of `initialize()`. Raises
        SchemaTooNew."""
        await self._session.open()
        try:
            return await migrating.version_of(self._session, self._keyspace)
        finally:
            await self._session.close()

    async def close(self) -> None:
        await self._logs.close()
        await self._listing.settle()
        await self._session.close()
