"""What several tests share: a real Cassandra, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from durable_saga_server.tending import MISTAKE

from durable_saga import redaction
from tests.cassandra_node import CassandraNode, NoCassandraError
from tests.hypothesis_profile import load_profile

load_profile()


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
