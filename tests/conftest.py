"""What several tests share: a real Cassandra, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cassandra_node import CassandraNode, NoCassandraError
from tests.hypothesis_profile import load_profile

load_profile()


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
