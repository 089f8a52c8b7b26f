"""The journal: the only truth. One interface, in facets; the stores are `memory`, `sqlite` and `cassandra`.

A run is one partition: a *head* (who owns it, how far it is) and its events. Every write to a run is a compare-and-set on
its head, so that one owner at a time decides its history. A write has three outcomes, three types: `Committed`, `Fenced`,
`Unknown`. After `Unknown` the caller sends the identical write again until it is one of the other two; a read does not
settle it (docs/commit-protocol.md).
"""

from __future__ import annotations

from typing import Protocol

from durable_saga_server.journal.errors import (
    InboxFull,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalUnavailable,
    SchemaTooNew,
    WeakSettings,
)
from durable_saga_server.journal.facets import Chunks, Claims, Hints, Inbox, Index, Members, Runs, Switches
from durable_saga_server.journal.ledger import Ledger
from durable_saga_server.journal.values import (
    CHUNK_BYTES,
    FAR_AFTER_MS,
    INBOX_BYTES_MAX,
    INBOX_MESSAGES_MAX,
    MEMBER_KEPT_MS,
    SHARDS,
    Attributes,
    Commit,
    Committed,
    Created,
    Doing,
    Exists,
    Fenced,
    Filter,
    Head,
    Hint,
    Listed,
    Member,
    Outcome,
    Run,
    Standing,
    Standings,
    Switch,
    Tally,
    Unknown,
    mailbox_of,
    shard_of,
)

__all__ = [
    "CHUNK_BYTES", "FAR_AFTER_MS", "INBOX_BYTES_MAX", "INBOX_MESSAGES_MAX", "MEMBER_KEPT_MS", "SHARDS", "Attributes", "Chunks",
    "Claims", "Commit", "Committed", "Created", "Doing", "Exists", "Fenced", "Filter", "Head", "Hint", "Hints", "Inbox",
    "InboxFull", "Index", "Journal", "JournalDamaged", "JournalError", "JournalFull", "JournalUnavailable", "Ledger", "Listed",
    "Member", "Members", "Outcome", "Run", "Runs", "SchemaTooNew", "Standing", "Standings", "Switch", "Switches", "Tally",
    "Unknown", "WeakSettings", "mailbox_of", "shard_of",
]  # fmt: skip


class Journal(Protocol):
    """A store. Its facets are there from the beginning, and to be used between `initialize()` and `close()`."""

    batches_at_once: int
    """How many `runs.commit_many` may be under way; more wait for one of them, and travel together then."""

    @property
    def runs(self) -> Runs: ...

    @property
    def inbox(self) -> Inbox: ...

    @property
    def hints(self) -> Hints: ...

    @property
    def chunks(self) -> Chunks: ...

    @property
    def members(self) -> Members: ...

    @property
    def index(self) -> Index: ...

    @property
    def claims(self) -> Claims: ...

    @property
    def switches(self) -> Switches: ...

    @property
    def ledger(self) -> Ledger: ...

    async def initialize(self) -> None:
        """Make or migrate the tables; safe to run twice and concurrently. Raises SchemaTooNew, WeakSettings."""

    async def close(self) -> None: ...
