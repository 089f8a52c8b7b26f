"""The journal: the only truth. One interface; the stores are `memory`, `sqlite` and `cassandra`.

A run is one partition: a *head* (who owns it, how far it is) and its events. Every write to a run is a compare-and-set on
its head, so that one owner at a time decides its history. A write has three outcomes, three types: `Committed`, `Fenced`,
`Unknown`. After `Unknown` the caller sends the identical write again until it is one of the other two; a read does not
settle it (docs/commit-protocol.md).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal.ledger import Ledger

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


class JournalError(Exception):
    """The base of what a store raises. Nothing was acknowledged when one of these comes up. `code` is a gRPC status where a
    caller may come again, else empty."""

    code = ""

    @property
    def message(self) -> str:
        return str(self)


class JournalUnavailable(JournalError):
    """The store can't be reached or refused the call before doing anything. Try again later with back-off."""

    code = "UNAVAILABLE"


class JournalFull(JournalError):
    """The store has no room (a full disk). Nothing was written; free some room, then try again."""

    code = "RESOURCE_EXHAUSTED"


class JournalDamaged(JournalError):
    """What stands there can't be read: a run's own events, or the file. Waiting does not mend it; everything else goes on.
    `left`: the events of the run that could be read."""

    def __init__(self, message: str, left: Sequence[h.Event] = ()) -> None:
        self.left = left
        super().__init__(message)


class SchemaTooNew(JournalError):
    """The journal's tables were made by a newer version of this program. Upgrade this program; never write to it."""


class WeakSettings(JournalError):
    """Strict mode: the cluster's settings do not keep the promises; the message names each one."""


class InboxFull(JournalError):
    """The run has INBOX_MESSAGES_MAX unread messages, or INBOX_BYTES_MAX. Nothing was written; the sender waits or gives up."""


class Run(NamedTuple):
    """Names one run. `run` is 1 for the first run of a saga id. A tuple, since it is the key of every table."""

    namespace: str
    saga: str
    run: int = 1


@dataclass(frozen=True, slots=True)
class Head:
    """The head row. Times are Unix milliseconds; 0 means none.

    `status` is a value of `durable_saga.pb.history_pb2.Status`. `owner` is a worker's name, empty when nobody has it.
    `wake_at_ms` is the next thing to do without a message. `blocked` tells why no worker can go on, else empty.
    `newest`, of a saga's first run: a run that is there and is not newer than the newest (0: only this one is known).
    `attributes`: (name, text) of each search attribute that its events have set, in order of name.
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


@dataclass(frozen=True, slots=True)
class Commit:
    """One conditional write: `IF incarnation AND epoch AND next_seq = events[0].seq` (or `= next_seq` without events).

    Sets next_seq, last_commit, status, wake_at_ms, updated_ms (and ended_ms when `status` is closed); `consumed` names the
    inbox messages which these events hold: they are deleted after the commit, no later than the next read_inbox.
    `release` empties the owner and sets `blocked`; otherwise the owner stays and `blocked` is cleared.
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
    saga_type: str
    status: int
    count: int


@dataclass(frozen=True, slots=True)
class Filter:
    """All of it holds. An empty field asks nothing; `started_after_ms` is within, `started_before_ms` is not."""

    namespace: str
    saga_type: str = ""
    statuses: frozenset[int] = field(default_factory=frozenset)
    attributes: Attributes = ()
    started_after_ms: int = 0
    started_before_ms: int = 0


class Journal(Protocol):
    """What a store does. Every method may raise JournalUnavailable or JournalFull; the further errors stand beside each.

    Methods that return an outcome never raise for a time-out: they return Unknown.
    """

    batches_at_once: int
    """How many `commit_many` may be under way; more wait for one of them, and travel together then."""

    @property
    def ledger(self) -> Ledger:
        """Tokens and the audit log; after `initialize()`."""

    async def initialize(self) -> None:
        """Make or migrate the tables; safe to run twice and concurrently. Raises SchemaTooNew, WeakSettings."""

    async def close(self) -> None: ...

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        """Write the head and event 0 if the run does not exist; `hint` is durable no later than they are. `Exists` carries
        this very head when an earlier copy of the same call (same incarnation) won."""

    async def head(self, run: Run) -> Head | None:
        """A linearizable read of the head."""

    async def glance(self, run: Run) -> Head | None:
        """The head, or an earlier one where a write of it is not acknowledged: cheaper on Cassandra. Nothing is decided by
        it, and it is not shown."""

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        """Take the run over: `SET epoch = epoch + 1, owner IF incarnation AND epoch AND status is open`. `Committed.head`
        is the head after it. An empty owner is allowed (terminate takes the run for itself)."""

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """Commit each, independently; outcomes in the order of `commits`. SQLite puts all of them into one transaction."""

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        """Committed events in order of seq."""

    async def put_message(self, run: Run, message: h.InboxMessage) -> bool:
        """Durable and idempotent by message_id; False when that id was there already (consumed ids count while the run
        lives). Raises InboxFull."""

    async def has_message(self, run: Run, message_id: str) -> bool:
        """Whether a message with this id was put, consumed or not."""

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        """Set `newest` of a head, if it is still of that incarnation; it only ever grows."""

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        """Runs whose committed events declare the correlation key (SagaStarted.keys, KeyDeclared), and perhaps some whose
        commit is still on its way. Ended ones may be among them."""

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        """The run has ended: its key is of no use any more. One that a run of this name declares after that time stays."""

    async def inbox(self, run: Run) -> Sequence[h.InboxMessage]:
        """Messages not consumed, in order of (received_ms, place, message_id)."""

    async def put_chunks(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        """Keep parts `first`, `first` + 1, … of the value that `digest` names, at most CHUNK_BYTES each; the run need not be
        there yet. Idempotent: a digest names one content. Written again it counts as written at the later time."""

    async def chunks(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        """Parts in order, from `first` on; fewer than `limit` at the end."""

    async def drop_chunks(self, run: Run, before_ms: int) -> bool:
        """Remove what was written before that time. Whether the run has chunks left."""

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        """Remove an ended run and all that hangs on it: events, inbox, chunks, keys, listing. Of plain rows, what was written
        before that time, which lies after the run's end and well before now. `Committed`: it is not there any more, by this
        call or an earlier one; `Fenced`: it is open, or another has its name."""

    async def add_hint(self, hint: Hint) -> None:
        """Idempotent."""

    async def hints(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        """Hints of a shard with after_ms < due_ms <= until_ms, in order of due_ms; at most limit, but never cut inside one
        due_ms. Those that were written as far ones are among them once they were brought near."""

    async def bring_near(self, shard: int, until_ms: int) -> None:
        """Far hints that are due by `until_ms` are found by `hints()` from now on. Idempotent."""

    async def watermark(self, shard: int) -> int:
        """Hints due at or before it are done with; 0 at first."""

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        """Only ever moves on; rows behind it may go."""

    async def beat(self, member: Member) -> None:
        """Write a member's row; the last write of a name wins. Rows that are not written again go after a while."""

    async def members(self) -> Sequence[Member]:
        """In order of name."""

    async def leave(self, name: str) -> None:
        """The member stops in good order."""

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        """By started_ms, newest first. A page may be shorter than `limit`, or empty, and have a next one. Raises ValueError
        for a page token that this journal did not give."""

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        """Runs that ended otherwise than completed, or are stuck or held, by the time of that change (`updated_ms`), oldest
        first; at most limit, but never cut inside one millisecond; eventually consistent with the heads. A change that becomes
        visible more than a few seconds late has the time at which it did as its `updated_ms`, so that who reads on meets it."""

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        """How many runs of each type are in each status, from maintained rows; eventually consistent with the heads."""

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        """True for one caller: the first, or the first after a claim that was not confirmed by its `until_ms`."""

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        """The item is done with, for ever (CLAIMS_KEPT_SECONDS on Cassandra)."""

    def list_again(self, run: Run) -> None:
        """The run's row in the listing may be behind its head: see to it, some time. Never waits, never raises."""
