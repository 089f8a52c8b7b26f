"""Who works, as plain data: the connected workers, and the types of sagas that have some or lack them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from durable_saga.client.overview import time_of
from durable_saga.pb import client_pb2 as c


@dataclass(frozen=True, slots=True)
class ConnectedWorker:
    """`sagas` are in its memory; of its `slots` for attempts `slots_used` are taken, and `slots_waiting` attempts have none
    yet. Times are UTC."""

    name: str
    host: str
    build: str
    saga_types: list[str]
    sagas: int
    slots: int
    slots_used: int
    slots_waiting: int
    connected_at: datetime | None
    seen_at: datetime | None
    blocked_at: str
    """The line of a step or of saga code that blocks its event loop, empty: none."""
    blocked_since: datetime | None
    draining: bool
    """It takes no new sagas."""
    elsewhere: bool
    """It is in the process of another engine, which tells no more than its name and types."""

    @property
    def load(self) -> float:
        """The share of its slots that is taken, from 0 to 1."""
        return self.slots_used / self.slots if self.slots else 0.0


@dataclass(frozen=True, slots=True)
class WorkedType:
    """A type of sagas: how many connected workers run it, how many sagas of it are open, and how many of these could go on now
    and have no worker yet. The latter are those of the server that answered; `paused` says by whom and why the type is."""

    saga_type: str
    workers: int
    open: int
    queued: int
    paused: str

    @property
    def lacks_workers(self) -> bool:
        """There are sagas of it, and nobody runs them."""
        return self.open > 0 and not self.workers


@dataclass(frozen=True, slots=True)
class Workers:
    """Those that one server of the cell sees: each is connected to all of them."""

    workers: list[ConnectedWorker]
    types: list[WorkedType]


def workers_of(reply: c.WorkersReply) -> Workers:
    types = [WorkedType(one.saga_type, one.workers, one.open, one.queued, one.paused) for one in reply.types]
    return Workers([_worker(one) for one in reply.workers], types)


def _worker(one: c.WorkerView) -> ConnectedWorker:
    return ConnectedWorker(
        one.name, one.name.partition("/")[0], one.build, list(one.saga_types), one.sagas, one.slots, one.slots_used,
        one.slots_waiting, time_of(one.connected_ms), time_of(one.seen_ms), one.blocked_at, time_of(one.blocked_since_ms),
        one.draining, one.elsewhere,
    )  # fmt: skip
