"""What goes into a journal and comes out of it: plain values, and the bounds of what it keeps."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from durable_saga.pb import history_pb2 as h

CHUNK_BYTES = 128 * 1024
Attributes = tuple[tuple[str, str], ...]
"""(name, text), in order of name."""
INBOX_MESSAGES_MAX = 10_000
INBOX_BYTES_MAX = 16 * 1024 * 1024
"""Of messages that are not read, large values apart; looked at every now and then, on Cassandra by their number alone."""
SHARDS = 32
"""Of hints; a number of the journal, like a key: it can't be changed under one that exists."""
MEMBER_KEPT_MS = 60_000
"""A member's row that is not written again is gone after this."""
FAR_AFTER_MS = 2 * 3_600_000
"""Hints that are due later than this are far ones."""


class Run(NamedTuple):
    """Names one run. `run` is 1 for the first run of a saga id. A tuple, since it is the key of every table."""

    namespace: str
    saga: str
    run: int = 1


class Doing(NamedTuple):
    """What its worker tells of a run beside its status. `state` is a value of `history_pb2.SubState`, `name` the step or the
    compensation that fails or failed, or what is waited for; `attempt` the one that failed last, `next_ms` the time of the next
    one; `since_ms` when this began. Of a run that has ended, `failure_type` and `name` say why."""

    state: int = 0
    name: str = ""
    failure_type: str = ""
    attempt: int = 0
    next_ms: int = 0
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """The head row. Times are Unix milliseconds; 0 means none.

    `status` is a value of `durable_saga.pb.history_pb2.Status`. `owner` is a worker's name, empty when nobody has it.
    `wake_at_ms` is the next thing to do without a message. `blocked` tells why no worker can go on, else empty.
    `newest`, of a saga's first run: a run that is there and is not newer than the newest (0: only this one is known).
    `attributes`: (name, text) of each search attribute that its events have set, in order of name. `build`: of the code
    with which the run began, empty: not known. `paused` tells who had it stand still and why, else empty.
    `doing` is for listings: elsewhere a store may leave it out.
    """

    run: Run
    incarnation: bytes
    saga_type: str
    status: int
    owner: str
    epoch: int
    next_seq: int
    last_commit: bytes
    started_ms: int
    updated_ms: int
    ended_ms: int = 0
    wake_at_ms: int = 0
    blocked: str = ""
    newest: int = 0
    attributes: Attributes = ()
    build: str = ""
    paused: str = ""
    doing: Doing = field(default=Doing(), compare=False)


@dataclass(frozen=True, slots=True)
class Commit:
    """One conditional write: `IF incarnation AND epoch AND next_seq = events[0].seq` (or `= next_seq` without events).

    Sets next_seq, last_commit, status, wake_at_ms, updated_ms (and ended_ms when `status` is closed); `consumed` names the
    inbox messages which these events hold: they are deleted after the commit, no later than the next `inbox.unread`.
    `release` empties the owner and sets `blocked`; otherwise the owner stays and `blocked` is cleared. `build` empty, and
    `paused` and `doing` None, leave what is there.
    """

    run: Run
    incarnation: bytes
    epoch: int
    commit_id: bytes
    next_seq: int
    events: Sequence[h.Event]
    status: int
    now_ms: int
    wake_at_ms: int = 0
    consumed: Sequence[str] = ()
    release: bool = False
    blocked: str = ""
    build: str = ""
    paused: str | None = None
    doing: Doing | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """The write is in the journal, by this call or by an earlier copy of it."""

    head: Head | None = None


@dataclass(frozen=True, slots=True)
class Fenced:
    """Someone else owns the run (or it was ended or purged). Drop it from memory, act on nothing."""

    head: Head | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The write may or may not be there, now or later. Send the identical one again."""

    reason: str


Outcome = Committed | Fenced | Unknown


@dataclass(frozen=True, slots=True)
class Created:
    head: Head


@dataclass(frozen=True, slots=True)
class Exists:
    """A run of that name was there. `head` is what the journal holds (the first start wins)."""

    head: Head


def shard_of(run: Run) -> int:
    """Workers and clients compute the same, from the names alone (proto/durable_saga/v1/cell.proto)."""
    return zlib.crc32(f"{run.namespace}\0{run.saga}".encode()) % SHARDS


def mailbox_of(member: str) -> int:
    """The hint shard of an embedded engine's own; two members may share one, each then looks in vain now and then."""
    return SHARDS + zlib.crc32(member.encode()) % 1_000_000


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at this run at `due_ms`. A hint without truth behind it is ignored, once it is older than the grace time.
    `mailbox`: for one member, instead of the run's home (0: for the home)."""

    due_ms: int
    run: Run
    mailbox: int = 0

    @property
    def shard(self) -> int:
        return self.mailbox or shard_of(self.run)


@dataclass(frozen=True, slots=True)
class Member:
    """A server of the cell (`address` is host:port), or an embedded engine (no address) with the workers and saga types
    that only it can reach. `beat` counts up while it lives; `seen_ms` is its own clock at that beat."""

    name: str
    address: str
    beat: int
    seen_ms: int
    workers: Sequence[str] = ()
    saga_types: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a listing; eventually consistent with the heads."""

    heads: Sequence[Head]
    next_page: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Tally:
    """Of open runs, those of each build, blocked or not, paused or not, are counted apart."""

    saga_type: str
    status: int
    count: int
    build: str = ""
    blocked: bool = False
    paused: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Standing:
    """How many open runs of a type do the same: a value of `history_pb2.SubState` above 0, and what `Doing` has of it."""

    saga_type: str
    sub_state: int
    name: str
    failure_type: str
    count: int


@dataclass(frozen=True, slots=True)
class Standings:
    """In order; with `at_least` there are more runs than were counted."""

    groups: Sequence[Standing]
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """All of it holds. An empty field, or False, asks nothing; what begins at a time is within, what ends at one is not.
    `sub_states`: those of `rules.sub_state`, of open runs alone."""

    namespace: str
    saga_type: str = ""
    statuses: frozenset[int] = field(default_factory=frozenset)
    attributes: Attributes = ()
    started_after_ms: int = 0
    started_before_ms: int = 0
    build: str = ""
    blocked: bool = False
    paused: bool = False
    sub_states: frozenset[int] = field(default_factory=frozenset)
    failure_type: str = ""
    ended_after_ms: int = 0
    ended_before_ms: int = 0
    id_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """What an operator has set for all servers of a journal. `version` is 1 at first, and one higher each time."""

    namespace: str
    name: str
    value: bytes
    version: int
