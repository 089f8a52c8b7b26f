"""Which peers there are, by the names that PEERS takes."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable

from benchmarks.peers.embedded import SqliteFile
from benchmarks.peers.ours import OnCassandra, OnSqlite
from benchmarks.peers.peer import Environment, Peer, Server, Sizes
from benchmarks.peers.postgres import PostgresServer
from benchmarks.peers.processes import PLACE, run
from benchmarks.peers.restate import RestateServer
from benchmarks.peers.temporal import READS, READS_PER_SECOND, DevelopmentServer, FullServer, InCassandra, InPostgres

UVLOOP = "uvloop==0.23.0"  # ours has it, so all have it
RESTATE = Environment("restate", ("restate-sdk[serde]==1.3.0", "hypercorn==0.18.0", "httpx==0.28.1", UVLOOP))
DBOS = Environment("dbos", ("dbos==3.4.0", UVLOOP))
ABSURD = Environment("absurd", ("absurd-sdk==0.5.1", "absurdctl==0.5.1", UVLOOP))
TEMPORAL = Environment("temporal", ("temporalio==1.35.0", UVLOOP))
OURS = Environment()
DBOS_SQLITE = SqliteFile("SQLite: rollback journal, synchronous FULL (DBOS sets neither)")


def _absurd_schema(url: str) -> None:
    command = [ABSURD.python, PLACE / ABSURD.name / "bin" / "absurdctl"]
    run([*command, "init", "-d", url])
    run([*command, "create-queue", "-d", url, "bench"])


_AS_IT_COMES = functools.partial(DevelopmentServer, as_it_comes=True)
_TEMPORALS: dict[str, tuple[str, Callable[[], Server]]] = {
    "sqlite": ("Temporal, SQLite", DevelopmentServer),
    "postgres": ("Temporal, PostgreSQL", lambda: FullServer(InPostgres())),
    "cassandra": ("Temporal, Cassandra", lambda: FullServer(InCassandra())),
}


def _temporal(name: str, label: str, server: Callable[[], Server], *, local: bool = False) -> Callable[[Sizes], Peer]:
    note = "" if server is _AS_IT_COMES else f"{READS}={READS_PER_SECOND}"
    if local:
        note += "; local activities are recorded together when their workflow task ends, not one by one"
    return lambda sizes: Peer(name, label, "temporal", server(), TEMPORAL, sizes, options={"local": local}, note=note)


_MAKERS: dict[str, Callable[[Sizes], Peer]] = {
    "ours-sqlite": lambda sizes: Peer(
        "ours-sqlite", "durable-saga, SQLite, gRPC", "ours", OnSqlite(thick=False), OURS, sizes
    ),
    "ours-sqlite-thick": lambda sizes: Peer(
        "ours-sqlite-thick", "durable-saga, SQLite, thick", "ours", OnSqlite(thick=True), OURS, sizes, thick=True
    ),
    "ours-cassandra": lambda sizes: Peer(
        "ours-cassandra", "durable-saga, Cassandra, gRPC", "ours", OnCassandra(), OURS, sizes
    ),
    "restate": lambda sizes: Peer("restate", "Restate", "restate", RestateServer(), RESTATE, sizes),
    "dbos-sqlite": lambda sizes: Peer("dbos-sqlite", "DBOS, SQLite, in process", "dbos", DBOS_SQLITE, DBOS, sizes, thick=True),
    "dbos-postgres": lambda sizes: Peer(
        "dbos-postgres", "DBOS, PostgreSQL", "dbos", PostgresServer(), DBOS, sizes, thick=True
    ),
    **{f"temporal-{name}": _temporal(f"temporal-{name}", label, maker) for name, (label, maker) in _TEMPORALS.items()},
    **{
        f"temporal-{name}-local": _temporal(f"temporal-{name}-local", f"{label}, local", maker, local=True)
        for name, (label, maker) in _TEMPORALS.items()
    },
    "temporal-sqlite-as-is": _temporal("temporal-sqlite-as-is", "Temporal, SQLite, no setting", _AS_IT_COMES),
    "absurd": lambda sizes: Peer("absurd", "absurd, PostgreSQL", "absurd", PostgresServer(_absurd_schema), ABSURD, sizes),
}  # fmt: skip
NAMES = tuple(_MAKERS)


def peers(names: list[str], sizes: Sizes) -> list[Peer]:
    """Raises ValueError for a name that there is not."""
    unknown = [name for name in names if name not in _MAKERS]
    if unknown:
        raise ValueError(f"PEERS: there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return [_MAKERS[name](sizes) for name in names]


def run_folder(peer: Peer, number: int) -> pathlib.Path:
    """On the disk of the project: a temporary folder may lie in memory."""
    return PLACE / "runs" / f"{peer.name}-{number}"
