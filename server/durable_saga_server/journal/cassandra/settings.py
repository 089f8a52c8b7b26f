"""The check of the cluster's settings: of every live node, since each node reads a file of its own.

A node that is down, or does not answer, is named in a warning: a restart of a server does not wait for it. What costs time is a
warning too; what costs acknowledged data is refused, unless it was asked for by name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from durable_saga_server.journal import JournalError, WeakSettings
from durable_saga_server.journal.cassandra.session import Session

log = logging.getLogger(__name__)
REPLICATION_MIN = 3
SYNCED, REPLICAS = "synced", "replicas"
SETTINGS = "SELECT name, value FROM system_views.settings WHERE name IN ('paxos_variant', 'commitlog_sync')"


async def check_settings(session: Session, keyspace: str, *, strict: bool, durability: str = SYNCED) -> None:
    """Raises WeakSettings if `strict`; else weak ones are named in warnings. `durability`: "replicas" takes a commit log that
    syncs later than it answers."""
    weak: list[str] = []
    slow: list[str] = []
    for node in session.nodes():
        try:
            rows = await session.run_on(node, SETTINGS)
        except JournalError as error:
            log.warning("the settings of Cassandra node %s could not be checked: %s", node.endpoint, error)
            continue
        settings = {row[0]: row[1] for row in rows}
        slow += slow_node(str(node.endpoint), settings)
        unsynced = weak_node(str(node.endpoint), settings)
        if durability == REPLICAS:
            slow += [f"{one.partition(';')[0]} (durability=replicas was asked for)" for one in unsynced]
        else:
            weak += unsynced
    rows = await session.run(f"SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = '{keyspace}'")
    weak += weak_replication(keyspace, dict(rows[0][0]))
    if weak and strict:
        raise WeakSettings("; ".join(weak) + " (or start with --no-strict, in code strict=False, to run anyway)")
    for sentence in weak + slow:
        log.warning("Cassandra: %s", sentence)


async def check_read_repair(session: Session, keyspace: str) -> None:
    """A look at a log shows what one replica has, and so must leave it on a quorum. Raises WeakSettings."""
    rows = await session.run(f"SELECT table_name, read_repair FROM system_schema.tables WHERE keyspace_name = '{keyspace}'")
    for table, read_repair in rows:
        if table in (session.table("logs"), session.table("fences")) and read_repair != "BLOCKING":
            raise WeakSettings(
                f"table {keyspace}.{table} has read_repair = '{read_repair}', and commits=log needs 'BLOCKING': run"
                f" ALTER TABLE {keyspace}.{table} WITH read_repair = 'BLOCKING'"
            )


def weak_node(node: str, settings: Mapping[str, str]) -> list[str]:
    """What of a node's settings does not keep the promises, in words."""
    sync = settings.get("commitlog_sync", "unknown")
    if sync in ("group", "batch"):
        return []
    return [
        f"node {node}: commitlog_sync is {sync}, so what was acknowledged within its sync period is lost when all replicas"
        " lose power in it; write `commitlog_sync: group` and `commitlog_sync_group_window: 1ms` in its cassandra.yaml and"
        " restart it, or put `durability=replicas` into the journal's URL if you may not change the cluster"
    ]


def slow_node(node: str, settings: Mapping[str, str]) -> list[str]:
    """What of a node's settings costs time and nothing else."""
    paxos = settings.get("paxos_variant", "unknown")
    if paxos == "v2":
        return []
    return [
        f"node {node}: paxos_variant is {paxos}, which is safe and costs 1.6 times as much CPU for a conditional write;"
        " `paxos_variant: v2` in its cassandra.yaml makes it cheaper"
    ]


def weak_replication(keyspace: str, replication: Mapping[str, str]) -> list[str]:
    """The same of a keyspace's replication, as `system_schema.keyspaces` tells it."""
    copies = [int(value) for name, value in replication.items() if name != "class" and value.isdigit()]
    if copies and min(copies) >= REPLICATION_MIN:
        return []
    return [
        f"keyspace {keyspace} has {min(copies, default=0)} replicas, and {REPLICATION_MIN} are needed to"
        " survive the loss of one node; raise it with ALTER KEYSPACE … WITH replication, then run `nodetool repair --full`"
    ]
