"""Inboxes on Cassandra. What waits in one is bounded. A look at an inbox reads all of it, so there is one only for each
COUNT_EVERY messages, and for each quarter of INBOX_BYTES_MAX that this process has put into one run. Several servers may each
use that much up. A run that is full is looked at again after FULL_MS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from durable_saga.pb import history_pb2 as h
from durable_saga_server.clock import Clock
from durable_saga_server.journal import INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, InboxFull, Run
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.damage import read_messages
from durable_saga_server.journal.rules import in_order

COUNT_EVERY = 256
FULL_MS = 1_000
COUNTED_RUNS_MAX = 10_000


@dataclass(slots=True)
class _Put:
    """Since the last look at that run, by this process. `full`: what was said then, and until when it holds."""

    size: int = 0
    full: str = ""
    full_until_ms: int = 0


class CassandraInbox:
    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._puts = 0
        self._runs: dict[Run, _Put] = {}

    async def put(self, run: Run, message: h.InboxMessage) -> bool:
        if await self._session.read("message", *run, message.message_id):
            return False
        data = message.SerializeToString()
        await self._check(run, len(data))
        now_us = self._clock.now_ms() * 1000
        await self._session.read("put_message", *run, message.message_id, message.received_ms, data, now_us)
        return True

    async def has(self, run: Run, message_id: str) -> bool:
        return bool(await self._session.read("message", *run, message_id))

    async def unread(self, run: Run) -> Sequence[h.InboxMessage]:
        rows = await self._session.read("inbox", *run)
        return in_order(read_messages(run, (message for message, consumed in rows if message and not consumed)))

    async def _check(self, run: Run, size: int) -> None:
        self._puts += 1
        put = self._runs[run] = self._runs.pop(run, _Put())
        if len(self._runs) > COUNTED_RUNS_MAX:
            del self._runs[next(iter(self._runs))]  # the one that got nothing for the longest time
        if put.full and self._clock.now_ms() < put.full_until_ms:
            raise InboxFull(put.full)
        put.size += size
        if put.size > INBOX_BYTES_MAX // 4 or put.full:
            rows = await self._session.read("inbox", *run)
            sizes = [len(data) for data, consumed in rows if data and not consumed]
            put.full = _full(run, len(sizes), sum(sizes))
            put.size = 0
        elif self._puts % COUNT_EVERY == 0:
            unread = sum(not consumed for (consumed,) in await self._session.read("unread", *run))
            put.full = _full(run, unread, 0)
        if put.full:
            put.full_until_ms = self._clock.now_ms() + FULL_MS
            raise InboxFull(put.full)


def _full(run: Run, messages: int, size: int) -> str:
    """Empty: it has room."""
    if messages >= INBOX_MESSAGES_MAX:
        found = f"{messages} unread messages (INBOX_MESSAGES_MAX is {INBOX_MESSAGES_MAX})"
    elif size >= INBOX_BYTES_MAX:
        found = f"{size} bytes of unread messages (INBOX_BYTES_MAX is {INBOX_BYTES_MAX})"
    else:
        return ""
    return f"{run.saga} has {found}: send more when it has read some"
