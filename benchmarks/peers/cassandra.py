"""The one Cassandra node that both we and Temporal are measured on: that of the tests, started anew for each peer."""

from __future__ import annotations

import re

from benchmarks.peers.processes import Failed, until_listens
from tests.cassandra_node import FOLDER, CassandraNode, NoCassandraError


class SharedNode:
    durability = "Cassandra: one node, commit log synced before it answers (group, 1 ms), Paxos v2"

    def __init__(self) -> None:
        self._node: CassandraNode | None = None

    def start(self) -> None:
        """Raises Failed."""
        self._node = CassandraNode(commitlog="group")
        try:
            self._node.start()
        except NoCassandraError as error:
            raise Failed(str(error)) from error
        until_listens(int(self._node.address.rpartition(":")[2]))  # its log says so a moment earlier

    def stop(self) -> None:
        if self._node is not None:
            self._node.stop()
            self._node = None

    @property
    def address(self) -> str:
        assert self._node is not None, "it was started"
        return self._node.address

    def pids(self) -> list[int]:
        return [self._node.pid] if self._node is not None else []

    def versions(self) -> dict[str, str]:
        jars = (re.match(r"cassandra-all-(.+)\.jar", file.name) for file in (FOLDER / "lib").glob("cassandra-all-*"))
        return {"Cassandra": next((found[1] for found in jars if found), "?")}
