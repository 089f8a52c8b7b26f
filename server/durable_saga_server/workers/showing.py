"""Who works for a namespace, and what waits for whom, as this server sees it.

Every worker of a cell is connected to each of its servers, so one of them knows all. What is in the process of an embedded
engine is known by name and types alone, from the row of that member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from durable_saga.pb import client_pb2 as c
from durable_saga_server.cell import Cell
from durable_saga_server.failures import check_name, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.history.pausing import words
from durable_saga_server.journal import Tally
from durable_saga_server.means import Means
from durable_saga_server.workers.dispatch import Dispatcher
from durable_saga_server.workers.sessions import Session


class Showing:
    """`name`: what workers are told that this server is called."""

    def __init__(self, means: Means, name: str, cell: Cell, dispatcher: Dispatcher) -> None:
        self._journal, self._config, self._name, self._cell = means.journal, means.config, name, cell
        self._dispatcher, self._sessions = dispatcher, dispatcher.sessions

    @guard_journal
    async def workers(self, request: c.WorkersRequest) -> c.WorkersReply:
        """Raises ServiceError."""
        check_name("namespace", request.namespace, self._config.id_characters_max)
        tallies = await self._journal.index.tallies(request.namespace)
        still_open = Counter[str]()
        for one in tallies:
            if one.status in OPEN:
                still_open[one.saga_type] += one.count
        connected = [one for one in self._sessions if one.namespace == request.namespace and not one.closed]
        found = [*map(_view, connected), *self._elsewhere(request.namespace)]
        found.sort(key=lambda one: one.name)
        return c.WorkersReply(
            workers=found, types=self._types(request.namespace, found, still_open),
            server=self._name, servers=sum(bool(one.address) for one in self._cell.others()) + bool(self._cell.address),
        )  # fmt: skip

    def lacking(self, namespace: str, tallies: Iterable[Tally]) -> list[str]:
        """The types with open sagas that no connected worker runs, in order. None where workers are connected to servers that
        this engine is not one of: it knows nothing of them."""
        others = self._cell.others()
        if self._cell.is_embedded and any(one.address for one in others):
            return []
        served = {name for one in self._sessions if one.namespace == namespace for name in one.saga_types}
        served |= {name for one in self._elsewhere(namespace) for name in one.saga_types}
        return sorted({one.saga_type for one in tallies if one.status in OPEN and one.count} - served)

    def _elsewhere(self, namespace: str) -> Iterator[c.WorkerView]:
        for member in self._cell.others():
            types = [one.partition("/")[2] for one in member.saga_types if one.partition("/")[0] == namespace]
            if types and not member.address:
                for name in member.workers:
                    yield c.WorkerView(name=name, saga_types=sorted(types), seen_ms=member.seen_ms, elsewhere=True)

    def _types(self, namespace: str, found: list[c.WorkerView], still_open: Counter[str]) -> Iterator[c.TypeView]:
        """Those that have sagas, or workers."""
        running = Counter(saga_type for one in found for saga_type in one.saga_types)
        queued, paused = self._dispatcher.lengths_in(namespace), self._sessions.paused.of(namespace)
        for saga_type in sorted({*running, *queued, *(name for name, count in still_open.items() if count)}):
            yield c.TypeView(
                saga_type=saga_type, workers=running[saga_type], open=still_open[saga_type], queued=queued[saga_type],
                paused=words(paused[saga_type]) if saga_type in paused else "",
            )  # fmt: skip


def _view(one: Session) -> c.WorkerView:
    load = one.load
    return c.WorkerView(
        name=one.name, build=one.build, saga_types=sorted(one.saga_types), sagas=max(load.sagas, len(one.owned)),
        slots=load.slots, slots_used=load.slots_used, slots_waiting=load.slots_waiting, connected_ms=one.connected_ms,
        seen_ms=one.seen_ms, blocked_at=one.blocked_at, blocked_since_ms=one.blocked_since_ms, draining=one.draining,
        capacity=one.capacity,
    )  # fmt: skip
