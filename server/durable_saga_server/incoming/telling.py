"""What a server tells of itself: whether it is ready, how many sagas are open and since when the oldest waits for a person.

It is ready while the journal takes the sign of life that a member of the cell writes every two seconds. What is counted in the
journal is asked for by a loop of its own, only while somebody may read it, and never for more than a fiftieth of the time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga.pb.versions import versions
from durable_saga.telemetry import catalogue as metrics
from durable_saga.telemetry.health import Health
from durable_saga.telemetry.instruments import Labels, Observed, Watching
from durable_saga.telemetry.telling import Telling
from durable_saga_server.clock import Machine
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal import Filter, JournalError
from durable_saga_server.journal.measured import watching_files
from durable_saga_server.journal.open import schema_written
from durable_saga_server.service import HistoryService
from durable_saga_server.tending import tend

log = logging.getLogger(__name__)
SHOW_SECONDS = 1.0
COUNT_SECONDS = 15.0
OLDEST_LISTED_MAX = 1_000
"""So many sagas that are stuck or held are looked at for the oldest one, from the newest start on."""
COUNT_SHARE = 50
"""The pause after a count is at least so many times as long as the count took."""
DEFAULT_NAMESPACE = "default"
_WAITING = {"stuck": h.COMPENSATION_STUCK, "held": h.HELD}


class Census:
    """Counts from `start()` to `stop()`; `watching` are the gauges that show it."""

    def __init__(self, service: HistoryService) -> None:
        self._service = service
        self._open: dict[Labels, float] = {}
        self._since_ms: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._watching = Watching(
            (metrics.SAGAS_OPEN, lambda: [(count, labels) for labels, count in self._open.items()]),
            (metrics.OLDEST_AGE, self._ages),
        )

    def start(self) -> None:
        self._watching.start()
        self._task = tend("census", self._run, self._service.clock)

    async def stop(self) -> None:
        self._watching.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _ages(self) -> Observed:
        now_ms = self._service.clock.now_ms()
        since = {**self._since_ms, "blocked": self._service.dispatcher.refusals.oldest_ms}
        return [(max(now_ms - at_ms, 0) / 1000, (state,)) for state, at_ms in since.items() if at_ms]

    async def _run(self) -> None:
        while True:
            began = Machine.monotonic()
            try:
                if self._service.cell.refreshed_ms:  # it is open
                    await self._count()
            except JournalError as error:
                log.info("the sagas can't be counted for the metrics: %s", error)
            took = Machine.monotonic() - began
            least = COUNT_SECONDS if self._service.cell.refreshed_ms else SHOW_SECONDS
            await self._service.clock.sleep(max(least, took * COUNT_SHARE))

    async def _count(self) -> None:
        """Raises JournalError."""
        found: dict[Labels, float] = {}
        since: dict[str, int] = {}
        for namespace in sorted({DEFAULT_NAMESPACE, *(one.namespace for one in self._service.sessions)}):
            tallies = await self._service.journal.index.tallies(namespace)
            for one in tallies:
                if (name := status_name(one.status)) in metrics.OPEN_STATUSES:
                    labels = (one.saga_type, name)
                    found[labels] = found.get(labels, 0) + one.count
            there = {one.status for one in tallies if one.count}
            for state, status in _WAITING.items():
                if status in there and (at_ms := await self._oldest_ms(namespace, status)):
                    since[state] = min(since.get(state, at_ms), at_ms)
        self._open, self._since_ms = found, since

    async def _oldest_ms(self, namespace: str, status: int) -> int:
        """0: there is none any more. Raises JournalError."""
        wanted = Filter(namespace, statuses=frozenset({status}))
        heads = (await self._service.journal.index.listing(wanted, OLDEST_LISTED_MAX, "")).heads
        return min((head.updated_ms for head in heads), default=0)


def watching_work(service: HistoryService) -> Watching:
    """What waits at this server, and for whom."""
    sessions, committer = service.sessions, service.committer

    def queued() -> Observed:
        return [(count, (saga_type,)) for saga_type, count in service.dispatcher.lengths()]

    def blocked() -> Observed:
        return [(1, (one.saga_type,)) for _, one in service.dispatcher.refusals.blocked_runs()]

    return Watching(
        (metrics.QUEUE, queued),
        (metrics.BLOCKED, blocked),
        (metrics.COMMITS_WAITING, lambda: [(committer.waiting, ())]),
        (metrics.WORKERS, lambda: [(sum(not one.closed for one in sessions), ())]),
        (metrics.ROOM, lambda: [(sum(one.capacity for one in sessions), ())]),
        (metrics.ROOM_USED, lambda: [(sum(len(one.owned) for one in sessions), ())]),
    )


def readiness(service: HistoryService, is_stopping: Callable[[], bool]) -> Callable[[], str]:
    """A check: why this server is not ready, or ""."""
    silent_ms_max = service.config.member_lease_ms

    def check() -> str:
        if is_stopping():
            return "it is stopping"
        if not service.cell.refreshed_ms:
            return "it is starting: the journal has not answered yet"
        silent_ms = service.clock.now_ms() - service.cell.refreshed_ms
        return f"the journal has not answered for {silent_ms / 1000:.0f} s" if silent_ms > silent_ms_max else ""

    return check


@asynccontextmanager
async def telling(
    service: HistoryService, server: GrpcServer, listen: str, journal_url: str, is_stopping: Callable[[], bool]
) -> AsyncIterator[Telling]:
    """While it lasts, probes are answered and, with an address, metrics told. Raises as Telling does."""
    told_of = versions(schema_written(journal_url))
    async with Telling(listen, "server", Machine.monotonic, told_of) as told, AsyncExitStack() as stack:
        told.health.checks.append(readiness(service, is_stopping))
        shown = tend("health-shown", partial(_show, server, told.health), service.clock)
        stack.callback(shown.cancel)
        if listen:
            census = Census(service)
            for watching in (watching_work(service), watching_files(journal_url)):
                watching.start()
                stack.callback(watching.stop)
            census.start()
            stack.push_async_callback(census.stop)
        yield told


async def _show(server: GrpcServer, health: Health) -> None:
    """What gRPC's health checks are told follows."""
    shown = True
    while True:
        await asyncio.sleep(SHOW_SECONDS)
        if (is_ready := not health.not_ready()) != shown and server.port:
            await server.show_readiness(is_ready)
            shown = is_ready
