"""The driver, bridged to asyncio: libev's thread calls back, one hop brings the answers that have come to the loop.

Two profiles: conditional writes, which are never retried or speculated by the driver, and plain ones. What a failed
conditional write means is decided in `outcome_of`: refused before it was sent, or unknown.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    CoordinationFailure,
    DriverException,
    OperationTimedOut,
    RequestValidationException,
    Timeout,
    Unavailable,
    UnsupportedOperation,
    protocol,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException, DefaultEndPoint
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    LoadBalancingPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import ErrorMessage, IsBootstrappingErrorMessage, OverloadedErrorMessage
from cassandra.query import BatchStatement, BatchType, tuple_factory

from durable_saga.pb.redaction import redact
from durable_saga_server.journal import JournalError, JournalUnavailable, Unknown
from durable_saga_server.journal.cassandra.access import PREFIX, Access
from durable_saga_server.journal.cassandra.answers import Answer, Answers
from durable_saga_server.journal.cassandra.schema import STATEMENTS

REQUEST_SECONDS_MAX = 10.0
CONDITIONAL = "conditional"
NODE_LOOKS_MAX = 50
NODE_LOOK_SECONDS = 0.1
_TABLE = re.compile(r"\b(FROM|INTO|UPDATE|ON|TABLE IF NOT EXISTS|TABLE IF EXISTS) (\w+)\b(?!\.)")
_INDEX = re.compile(r"\b(INDEX IF NOT EXISTS) (\w+)\b")
_REFUSED = (Unavailable, OverloadedErrorMessage, IsBootstrappingErrorMessage)
_UNSETTLED = (
    OperationTimedOut, Timeout, CoordinationFailure, ConnectionException, NoHostAvailable, OSError, ErrorMessage,
)  # fmt: skip
"""ErrorMessage: what a node says when something fails in it that the protocol has no name for."""
_NOT_UNDERSTOOD = (RequestValidationException, protocol.RequestValidationException, UnsupportedOperation)
"""A table that is not there, a right that is missing: repeating it does not help, somebody has to act."""


class Session:
    """Connected from `open()` to `close()`."""

    def __init__(
        self, hosts: Sequence[str], keyspace: str, *, datacenter: str, tables: str = "", access: Access | None = None
    ) -> None:  # fmt: skip
        self._access = access or Access()
        self._keyspace, self._tables = keyspace, tables
        self._hosts = [_endpoint(host) for host in hosts]
        self._datacenter = datacenter
        balance: LoadBalancingPolicy = DCAwareRoundRobinPolicy(datacenter) if datacenter else RoundRobinPolicy()
        plain = ConsistencyLevel.LOCAL_QUORUM if datacenter else ConsistencyLevel.QUORUM
        serial = ConsistencyLevel.LOCAL_SERIAL if datacenter else ConsistencyLevel.SERIAL
        self.serial = serial
        profile = {
            "load_balancing_policy": TokenAwarePolicy(balance),
            "request_timeout": REQUEST_SECONDS_MAX,
            "row_factory": tuple_factory,
            "consistency_level": plain,
            "serial_consistency_level": serial,
        }
        self._profiles = {
            EXEC_PROFILE_DEFAULT: ExecutionProfile(**profile),
            CONDITIONAL: ExecutionProfile(**profile, retry_policy=FallthroughRetryPolicy()),
        }
        self._cluster: Cluster | None = None
        self._session: Any = None
        self._prepared: dict[str, Any] = {}
        self._answers: Answers | None = None

    async def open(self) -> None:
        """All that is asked later is asked on this loop. Raises JournalUnavailable."""
        await self.close()  # of a start before, which did not come to its end
        self._answers = Answers(asyncio.get_running_loop())
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        access = self._access
        login = PlainTextAuthProvider(access.user, access.password) if access.user else None
        where: dict[str, Any] = {"contact_points": [DefaultEndPoint(host, port) for host, port in self._hosts]}
        if access.bundle:
            where = {"cloud": {"secure_connect_bundle": access.bundle}}
        elif len(ports := {port for _, port in self._hosts}) == 1:
            where["port"] = ports.pop()  # of the nodes that the cluster tells of
        with _bundled(access.bundle):
            cluster = Cluster(
                **where,
                auth_provider=login,
                ssl_context=access.tls,
                sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
                execution_profiles=self._profiles,
                connection_class=LibevConnection,
                connect_timeout=REQUEST_SECONDS_MAX,
                protocol_version=5,
            )
        try:
            self._session = cluster.connect()
        except NoHostAvailable as error:
            cluster.shutdown()
            raise _cannot_connect(error, ", ".join(f"{host}:{port}" for host, port in self._hosts), access) from error
        self._cluster = cluster

    async def close(self) -> None:
        if self._cluster is not None:
            await asyncio.to_thread(self._cluster.shutdown)
            self._cluster = None

    async def prepare(self) -> None:
        def prepare() -> dict[str, Any]:
            return {name: self._session.prepare(self._qualified(text)) for name, text in STATEMENTS.items()}

        with _named():
            self._prepared = await asyncio.to_thread(prepare)
        self._prepared["head"].consistency_level = self.serial

    async def run(self, text: str) -> list[tuple[Any, ...]]:
        """A statement of the schema, by text. Raises JournalUnavailable."""
        return await self._settled(self._qualified(text), EXEC_PROFILE_DEFAULT)

    def nodes(self) -> list[Any]:
        """The nodes that are up, of our data centre if it is named, in the order of their ids: alike for all who look."""
        assert self._cluster is not None, "opened before"
        found = [host for host in self._cluster.metadata.all_hosts() if host.is_up is not False]
        ours = [host for host in found if self._datacenter in ("", host.datacenter)]
        return sorted(ours or found, key=lambda host: str(host.host_id or host.endpoint))

    async def run_on(self, node: Any, text: str) -> list[tuple[Any, ...]]:
        """A statement by text, on that node and no other. Raises JournalUnavailable."""
        for _ in range(NODE_LOOKS_MAX):
            if node in self._session.get_pool_state():
                break
            await asyncio.sleep(NODE_LOOK_SECONDS)  # the driver connects to one node first, and to the others meanwhile
        return await self._settled(self._qualified(text), EXEC_PROFILE_DEFAULT, node)

    def table(self, name: str) -> str:
        """The name of a table of ours as the keyspace has it."""
        return self._tables + name

    def _qualified(self, text: str) -> str:
        """Our tables and indexes by their full names."""
        text = _INDEX.sub(rf"\1 {self._tables}\2", text)
        return _TABLE.sub(rf"\1 {self._keyspace}.{self._tables}\2", text)

    async def read(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        """A prepared plain statement. Raises JournalUnavailable."""
        return await self._settled(self._prepared[name].bind(values), EXEC_PROFILE_DEFAULT)

    async def select(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """A plain statement by text, which is prepared when it first comes; there is a bounded number of them. Raises
        JournalUnavailable."""
        if text not in self._prepared:
            with _named():
                self._prepared[text] = await asyncio.to_thread(self._session.prepare, self._qualified(text))
        return await self.read(text, *values)

    async def write_together(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """A prepared plain write of several rows of one partition, all or none. Raises JournalUnavailable."""
        batch = BatchStatement(BatchType.UNLOGGED)
        for values in rows:
            batch.add(self._prepared[name], values)
        await self._settled(batch, EXEC_PROFILE_DEFAULT)

    async def conditional(self, *parts: tuple[str, Sequence[Any]]) -> tuple[bool, dict[str, Any]] | Unknown:
        """A conditional batch on one partition: whether it was applied, and the row that was in its way. Raises
        JournalUnavailable when it was refused before it did anything."""
        if len(parts) == 1:
            statement: Any = self._prepared[parts[0][0]].bind(parts[0][1])
        else:
            statement = BatchStatement(BatchType.LOGGED, serial_consistency_level=self.serial)
            for name, values in parts:
                statement.add(self._prepared[name], values)
        try:
            rows, names = await self._send(statement, CONDITIONAL)
        except _REFUSED as error:
            raise JournalUnavailable(f"Cassandra refused a write: {error}") from error
        except _NOT_UNDERSTOOD as error:
            raise JournalError(f"Cassandra did not accept a write: {error}") from error
        except _UNSETTLED as error:
            return Unknown(f"{type(error).__name__}: {error}")
        row = dict(zip(names, rows[0], strict=True))
        return bool(row.pop("[applied]", row.pop("applied", False))), row

    async def _settled(self, statement: Any, profile: Any, node: Any = None) -> list[tuple[Any, ...]]:
        with _named():
            return (await self._send(statement, profile, node))[0]

    async def _send(self, statement: Any, profile: Any, node: Any = None) -> Answer:
        assert self._answers is not None, "opened before"
        answers, future = self._answers, self._answers.expect()
        response = self._session.execute_async(statement, execution_profile=profile, host=node)
        collected: list[tuple[Any, ...]] = []

        def arrived(rows: Any) -> None:
            collected.extend(rows or ())
            if response.has_more_pages:
                response.start_fetching_next_page()
            else:
                answers.tell(future, (collected, list(response._col_names or ())))

        def failed(error: BaseException) -> None:
            answers.tell(future, error)

        response.add_callbacks(arrived, failed)
        return await future


@contextmanager
def _named() -> Iterator[None]:
    """The errors of what may be asked again at any time, as ours."""
    try:
        yield
    except _NOT_UNDERSTOOD as error:
        raise JournalError(f"Cassandra did not accept a statement: {error}") from error
    except (*_REFUSED, *_UNSETTLED) as error:
        raise JournalUnavailable(f"Cassandra does not answer: {type(error).__name__}: {error}") from error


@contextmanager
def _bundled(bundle: str) -> Iterator[None]:
    """A bundle is opened, and the service that it names asked for the nodes, when the cluster is made."""
    try:
        yield
    except (DriverException, OSError, ValueError, KeyError) as error:
        if not bundle:
            raise
        if isinstance(error, DriverException):
            raise JournalUnavailable(f"the service of the bundle {bundle} does not answer: {error}") from error
        raise JournalError(f"the driver can't use the bundle {bundle}: {type(error).__name__}: {error}") from error


def _cannot_connect(error: NoHostAvailable, hosts: str, access: Access) -> JournalError:
    """Nobody is there, or somebody who does not want us: the second does not get better by waiting."""
    causes = list(error.errors.values()) if isinstance(error.errors, dict) else []
    words = "; ".join(dict.fromkeys(redact(f"{type(one).__name__}: {one}") for one in causes)) or redact(str(error))
    if any(isinstance(one, AuthenticationFailed) for one in causes):
        advice = "check" if access.user else "give a user: set"
        return JournalError(f"Cassandra at {hosts} refused the login ({words}): {advice} {PREFIX}USER and {PREFIX}PASSWORD")
    if any(isinstance(one, ssl.SSLError) or "[SSL:" in str(one) for one in causes):  # the driver keeps some as text
        return JournalError(f"no TLS with Cassandra at {hosts} ({words}): check {PREFIX}CA, _CERT, _KEY, and the node's names")
    clear = "" if access.tls or access.bundle else f"; if the cluster only speaks TLS, set {PREFIX}CA"
    return JournalUnavailable(f"no Cassandra answers at {hosts} ({words}){clear}")


def _endpoint(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    if not name or (port and not port.isdigit()):
        raise ValueError(f"{host!r} isn't HOST or HOST:PORT of a Cassandra node")
    return name, int(port or 9042)
