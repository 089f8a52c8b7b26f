"""What a store does, in facets: small interfaces, each of which one part of a store implements.

Every method may raise JournalUnavailable or JournalFull; the further errors stand beside each. Methods that return an outcome
never raise for a time-out: they return Unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal.values import (
    Commit,
    Created,
    Exists,
    Filter,
    Head,
    Hint,
    Listed,
    Member,
    Outcome,
    Run,
    Standings,
    Switch,
    Tally,
    Unknown,
)


class Runs(Protocol):
    """Heads and events: what decides."""

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

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        """Set `newest` of a head, if it is still of that incarnation; it only ever grows."""

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        """Remove an ended run and all that hangs on it: events, inbox, chunks, keys, listing. Of plain rows, what was written
        before that time, which lies after the run's end and well before now. `Committed`: it is not there any more, by this
        call or an earlier one; `Fenced`: it is open, or another has its name."""


class Inbox(Protocol):
    """Messages to runs that these have not consumed yet."""

    async def put(self, run: Run, message: h.InboxMessage) -> bool:
        """Durable and idempotent by message_id; False when that id was there already (consumed ids count while the run
        lives). Raises InboxFull."""

    async def has(self, run: Run, message_id: str) -> bool:
        """Whether a message with this id was put, consumed or not."""

    async def unread(self, run: Run) -> Sequence[h.InboxMessage]:
        """Messages not consumed, in order of (received_ms, place, message_id)."""


class Hints(Protocol):
    """Which runs are to be looked at, and when; by shards."""

    async def add(self, hint: Hint) -> None:
        """Idempotent."""

    async def due(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        """Hints of a shard with after_ms < due_ms <= until_ms, in order of due_ms; at most limit, but never cut inside one
        due_ms. Those that were written as far ones are among them once they were brought near."""

    async def bring_near(self, shard: int, until_ms: int) -> None:
        """Far hints that are due by `until_ms` are found by `due()` from now on. Idempotent."""

    async def watermark(self, shard: int) -> int:
        """Hints due at or before it are done with; 0 at first."""

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        """Only ever moves on; rows behind it may go."""


class Chunks(Protocol):
    """Large values, in parts of at most CHUNK_BYTES."""

    async def put(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        """Keep parts `first`, `first` + 1, … of the value that `digest` names; the run need not be there yet. Idempotent: a
        digest names one content. Written again it counts as written at the later time."""

    async def read(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        """Parts in order, from `first` on; fewer than `limit` at the end."""

    async def drop(self, run: Run, before_ms: int) -> bool:
        """Remove what was written before that time. Whether the run has chunks left."""


class Members(Protocol):
    """Who is in the cell."""

    async def beat(self, member: Member) -> None:
        """Write a member's row; the last write of a name wins. Rows that are not written again go after a while."""

    async def all(self) -> Sequence[Member]:
        """In order of name."""

    async def leave(self, name: str) -> None:
        """The member stops in good order."""


class Index(Protocol):
    """Runs by other ways than their names; eventually consistent with the heads."""

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        """By started_ms, newest first. A page may be shorter than `limit`, or empty, and have a next one. Raises ValueError
        for a page token that this journal did not give."""

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        """Runs whose committed events declare the correlation key (SagaStarted.keys, KeyDeclared), and perhaps some whose
        commit is still on its way. Ended ones may be among them."""

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        """The run has ended: its key is of no use any more. One that a run of this name declares after that time stays."""

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        """Runs that ended otherwise than completed, or are stuck, held or blocked, by the time of that change (`updated_ms`),
        oldest first; at most limit, but never cut inside one millisecond. A change that becomes visible more than a few seconds
        late has the time at which it did as its `updated_ms`, so that who reads on meets it. Runs that were stuck, held or
        blocked and have gone on since may be among them."""

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        """How many runs of each type are in each status, from maintained rows; in order."""

    async def standings(self, namespace: str) -> Standings:
        """The open runs that are not simply at work, by what they do: from maintained rows, or bounded."""

    def list_again(self, head: Head) -> None:
        """The run's row in the listing may be behind this head: see to it, some time. Never waits, never raises."""

    def is_listed(self, run: Run) -> bool:
        """This process knows that the end of a run that ended a short while ago is in the listing. Never waits."""


class Claims(Protocol):
    """Who of several does an item, once."""

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        """True for one caller: the first, or the first after a claim that was not confirmed by its `until_ms`."""

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        """The item is done with, for ever (CLAIMS_KEPT_SECONDS on Cassandra)."""


class Switches(Protocol):
    """What operators have set, in few and small rows: each server reads all of them every now and then."""

    async def all(self) -> Sequence[Switch]:
        """In order of namespace and name."""

    async def put(self, switch: Switch) -> bool:
        """Write the version that follows the one which is there. False: somebody else has written that version. Raises
        JournalUnavailable: it may be there, or come; put again, the same one is True if it is."""
