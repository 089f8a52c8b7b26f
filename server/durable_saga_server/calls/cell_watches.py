"""The WatchCell calls: who wants to know the homes is told now and whenever they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from durable_saga.pb import cell_pb2
from durable_saga_server.access.caller import Caller
from durable_saga_server.cell import Cell
from durable_saga_server.failures import ServiceError


class CellWatches:
    """All of a server, until `close()`."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._watching: set[asyncio.Event] = set()
        self._stopping = False

    async def watch(self, caller: Caller | None = None) -> AsyncIterator[cell_pb2.Cell]:
        """The table of homes, now and whenever it changes, until this server stops. Raises ServiceError when its caller is no
        longer let in."""
        changed = asyncio.Event()
        over: list[ServiceError] = []

        def end(error: ServiceError) -> None:
            over.append(error)
            changed.set()

        if caller is not None:
            caller.over = end
        self._cell.on_change(changed.set)
        self._watching.add(changed)
        try:
            while not self._stopping:
                changed.clear()
                yield self._cell.view()
                await changed.wait()
                if over:
                    raise over[0]
        finally:
            self._watching.discard(changed)
            self._cell.off_change(changed.set)

    def close(self) -> None:
        self._stopping = True
        for changed in self._watching:
            changed.set()
