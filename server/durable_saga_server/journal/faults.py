"""A journal whose writes fail as networks make them fail: for tests and simulation, driven by the caller's seed.

A fault is chosen for each conditional write by `choose`. The store underneath is the real one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import (
    Commit,
    Created,
    Exists,
    Filter,
    Head,
    Hint,
    Journal,
    JournalUnavailable,
    Listed,
    Member,
    Outcome,
    Run,
    Tally,
    Unknown,
)
from durable_saga_server.journal.ledger import Ledger


class Fault(Enum):
    NONE = "none"
    LOST_ANSWER = "the write is done, its answer is lost"
    LOST_REQUEST = "the write is not done, and nobody knows"
    LATE = "the write is not done yet, and nobody knows: `arrive()` does it"
    REFUSED = "the store refuses before it does anything"


class FaultyJournal:
    """`choose` is asked once for each conditional write; everything else goes straight through."""

    def __init__(self, journal: Journal, choose: Callable[[], Fault]) -> None:
        self.batches_at_once = journal.batches_at_once
        self.ledger: Ledger = journal.ledger
        self._journal = journal
        self._choose = choose
        self._late: list[Callable[[], Awaitable[Any]]] = []

    async def arrive(self) -> int:
        """Do the writes that are late, in the order in which they were sent; nobody hears of their outcomes. How many."""
        late, self._late = self._late, []
        for write in late:
            with suppress(JournalUnavailable):
                await write()
        return len(late)

    async def _write(self, write: Callable[[], Any]) -> Any:
        fault = self._choose()
        if fault is Fault.REFUSED:
            raise JournalUnavailable("refused, by a fault that was asked for")
        if fault is Fault.LOST_REQUEST:
            return Unknown("a time-out; the request was lost")
        if fault is Fault.LATE:
            self._late.append(write)
            return Unknown("a time-out; the request is under way")
        outcome = await write()
        return Unknown("a time-out; the answer was lost") if fault is Fault.LOST_ANSWER else outcome

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        outcome: Created | Exists | Unknown = await self._write(lambda: self._journal.create(head, event, hint))
        return outcome

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        acquire = self._journal.acquire
        outcome: Outcome = await self._write(lambda: acquire(run, incarnation, epoch, owner, now_ms))
        return outcome

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        return [await self._write(partial(self._one, commit)) for commit in commits]

    async def _one(self, commit: Commit) -> Outcome:
        return (await self._journal.commit_many([commit]))[0]

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        outcome: Outcome = await self._write(lambda: self._journal.purge(run, incarnation, before_ms))
        return outcome

    async def initialize(self) -> None:
        await self._journal.initialize()

    async def close(self) -> None:
        await self._journal.close()

    async def head(self, run: Run) -> Head | None:
        return await self._journal.head(run)

    async def glance(self, run: Run) -> Head | None:
        return await self._journal.glance(run)

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        return await self._journal.events(run, from_seq, limit)

    async def put_message(self, run: Run, message: h.InboxMessage) -> bool:
        return await self._journal.put_message(run, message)

    async def has_message(self, run: Run, message_id: str) -> bool:
        return await self._journal.has_message(run, message_id)

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        await self._journal.advance(run, incarnation, newest)

    async def inbox(self, run: Run) -> Sequence[h.InboxMessage]:
        return await self._journal.inbox(run)

    async def put_chunks(self, run: Run, digest: bytes, first: int, chunks: Sequence[bytes], now_ms: int) -> None:
        await self._journal.put_chunks(run, digest, first, chunks, now_ms)

    async def chunks(self, run: Run, digest: bytes, first: int, limit: int) -> Sequence[bytes]:
        return await self._journal.chunks(run, digest, first, limit)

    async def drop_chunks(self, run: Run, before_ms: int) -> bool:
        return await self._journal.drop_chunks(run, before_ms)

    async def add_hint(self, hint: Hint) -> None:
        await self._journal.add_hint(hint)

    async def hints(self, shard: int, after_ms: int, until_ms: int, limit: int) -> Sequence[Hint]:
        return await self._journal.hints(shard, after_ms, until_ms, limit)

    async def bring_near(self, shard: int, until_ms: int) -> None:
        await self._journal.bring_near(shard, until_ms)

    async def watermark(self, shard: int) -> int:
        return await self._journal.watermark(shard)

    async def set_watermark(self, shard: int, due_ms: int) -> None:
        await self._journal.set_watermark(shard, due_ms)

    async def beat(self, member: Member) -> None:
        await self._journal.beat(member)

    async def members(self) -> Sequence[Member]:
        return await self._journal.members()

    async def leave(self, name: str) -> None:
        await self._journal.leave(name)

    async def listing(self, filter: Filter, limit: int, page: str) -> Listed:
        return await self._journal.listing(filter, limit, page)

    async def keyed(self, namespace: str, key: str, limit: int) -> Sequence[Run]:
        return await self._journal.keyed(namespace, key, limit)

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        await self._journal.drop_key(namespace, key, run, before_ms)

    async def changes(self, namespace: str, after_ms: int, limit: int) -> Sequence[Head]:
        return await self._journal.changes(namespace, after_ms, limit)

    async def tallies(self, namespace: str) -> Sequence[Tally]:
        return await self._journal.tallies(namespace)

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        return await self._journal.claim(namespace, group, item, now_ms, until_ms)

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        await self._journal.confirm(namespace, group, item)

    def list_again(self, run: Run) -> None:
        self._journal.list_again(run)
