"""The connected workers: what each can run, what each owns, and what waits to be sent to it.

What waits is bounded in bytes: a worker that reads slowly is given nothing new, and its messages stay in the journal until it
has read what came before. No message is sent twice to one that owns its run. A name that is in use is taken over with its
secret alone.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.outbox import Outbox
from durable_saga_server.access.caller import Caller
from durable_saga_server.failures import ServiceError
from durable_saga_server.journal import Head, Run
from durable_saga_server.workers.paused_types import PausedTypes
from durable_saga_server.workers.roll_outs import RollOuts, Side

UNREAD_BYTES_MAX = 16 * 1024 * 1024
"""Waits to be sent to a worker: beyond it, it is given no runs and no messages, and nothing more that it says is read."""
NAMES_REMEMBERED_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Ownership:
    incarnation: bytes
    epoch: int
    saga_type: str
    build: str = ""
    """With which the run began."""
    was_blocked: bool = False
    told_ms: int = 0
    """When its worker told; 0: this server gave it."""
    sent: dict[str, None] = field(default_factory=dict)
    """Ids of the messages that it was sent and has not put into the history."""
    status: int = h.STATUS_UNSPECIFIED
    """After the last commit that went through this server."""


@dataclass(eq=False, slots=True)
class Behind:
    """A run with messages that had no room, or that are being read. `came`: how often some came. A look that begins with one
    number and ends with another may lack some; several may look at once."""

    epoch: int
    came: int = 0
    is_read: bool = False


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
    connected_ms: int = 0
    load: w.Heartbeat = field(default_factory=w.Heartbeat)
    """As the worker told it last."""
    blocked_at: str = ""
    blocked_since_ms: int = 0
    """Since when its event loop is blocked, and at which line; 0: it is not."""
    reserved: int = 0
    draining: bool = False
    build: str = ""
    """Of its code, as it says; empty: it does not say."""
    greeted: bool = False
    """Not while it tells what it owns: until then nothing new is given to it."""
    secret: bytes = b""
    refusal: ServiceError | None = None
    """Why this side ended it."""
    outbox: Outbox[w.ServerItem] = field(default_factory=Outbox)
    paused_types: frozenset[str] = frozenset()
    """Of these it is given nothing."""
    moved_ms: int = 0
    """When something last left."""
    under_way: int = 0
    """What it said and is not done yet."""
    behind: dict[Run, Behind] = field(default_factory=dict)
    is_over: bool = False
    break_off: Callable[[], object] | None = None
    undoes_others: bool = False
    """It takes runs of types that it does not have, to undo them from their journals."""
    answers_queries: bool = False
    caller: Caller | None = None
    """Where the server asks who it is."""
    on_room: Callable[[], None] | None = None
    """Called when there is room again for messages of those that are behind."""

    @property
    def code(self) -> str:
        """By which its code is told from other code: the build, else the worker itself."""
        return self.build or self.name

    @property
    def closed(self) -> bool:
        return self.outbox.is_closed

    def can_run(self, namespace: str, saga_type: str) -> bool:
        return self._takes_runs_of(namespace) and saga_type in self.saga_types

    def _takes_runs_of(self, namespace: str) -> bool:
        return self.greeted and not self.draining and not self.closed and self.namespace == namespace

    @property
    def is_crowded(self) -> bool:
        return self.outbox.unread_bytes > UNREAD_BYTES_MAX

    def has_room(self, namespace: str, saga_type: str) -> bool:
        return saga_type not in self.paused_types and self.can_run(namespace, saga_type) and self._has_room

    def can_undo(self, namespace: str) -> bool:
        """A run of any type, without its code."""
        return self.undoes_others and self._takes_runs_of(namespace) and self._has_room

    @property
    def _has_room(self) -> bool:
        return not self.is_crowded and len(self.owned) + self.reserved < self.capacity

    def beat(self, now_ms: int, blocked_at: str) -> None:
        """A sign of life from a thread of its own, with the line that blocks its event loop."""
        self.seen_ms, self.blocked_at = now_ms, blocked_at
        self.blocked_since_ms = (self.blocked_since_ms or now_ms) if blocked_at else 0

    def send(self, item: w.ServerItem) -> None:
        self.outbox.put(item)

    def deliver(self, run: Run, key: h.RunKey, epoch: int, messages: Iterable[h.InboxMessage]) -> None:
        """Those that it was not sent yet, in order; what has no room is read from the journal when there is some."""
        owned = self.owned.get(run)
        for message in messages:
            if owned is not None and message.message_id in owned.sent:
                continue
            if self.is_crowded or run in self.behind:
                self.behind.setdefault(run, Behind(epoch)).came += 1
                return
            if owned is not None:
                owned.sent[message.message_id] = None
            self.send(w.ServerItem(deliver=w.Deliver(key=key, epoch=epoch, message=message)))

    def consumed(self, run: Run, message_ids: Iterable[str]) -> None:
        if (owned := self.owned.get(run)) is not None and owned.sent:
            for message_id in message_ids:
                owned.sent.pop(message_id, None)

    def close(self, refusal: ServiceError | None = None) -> None:
        self.refusal = self.refusal or refusal
        self.outbox.close()

    async def frames(self) -> AsyncIterator[w.ServerFrame]:
        """What waits, as frames, until the session is closed."""
        async for items in self.outbox.frames():
            yield w.ServerFrame(items=items)
            if self.behind and self.on_room is not None and not self.is_crowded:
                self.on_room()


class Sessions:
    """All of them, in order of connecting. `paused`: the types of which nothing is given to any. `roll_outs`: which build new
    runs begin with."""

    def __init__(self, paused: PausedTypes, roll_outs: RollOuts) -> None:
        self.paused = paused
        self.roll_outs = roll_outs
        self._all: list[Session] = []
        self._turn = 0
        self._secrets: dict[str, list[bytes]] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all))

    def add(self, session: Session) -> None:
        self._all.append(session)

    def remove(self, session: Session) -> None:
        if session in self._all:
            self._all.remove(session)

    def tell_pauses(self) -> None:
        """To the workers: which types are paused now."""
        for session in self._all:
            types = self.paused.names(session.namespace)
            if types != session.paused_types:
                session.paused_types = types
                session.send(w.ServerItem(paused_types=w.PausedTypes(saga_types=sorted(types))))

    def secret(self, name: str, shown: bytes, new: bytes) -> bytes:
        """The secret of a name, the new one where none was given or shown. Whoever had the name first can take it back from one
        who came while it was away. Raises ServiceError: it is in use, and the secret was not shown."""
        known = self._secrets.get(name, [])
        if any(hmac.compare_digest(one, shown) for one in known):
            return shown
        if self.named(name) is not None:
            raise ServiceError(
                "PERMISSION_DENIED",
                f"a worker named {name!r} is connected: give each worker a name of its own. If this is the same one, its old"
                " connection is not known to be lost yet; it may connect as soon as it is",
            )
        self._secrets[name] = [*known[:1], new]
        if len(self._secrets) > NAMES_REMEMBERED_MAX:
            del self._secrets[next(iter(self._secrets))]
        return new

    def owner(self, run: Run) -> Session | None:
        return next((one for one in self._all if run in one.owned), None)

    def is_at_work(self, run: Run) -> bool:
        """Its worker is here, and it neither ended nor waits for a person, as far as this server knows without a read."""
        session = self.owner(run)
        return session is not None and session.owned[run].status in (h.RUNNING, h.COMPENSATING)

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

    def fits(self, namespace: str, saga_type: str, refused: frozenset[str] = frozenset()) -> bool:
        """Whether any worker here can run it, now or when it has room, whose code has not refused it."""
        return any(one.can_run(namespace, saga_type) and one.code not in refused for one in self._all)

    def named(self, name: str, namespace: str = "") -> Session | None:
        """Of that namespace, where one is given."""
        of = (one for one in self._all if not namespace or one.namespace == namespace)
        return next((one for one in of if one.name == name and not one.closed), None)

    def pick(
        self, namespace: str, saga_type: str, refused: frozenset[str] = frozenset(), build: str = "", side: Side | None = None
    ) -> Session | None:  # fmt: skip
        """The fitting worker with the most room, in share of its capacity: of that build, if one has room. Of a run that has a
        `side`: one of that side, and if none has room, nobody; where there is none at all, any that may."""
        able = [one for one in self._all if one.can_run(namespace, saga_type) and one.code not in refused]
        if side is not None:
            able = [one for one in able if side.takes(one.build)] or [one for one in able if one.build != side.never]
        fitting = [one for one in able if one.has_room(namespace, saga_type)]
        own = [one for one in fitting if one.build == build] if build else []
        return min(own or fitting, key=lambda one: (len(one.owned) + one.reserved) / one.capacity, default=None)

    def pick_to_undo(self, namespace: str) -> Session | None:
        """For a run whose type nobody has. Each in its turn: what one worker knows nothing of, another one may."""
        able = [one for one in self._all if one.can_undo(namespace)]
        self._turn += 1
        return able[self._turn % len(able)] if able else None
