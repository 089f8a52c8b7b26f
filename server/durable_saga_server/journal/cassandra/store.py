"""The journal interface on Cassandra's rows. The conditions of a write stand in CQL; its values come from `rules`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga_server.clock import Clock, SystemClock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import (
    Commit,
    Committed,
    Created,
    Exists,
    Fenced,
    Filter,
    Head,
    Hint,
    JournalError,
    JournalUnavailable,
    Listed,
    Member,
    Outcome,
    Run,
    Tally,
    Unknown,
)
from durable_saga_server.journal.cassandra import migrating, schema
from durable_saga_server.journal.cassandra.access import Access
from durable_saga_server.journal.cassandra.chunks import Chunks
from durable_saga_server.journal.cassandra.hints import BEGIN_EARLIER_MS, Hints
from durable_saga_server.journal.cassandra.inboxes import Inboxes
from durable_saga_server.journal.cassandra.index import Index
from durable_saga_server.journal.cassandra.ledger import CassandraLedger
from durable_saga_server.journal.cassandra.listing import Listing, head_columns, head_of
from durable_saga_server.journal.cassandra.pages import read_page
from durable_saga_server.journal.cassandra.purging import Purging
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.cassandra.settings import REPLICAS, SYNCED, check_settings
from durable_saga_server.journal.damage import cut_bytes, read_events, read_messages
from durable_saga_server.journal.rules import attributes_in, in_order, keys_in

COMMITS_AT_ONCE_MAX = 128


class CassandraJournal:
    """`hosts` are HOST or HOST:PORT. `tables` begins the names of our tables, where others live in the keyspace.
    `strict` refuses weak settings; otherwise they are named in a warning. `durability` is what a commit waits for: "synced",
    the disks of a quorum; "replicas", their memory, on a cluster whose commit log syncs later. `access`: user and TLS."""

    batches_at_once = COMMITS_AT_ONCE_MAX

    def __init__(
        self,
        hosts: Sequence[str],
        keyspace: str,
        *,
        strict: bool = True,
        replication_factor: int = 3,
        datacenter: str = "",
        tables: str = "",
        durability: str = SYNCED,
        access: Access | None = None,
        clock: Clock | None = None,
    ) -> None:
        if durability not in (SYNCED, REPLICAS):
            raise ValueError(f"durability is {durability!r}: give {SYNCED!r} or {REPLICAS!r}")
        if not keyspace.replace("_", "").isalnum():
            raise ValueError(f"{keyspace!r} isn't a keyspace name: use letters, digits and _")
        if tables and not tables.replace("_", "").isalnum():
            raise ValueError(f"{tables!r} can't begin the names of tables: use letters, digits and _")
        self._session = Session(hosts, keyspace.lower(), datacenter=datacenter, tables=tables.lower(), access=access)
        self._keyspace = keyspace.lower()
        self._strict, self._durability = strict, durability
        replication = {"class": "NetworkTopologyStrategy", datacenter or "replication_factor": str(replication_factor)}
        self._replication = str(replication)
        self._room = asyncio.Semaphore(COMMITS_AT_ONCE_MAX)
        self._clock = clock or SystemClock()
        self._listing = Listing(self._session, self.glance, self._clock)
        self._index = Index(self._session, self._listing)
        self._hints = Hints(self._session, self._clock)
        self._chunks = Chunks(self._session)
        self._purging = Purging(self._session, self._listing, self._index, self._chunks)
        self._inboxes = Inboxes(self._session, self._clock)
        self.ledger = CassandraLedger(self._session, self._clock)

    async def initialize(self) -> None:
        session = self._session
        await session.open()
        try:
            await migrating.make_keyspace(session, self._keyspace, self._replication)
            await check_settings(session, self._keyspace, strict=self._strict, durability=self._durability)
            version = await migrating.version_of(session, self._keyspace)
            if version < schema.SCHEMA_VERSION:
                await migrating.make_tables(session)
            await migrating.patiently(session.prepare)
            if not version:
                await self._hints.begin(self._clock.now_ms() - BEGIN_EARLIER_MS)
            elif version < 3:
                await self._hints.take_over_unsharded()
            if version < schema.SCHEMA_VERSION:
                await session.run(f"INSERT INTO journal_schema (one, version) VALUES (1, {schema.SCHEMA_VERSION})")
        except BaseException:
            await session.close()
            raise

    async def close(self) -> None:
        await self._listing.settle()
        await self._session.close()

    # --- runs ----------------------------------------------------------------------------------------------------

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        if hint is not None:
            await self.add_hint(hint)
        await self._index.declare(head.run, keys_in([event]), self._clock.now_ms())
        run = _key(head.run)
        outcome = await self._session.conditional(
            ("create_head", (*run, *head_columns(head))), ("event", (*run, event.seq, event.SerializeToString())),
            *_attributes(run, [event]),
        )  # fmt: skip
        if isinstance(outcome, Unknown):
            return outcome
        if not outcome[0]:
            there = await self.head(head.run)
            return Unknown("the head went away") if there is None else Exists(there)
        self._listing.began(head)
        return Created(head)

    async def head(self, run: Run) -> Head | None:
        return await self._head(run, "head")

    async def glance(self, run: Run) -> Head | None:
        return await self._head(run, "head_seen")

    async def _head(self, run: Run, statement: str) -> Head | None:
        rows = await self._session.read(statement, *_key(run))
        if not rows or rows[0][1] is None:
            return None
        *columns, newest, attributes = rows[0]
        return head_of(run, columns, attributes, newest or 0)

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        outcome = await self._session.conditional(("acquire", (epoch + 1, owner, now_ms, *_key(run), incarnation, epoch)))
        if isinstance(outcome, Unknown):
            return outcome
        head = await self.head(run)
        if outcome[0] and head is not None and head.epoch == epoch + 1 and head.owner == owner:
            return Committed(head)
        return Fenced(head)

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        answers = await asyncio.gather(*(self._commit(commit) for commit in commits), return_exceptions=True)
        outcomes: list[Outcome] = []
        for answer in answers:
            if isinstance(answer, JournalError) and len(commits) > 1:
                outcomes.append(Unknown(str(answer)))  # one of many: sent again on its own
            elif isinstance(answer, BaseException):
                raise answer
            else:
                outcomes.append(answer)
        return outcomes

    async def _commit(self, commit: Commit) -> Outcome:
        closed = commit.status not in OPEN
        run = _key(commit.run)
        values = (
            commit.next_seq + len(commit.events), commit.commit_id, commit.status, commit.now_ms,
            commit.now_ms if closed else 0, commit.wake_at_ms, commit.blocked if commit.release else "",
            *run, commit.incarnation, commit.epoch, commit.next_seq, commit.commit_id,
        )  # fmt: skip
        name = "commit_and_release" if commit.release or closed else "commit"
        rows = [("event", (*run, event.seq, event.SerializeToString())) for event in commit.events]
        rows += _attributes(run, commit.events)
        async with self._room:
            await self._index.declare(commit.run, keys_in(commit.events), self._clock.now_ms())
            outcome = await self._session.conditional((name, values), *rows)
            if isinstance(outcome, Unknown):
                return outcome
            applied, row = outcome
            if not applied and not (
                row.get("last_commit") == commit.commit_id and row.get("incarnation") == commit.incarnation
            ):
                return Fenced()
            if commit.consumed:
                stamp = self._clock.now_ms() * 1000
                await asyncio.gather(*(self._session.read("consume", stamp, *run, one) for one in commit.consumed))
            if _is_listed_anew(commit):
                self._listing.changed(commit.run, commit)
        return Committed()

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        first = max(from_seq, 0)
        rows = await self._session.read("events", *_key(run), first, from_seq + limit)
        return read_events(run, cut_bytes(enumerate((event for (event,) in rows), first)))

    # --- inbox and hints ---------------------------------------------------------------------------------------------

    async def put_message(self, run: Run, message: h.InboxMessage) -> bool:
        return await self._inboxes.put(run, message)

    async def has_message(self, run: Run, message_id: str) -> bool:
        return bool(await self._session.read("message", *_key(run), message_id))

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        outcome = await self._session.conditional(("advance", (newest, *_key(run), incarnation, newest)))
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(outcome.reason)

    async def inbox(self, run: Run) -> Sequence[h.InboxMessage]:
        rows = await self._session.read("inbox", *_key(run))
        found = read_messages(run, (message for message, consumed in rows if message and not consumed))
        return in_order(found)

    async def put_chunks(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        await self._chunks.put(run, digest, first, chunks, now_ms)

    async def chunks(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        return await self._chunks.get(run, digest, first, limit)

    async def drop_chunks(self, run: Run, before_ms: int) -> bool:
        return await self._chunks.drop(run, before_ms)

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        return await self._purging.purge(await self.head(run), run, incarnation, before_ms, self._clock.now_ms())

    async def add_hint(self, hint: Hint) -> None:
        await self._hints.add(hint)

    async def hints(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        return await self._hints.read(shard, after_ms, until_ms, limit)

    async def bring_near(self, shard: int, until_ms: int) -> None:
        await self._hints.bring_near(shard, until_ms)

    async def watermark(self, shard: int) -> int:
        return await self._hints.watermark(shard)

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        await self._hints.set_watermark(shard, due_ms)

    async def beat(self, member: Member) -> None:
        lists = json.dumps(list(member.workers)), json.dumps(list(member.saga_types))
        await self._session.read("beat", member.name, member.address, member.beat, member.seen_ms, *lists)

    async def members(self) -> Sequence[Member]:
        rows = await self._session.read("members")
        return [Member(row[0], row[1], row[2], row[3], json.loads(row[4]), json.loads(row[5])) for row in rows]

    async def leave(self, name: str) -> None:
        await self._session.read("leave", name)

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        await self._listing.settle()
        return await read_page(self._session, filter, limit, page)

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        return await self._index.keyed(namespace, key, limit)

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        await self._index.drop_key(namespace, key, run, before_ms)

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        return await self._index.changes(namespace, after_ms, limit, self._clock.now_ms())

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        return await self._index.tallies(namespace, self._clock.now_ms())

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        return await self._index.claim(namespace, group, item, now_ms, until_ms)

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        await self._index.confirm(namespace, group, item)

    def list_again(self, run: Run) -> None:
        self._listing.changed(run)


def _is_listed_anew(commit: Commit) -> bool:
    """Whether its row in the listing is another one after this commit. A run is listed as running from its start."""
    if commit.status != h.RUNNING or commit.blocked:
        return True
    return any(event.WhichOneof("kind") in ("recover_requested", "attributes_set") for event in commit.events)


def _attributes(run: tuple[str, str, int], events: Sequence[h.Event]) -> list[tuple[str, tuple[Any, ...]]]:
    """The part of a conditional batch that sets search attributes, if the events set some."""
    added = attributes_in(events)
    return [("set_attributes", (dict(added), *run))] if added else []


def _key(run: Run) -> tuple[str, str, int]:
    return run.namespace, run.saga, run.run
