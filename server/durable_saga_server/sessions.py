"""The connected workers: what each can run, what each owns, and what waits to be sent to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.outbox import Outbox
from durable_saga_server.journal import Head, Run


@dataclass(frozen=True, slots=True)
class Ownership:
    incarnation: bytes
    epoch: int
    saga_type: str
    told_ms: int = 0
    """When its worker told; 0: this server gave it."""


@dataclass(eq=False)
class Session:
    """One stream. `owned` is what this server believes the worker to own of the runs whose home it is; the journal's fence
    decides."""

    name: str
    namespace: str
    saga_types: frozenset[str]
    capacity: int
    seen_ms: int
    owned: dict[Run, Ownership] = field(default_factory=dict)
    reserved: int = 0
    draining: bool = False
    greeted: bool = False
    """Not while it tells what it owns: until then nothing new is given to it."""
    outbox: Outbox[w.ServerItem] = field(default_factory=Outbox)

    @property
    def closed(self) -> bool:
        return self.outbox.is_closed

    def can_run(self, namespace: str, saga_type: str) -> bool:
        return (
            self.greeted
            and not self.draining
            and not self.closed
            and self.namespace == namespace
            and saga_type in self.saga_types
        )

    def has_room(self, namespace: str, saga_type: str) -> bool:
        return self.can_run(namespace, saga_type) and len(self.owned) + self.reserved < self.capacity

    def send(self, item: w.ServerItem) -> None:
        self.outbox.put(item)

    def close(self) -> None:
        self.outbox.close()

    async def frames(self) -> AsyncIterator[w.ServerFrame]:
        """What waits, as frames, until the session is closed."""
        async for items in self.outbox.frames():
            yield w.ServerFrame(items=items)


class Sessions:
    """All of them, in order of connecting."""

    def __init__(self) -> None:
        self._all: list[Session] = []

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all))

    def add(self, session: Session) -> None:
        self._all.append(session)

    def remove(self, session: Session) -> None:
        if session in self._all:
            self._all.remove(session)

    def owner(self, run: Run) -> Session | None:
        return next((one for one in self._all if run in one.owned), None)

    def owner_by(self, head: Head) -> Session | None:
        """The same, after what the journal has just said: a worker may have given the run up by way of another server."""
        session = self.owner(head.run)
        if session is None:
            return None
        owned = session.owned[head.run]
        if owned.epoch > head.epoch or (owned.epoch == head.epoch and head.owner == session.name):
            return session
        del session.owned[head.run]
        return None

    def forget(self, run: Run) -> None:
        """It has ended, whoever wrote the end."""
        for one in self._all:
            one.owned.pop(run, None)

    def forget_foreign(self, is_home: Callable[[Run], bool], before_ms: int) -> None:
        """What workers told until then of runs that belong elsewhere: their table of homes was a newer one, or an old one."""
        for one in self._all:
            for run in [run for run, owned in one.owned.items() if owned.told_ms < before_ms and not is_home(run)]:
                del one.owned[run]

    def fits(self, namespace: str, saga_type: str) -> bool:
        """Whether any worker here can run it, now or when it has room."""
        return any(one.can_run(namespace, saga_type) for one in self._all)

    def named(self, name: str) -> Session | None:
        return next((one for one in self._all if one.name == name and not one.closed), None)

    def pick(self, namespace: str, saga_type: str) -> Session | None:
        """The fitting worker with the most room, in share of its capacity."""
        fitting = [one for one in self._all if one.has_room(namespace, saga_type)]
        return min(fitting, key=lambda one: (len(one.owned) + one.reserved) / one.capacity, default=None)
