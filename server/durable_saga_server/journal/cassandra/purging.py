"""The removal of ended runs on Cassandra: first what hangs on the run, then head and events in one conditional batch.

Plain rows go under a timestamp between the run's end and now, so a purge that comes late takes nothing from a new run of the
same name. Head and events go under the Paxos timestamp of their batch, which is before that of any later start. A purge
that was cut off is done again as a whole, while the head is there.
"""

from __future__ import annotations

import asyncio

from durable_saga_server.journal import Committed, Fenced, Head, JournalDamaged, Outcome, Run, Unknown
from durable_saga_server.journal.cassandra.chunks import CassandraChunks
from durable_saga_server.journal.cassandra.index import CassandraIndex
from durable_saga_server.journal.cassandra.listing import Listing
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.damage import read_events
from durable_saga_server.journal.rules import decide_purge, keys_in

EVENTS_PER_READ = 500


class Purging:
    def __init__(self, session: Session, listing: Listing, index: CassandraIndex, chunks: CassandraChunks) -> None:
        self._session = session
        self._listing = listing
        self._index = index
        self._chunks = chunks

    async def purge(self, head: Head | None, run: Run, incarnation: bytes, before_ms: int, now_ms: int) -> Outcome:
        """`head` is what a linearizable read has just given. Raises JournalUnavailable."""
        decided = decide_purge(head, incarnation)
        if head is None or isinstance(decided, Fenced):
            return decided
        key = (run.namespace, run.saga, run.run)
        await self._drop_keys(head, before_ms)
        await asyncio.gather(
            self._session.read("purge_inbox", before_ms * 1000 - 1, *key),
            self._chunks.drop(run, before_ms),
            self._listing.purge(head, now_ms),
        )
        outcome = await self._session.conditional(("purge_head", (*key, incarnation)), ("purge_events", key))
        if isinstance(outcome, Unknown):
            return outcome
        applied, row = outcome
        return Committed(head) if applied or row.get("incarnation") is None else Fenced()

    async def _drop_keys(self, head: Head, before_ms: int) -> None:
        run = head.run
        for first in range(0, head.next_seq, EVENTS_PER_READ):
            rows = await self._session.read("events", run.namespace, run.saga, run.run, first, first + EVENTS_PER_READ)
            try:
                events = read_events(run, enumerate((event for (event,) in rows), first))
            except JournalDamaged as error:
                events = list(error.left)  # a key of the others finds no run any more, and goes when somebody publishes to it
            for key in keys_in(events):
                await self._index.drop_key(run.namespace, key, run, before_ms)
