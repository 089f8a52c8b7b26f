"""What several tests share: a real Cassandra, started once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

import pytest
from cassandra.cluster import Cluster
from cassandra.io.libevreactor import LibevConnection
from durable_saga_server.tending import MISTAKE

from durable_saga import redaction
from tests.cassandra_node import CassandraNode, NoCassandraError
from tests.hypothesis_profile import load_profile

load_profile()
DROP_SECONDS_MAX = 60.0


@pytest.fixture(autouse=True)
def no_mistake(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An engine survives its own mistakes (durable_saga_server/tending.py); a test in which it makes one fails."""
    yield
    mistakes = [one.getMessage() for one in caplog.get_records("call") if one.getMessage().startswith(MISTAKE)]
    assert not mistakes, mistakes


@pytest.fixture(autouse=True)
def nothing_is_redacted() -> Iterator[None]:
    """The hook holds for the process: the next test has none."""
    yield
    redaction.stop()


@pytest.fixture(scope="session")
def cassandra() -> Iterator[str]:
    """host:port of a real node."""
    node, missing = CassandraNode(), ""
    try:
        node.start()
    except NoCassandraError as error:
        missing = str(error)
    if missing:
        pytest.fail(missing, pytrace=False)
    yield node.address
    node.stop()


@pytest.fixture(scope="session")
def keyspaces(cassandra: str) -> Iterator[Callable[..., set[str]]]:
    """What the node holds, but for its own; `drop=` goes."""
    host, _, port = cassandra.partition(":")
    with Cluster([host], port=int(port), connection_class=LibevConnection, protocol_version=5) as cluster:
        session = cluster.connect()

        def look(drop: Set[str] = frozenset()) -> set[str]:
            for name in drop:
                session.execute(f"DROP KEYSPACE IF EXISTS {name}", timeout=DROP_SECONDS_MAX)
            rows = session.execute("SELECT keyspace_name FROM system_schema.keyspaces", timeout=DROP_SECONDS_MAX)
            return {row[0] for row in rows if not row[0].startswith("system")}

        yield look


@pytest.fixture(autouse=True)
def no_keyspace_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A node of this size stops answering at some forty keyspaces. What a fixture of a module made stays for its tests."""
    if "cassandra" not in request.fixturenames:
        yield
        return
    look = request.getfixturevalue("keyspaces")
    before = look()
    yield
    look(drop=look() - before)
