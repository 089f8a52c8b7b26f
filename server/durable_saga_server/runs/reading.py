"""What can be seen from outside: one run, many runs, counts, and who reports what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga_server.failures import check_name, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.history.message_view import taken_ids
from durable_saga_server.history.view import Folding, fold
from durable_saga_server.journal import Head, JournalDamaged, Run
from durable_saga_server.journal.rules import begins_later
from durable_saga_server.keys import key_of
from durable_saga_server.means import Means
from durable_saga_server.runs.heads import Heads
from durable_saga_server.runs.waiters import Waiters
from durable_saga_server.workers.handing import HISTORY_BYTES_HANDED_MAX
from durable_saga_server.workers.sessions import Sessions

LEASE_MS_MAX = 3_600_000
NAMES_MAX = 20
"""Of saga types, in a message."""
UNCLAIMED_MS = 3_000
"""A run that could go on for this long, and does not, may lack a worker."""
_LOOK_SECONDS = 1.0
_LOOK_SECONDS_MAX = 8.0
LOOKS_PER_SECOND_MAX = 500
"""Of all who wait, at the heads of their sagas: another server may have ended them."""


class Reading:
    """Every call raises ServiceError."""

    def __init__(self, means: Means, sessions: Sessions, heads: Heads, waiters: Waiters) -> None:
        self._journal = means.journal
        self._clock = means.clock
        self._config = means.config
        self._sessions = sessions
        self._heads = heads
        self._waiters = waiters

    @guard_journal
    async def describe(self, request: c.DescribeRequest) -> c.Description:
        head = await self._heads.head(request.key)
        described = await self._describe(head, [])
        if request.key.run and not described.next_run and head.status not in OPEN:
            described.next_run = await self._restarted_as(head)
        return described

    async def _restarted_as(self, head: Head) -> int:
        """The run after one that has ended and did not continue, 0: there is none."""
        first = head.run._replace(run=1)
        root = head if head.run == first else await self._journal.runs.head(first)
        return head.run.run + 1 if root is not None and root.newest > head.run.run else 0

    async def _describe(self, head: Head, events: Sequence[h.Event]) -> c.Description:
        """`events` are what is known of its history, from the start."""
        view = self.view(head)
        folding = Folding(view)
        folding.add(events[: head.next_seq])
        waiting = await self._journal.inbox.unread(head.run) if head.status != h.CONTINUED else []
        taken = taken_ids(events[: head.next_seq]) if waiting else set()
        seq = min(len(events), head.next_seq)
        while seq < head.next_seq:
            page = await self._page(head, seq)
            if not page.events and not page.damaged:
                break
            folding.add(page.events)
            taken |= taken_ids(page.events) if waiting else set()
            seq = page.next_seq
            view.damaged = view.damaged or page.damaged
            if folding.size > HISTORY_BYTES_HANDED_MAX:
                view.damaged = f"the history is too long to be described: {folding.size} bytes up to event {seq}"
                break
        folding.finish([one for one in waiting if one.message_id not in taken], self._clock.now_ms())
        if seq < head.next_seq and not view.damaged:
            view.damaged = f"the history is damaged: {head.next_seq - seq} of its events, from {seq} on, are missing"
        view.blocked = view.blocked or view.damaged
        if (pause := self._sessions.paused.pause_of(head.run.namespace, head.saga_type)) and head.status in OPEN:
            view.pauses.append(pause)
        return view

    @guard_journal
    async def history(self, request: c.HistoryRequest) -> c.HistoryReply:
        head = await self._heads.head(request.key)
        limit = min(request.limit or self._config.events_per_read, self._config.events_per_read)
        return await self._page(head, request.from_seq, limit)

    async def _page(self, head: Head, from_seq: int, limit: int = 0) -> c.HistoryReply:
        """As many events as fit into one read, and what can't be read among them. Raises JournalError."""
        run, limit = head.run, limit or self._config.events_per_read
        try:
            events = await self._journal.runs.events(run, from_seq, limit)
        except JournalDamaged as error:
            next_seq = max([from_seq + 1, *(event.seq + 1 for event in error.left)])
            if not error.left:  # nothing of this piece is left: it is passed over
                next_seq = min(from_seq + limit, head.next_seq)
            return c.HistoryReply(events=error.left, next_seq=next_seq, key=key_of(run), damaged=str(error))
        return c.HistoryReply(events=events, next_seq=from_seq + len(events), key=key_of(run))

    @guard_journal
    async def wait(self, request: c.WaitRequest) -> c.Description:
        key, until = request.key, self._clock.now_ms() + min(request.wait_ms, self._config.wait_ms_max)
        end = self._waiters.end_of(key.namespace, key.saga) if request.outcome else None
        if end is not None and (key.run or (await self._heads.head(key)).run.run) == end[0].run:
            return _completed(*end)  # an id can begin again, also at another server: which run is the newest is read
        pause = _LOOK_SECONDS
        with self._waiters.waiting(key.namespace, key.saga) as waiter:
            event, run = waiter.event, Run(key.namespace, key.saga, key.run or 1)
            head: Head | None = None
            seen: Head | None = None
            of: Run | None = None
            if not self._sessions.is_at_work(run):  # else its end wakes us, and a look now and then tells what others did
                seen = await self._glance(key)
                head = seen or await self._heads.head(key)
            events: Sequence[h.Event] = []
            while (left_ms := until - self._clock.now_ms()) > 0 and not (head and await self._is_at_rest(head)):
                try:
                    async with asyncio.timeout(min(left_ms / 1000, pause)):
                        await event.wait()
                except TimeoutError:
                    pause = self._pause_after(pause)  # another server may have ended it: look, now and then
                    if (seen := await self._glance(key)) is not None and not event.is_set():
                        head, events = seen, []
                        continue
                if request.outcome and waiter.end is not None and key.run in (0, waiter.end[0].run):
                    return _completed(*waiter.end)
                seen, of, limit = None, head.run if head else run, self._config.events_per_read if event.is_set() else 0
                event.clear()
                head, events = await asyncio.gather(self._heads.head(key), self._first_events(of, limit))
            if head is None or head is seen:
                head = await self._heads.head(key)  # it was at most glanced at, and that is not to be shown
            if request.outcome and (found := await self._outcome(head)) is not None:
                return found
            return await self._describe(head, events if head.run == of else [])

    def _pause_after(self, pause: float) -> float:
        """With many who wait, each looks less often."""
        return max(min(pause * 2, _LOOK_SECONDS_MAX), len(self._waiters) / LOOKS_PER_SECOND_MAX)

    async def _outcome(self, head: Head) -> c.Description | None:
        """Of a completed run: its last event tells it. One that is at work has none yet."""
        if head.status in (h.RUNNING, h.COMPENSATING):
            return self.view(head)
        try:
            last = await self._journal.runs.events(head.run, head.next_seq - 1, 1) if head.status == h.COMPLETED else []
        except JournalDamaged:
            return None
        return _completed(head.run, last[0]) if last and last[0].HasField("saga_ended") else None

    async def _glance(self, key: h.RunKey) -> Head | None:
        """The head of the run that is named, or of the first, if it is at work as far as a cheap look tells; else None, and it
        is to be read."""
        check_name("namespace", key.namespace, self._config.id_characters_max)
        check_name("saga id", key.saga, self._config.id_characters_max)
        head = await self._journal.runs.glance(Run(key.namespace, key.saga, key.run or 1))
        return head if head is not None and head.status in (h.RUNNING, h.COMPENSATING) else None

    async def _first_events(self, run: Run, limit: int) -> Sequence[h.Event]:
        """Asked for together with the head: when it has ended they are wanted next."""
        try:
            return await self._journal.runs.events(run, 0, limit) if limit else []
        except JournalDamaged:
            return []  # they are read again, and told as what they are

    async def _is_at_rest(self, head: Head) -> bool:
        """It ended, or only a person can go on, and none has said a word that is still on its way."""
        if head.status in (h.HELD, h.COMPENSATION_STUCK):
            if await self._journal.inbox.unread(head.run):
                return False
            now = await self._journal.runs.head(head.run)  # the word may have been taken since the head was read
            return now is not None and now.next_seq == head.next_seq
        return head.status not in OPEN

    @guard_journal
    async def changes(self, request: c.ChangesRequest) -> c.ListReply:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        limit = min(request.limit or 100, self._config.list_max)
        found = await self._journal.index.changes(request.namespace, request.after_ms, limit)
        wanted = set(request.status)
        return c.ListReply(sagas=[describe_head(head) for head in found if not wanted or head.status in wanted])

    @guard_journal
    async def claim(self, request: c.ClaimRequest) -> c.ClaimReply:
        for what, name in (("namespace", request.namespace), ("group", request.group), ("item", request.item)):
            check_name(what, name, self._config.claim_characters_max)
        if request.confirm:
            await self._journal.claims.confirm(request.namespace, request.group, request.item)
            return c.ClaimReply(claimed=True)
        now_ms = self._clock.now_ms()
        until_ms = now_ms + min(max(request.lease_ms, 1), LEASE_MS_MAX)
        claimed = await self._journal.claims.claim(request.namespace, request.group, request.item, now_ms, until_ms)
        return c.ClaimReply(claimed=claimed)

    def view(self, head: Head) -> c.Description:
        """With the reason why it stands still, where this server knows one that the journal does not."""
        view = describe_head(head)
        view.paused = self._sessions.paused.why_of(head) if head.status in OPEN else ""
        if begins_later(head, self._clock.now_ms()):
            view.starts_ms = head.wake_at_ms
        overdue = 0 < head.wake_at_ms <= self._clock.now_ms() - UNCLAIMED_MS
        if overdue and not head.owner and not head.blocked and head.status in (h.RUNNING, h.COMPENSATING):
            workers = [one for one in self._sessions if one.namespace == head.run.namespace]
            if not any(head.saga_type in one.saga_types for one in workers):
                view.blocked = f"no worker connected to this server runs sagas of type {head.saga_type!r}: start one"
                known = sorted({name for one in workers for name in one.saga_types})
                if known:
                    view.blocked += f", or check the name. The connected workers run {', '.join(known[:NAMES_MAX])}"
        return view


def shown(status: int) -> Any:
    """What a head holds goes over the wire as it is, known here or not."""
    return status if abs(status) < 2**31 else h.STATUS_UNSPECIFIED


def _completed(run: Run, end: h.Event) -> c.Description:
    view = c.Description(key=key_of(run), status=h.COMPLETED)
    fold([end], view)
    return view


def describe_head(head: Head) -> c.Description:
    return c.Description(
        key=key_of(head.run), saga_type=head.saga_type, status=shown(head.status), owner=head.owner,
        epoch=head.epoch, next_seq=head.next_seq, started_ms=head.started_ms, updated_ms=head.updated_ms,
        ended_ms=head.ended_ms, wake_at_ms=head.wake_at_ms, blocked=head.blocked,
        attributes=dict(head.attributes), build=head.build,
    )  # fmt: skip
