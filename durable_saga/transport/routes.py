"""Which server of the cell serves which saga, as servers tell it (docs/cell.md). Pure; being wrong costs a detour."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from durable_saga.pb import cell_pb2


class Routes:
    """A *target* is what is connected to, a *server* is how a server of the cell calls itself. They differ where a name, a
    tunnel or a port mapping lies between: what was reached once is reached that way again."""

    def __init__(self, seeds: Sequence[str]) -> None:
        self.seeds = list(seeds)
        self._cell = cell_pb2.Cell()
        self._homes: list[str] = []
        self._at: dict[str, str] = {}
        self._balanced: set[str] = set()

    def learn(self, cell: cell_pb2.Cell, target: str) -> bool:
        """What the server that `target` led to has told. True: it changes something."""
        before = self._at.get(target)
        if cell.you_are_at and before not in (None, cell.you_are_at):
            self._balanced.add(target)  # it leads to one server or the other
        if cell.you_are_at:
            self._at[target] = cell.you_are_at
        told = cell_pb2.Cell(servers=cell.servers, homes=cell.homes)
        if not told.servers or told == self._cell:
            return before != self._at.get(target)
        self._cell = told
        self._homes = [told.servers[number] for number in told.homes]
        return True

    def servers(self) -> list[str]:
        """All of the cell, as far as anybody told; else the seeds."""
        return list(self._cell.servers) or self.seeds

    def targets(self) -> list[str]:
        """One for each server."""
        return list(dict.fromkeys(self.target(server) for server in self.servers()))

    def target(self, server: str) -> str:
        reached = (target for target, at in self._at.items() if at == server and target not in self._balanced)
        return next(reached, server)

    def server(self, target: str) -> str:
        """Who is there, as far as is known."""
        return self._at.get(target, target)

    def home(self, namespace: str, saga: str) -> str:
        """The server that a saga belongs to, "" when any will do."""
        if not self._homes:
            return ""
        return self._homes[zlib.crc32(f"{namespace}\0{saga}".encode()) % len(self._homes)]

    def order(self, request: Any) -> list[str]:
        """The targets to try for a request: the home of its saga, then the other servers, then the seeds."""
        key = request.key if "key" in request.DESCRIPTOR.fields_by_name and not isinstance(request.key, str) else request
        home = self.home(getattr(key, "namespace", ""), getattr(key, "saga", ""))
        first = [self.target(home)] if home else []
        return list(dict.fromkeys([*first, *self.targets(), *self.seeds]))
