"""Hands runs to workers: takes the ownership for one of them, reads the history, sends it.

A run that can go on waits here until a fitting worker has room (`waiting.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import BLOCKED_CHARACTERS_MAX
from durable_saga.pb.log_fields import about
from durable_saga.pb.payloads import HISTORY_BYTES_MAX
from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Commit, Committed, Head, Hint, Journal, JournalDamaged, JournalError, Run
from durable_saga_server.journal.rules import in_order
from durable_saga_server.keys import key_of
from durable_saga_server.tending import tend
from durable_saga_server.workers.not_given import NotGiven
from durable_saga_server.workers.sessions import Behind, Ownership, Session, Sessions
from durable_saga_server.workers.waiting import BEGUN, Kind, WaitingRuns

log = logging.getLogger(__name__)
ACQUIRE_ATTEMPTS_MAX = 8
ASSIGN_BYTES_MAX = 4 * 1024 * 1024
ASSIGN_MESSAGES_MAX = 500
INBOX_LOOKS_MAX = 3
"""In a row; what comes faster than that is caught up a moment later."""
DAMAGED_AGAIN_MS = 60_000
HISTORY_BYTES_HANDED_MAX = 3 * HISTORY_BYTES_MAX
"""A longer one is not read to its end: no worker writes such a thing."""
_AGAIN_SECONDS = 0.25
_EVERY_EPOCH = 2**63


def assign(
    session: Session, head: Head, events: list[h.Event], inbox: list[h.InboxMessage], *, is_home: bool, former: str = "",
) -> None:  # fmt: skip
    """The worker owns the run from here on. It tells the run's home; if we are that, we know. A long history goes in pieces.
    `former`: the owner that did not give it back; what another process had under way was cut off."""
    if is_home:
        session.owned[head.run] = Ownership(head.incarnation, head.epoch, head.saga_type)
    item = w.Assign(key=key_of(head.run), incarnation=head.incarnation, epoch=head.epoch)
    item.interrupted = former not in ("", session.name)
    size = 0
    for event in events:
        if size > ASSIGN_BYTES_MAX:
            item.more, size = True, 0
            session.send(w.ServerItem(assign=item))
            item = w.Assign(key=item.key, incarnation=head.incarnation, epoch=head.epoch)
        size += event.ByteSize()
        item.events.append(event)
    first = inbox[:ASSIGN_MESSAGES_MAX]
    item.inbox.extend(first)
    if is_home:
        session.owned[head.run].sent.update((message.message_id, None) for message in first)
    session.behind.pop(head.run, None)
    session.send(w.ServerItem(assign=item))
    session.deliver(head.run, key_of(head.run), head.epoch, inbox[ASSIGN_MESSAGES_MAX:])


class Handing:
    """A run on its way to a worker, who is named its owner in the journal already and can't be sent anything yet. What is
    written into its inbox meanwhile goes with it; otherwise later messages would overtake it. `look`: its inbox is to be read;
    `messages`: what this server wrote into it since; `gone`: the epoch in which its worker has given it up since."""

    __slots__ = ("gone", "look", "messages")

    def __init__(self, look: bool) -> None:
        self.look = look
        self.gone = 0
        self.messages: list[h.InboxMessage] = []


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Dispatcher:
    """Owns the queue of runs that can go on."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, sessions: Sessions, cell: Cell) -> None:
        self._journal = journal
        self._clock = clock
        self._config = config
        self._cell = cell
        self.sessions = sessions
        self._waiting = WaitingRuns()
        self._held = 0
        self._changed = asyncio.Event()
        self._assigning: dict[Run, asyncio.Task[None]] = {}
        self._handing: dict[Run, list[Handing]] = {}
        self.not_given = NotGiven()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = tend("dispatcher", self._run, self._clock)

    async def stop(self) -> None:
        await _cancelled([*self._assigning.values(), *([self._task] if self._task else [])])

    def wake(self, run: Run, saga_type: str, *, orphan: bool = False, started_ms: int = BEGUN) -> bool:
        """The run can go on. `orphan`: whoever owns it is gone, so it is taken over; otherwise an owner that came meanwhile
        keeps it. `started_ms`: of a run that has not begun. False when the queue is full: its hint brings it back later."""
        if len(self._waiting) >= self._config.runnable_max:
            return False
        for one in self._handing.get(run, ()):
            one.look = True  # whoever wakes it may have written to it
        self._waiting.add(run, saga_type, started_ms, orphan=orphan)
        self._changed.set()
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is handed out, and new runs stand in the queue: what waits is being read from the journal, in no order."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self.look_again()

    def offer(self, run: Run, saga_type: str, session: Session, *, orphan: bool = False) -> None:
        """To this worker, which has room, unless somebody has it by now. `orphan`: see wake()."""
        if run not in self._assigning:
            self._begin(run, saga_type, session, orphan)

    def has_waiting(self, namespace: str, saga_type: str) -> bool:
        """Whether runs of this type wait for room, or may: a new one then stands behind them."""
        return self._held > 0 or self._waiting.any_of((namespace, saga_type))

    def lengths(self) -> list[tuple[str, int]]:
        """As WaitingRuns.lengths()."""
        return self._waiting.lengths()

    def look_again(self) -> None:
        """A worker came, or has room."""
        if self._waiting and not self._held:
            self._changed.set()

    async def _run(self) -> None:
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            for kind in [] if self._held else self._waiting.kinds():
                self._hand_out(kind)

    def _hand_out(self, kind: Kind) -> None:
        while len(self._assigning) < self._config.assignments_at_once_max and (run := self._waiting.first(kind)) is not None:
            session = self.sessions.pick(*kind)
            if session is None or run in self._assigning:
                break
            self._begin(run, kind[1], session, self._waiting.take(run, kind))

    def _begin(self, run: Run, saga_type: str, session: Session, orphan: bool) -> None:
        session.reserved += 1
        task = asyncio.create_task(self._assign(run, saga_type, session, orphan))
        self._assigning[run] = task

        def done(_: asyncio.Task[None]) -> None:
            session.reserved -= 1
            self._assigning.pop(run, None)
            self.look_again()

        task.add_done_callback(done)

    async def _assign(self, run: Run, saga_type: str, session: Session, orphan: bool) -> None:
        with self.handing(run, look=True) as handing:
            try:
                taken = await self.take_over(run, session.name, orphan=orphan)
                if taken is None:
                    return
                head, former = taken
                events = await read_history(self._journal, head, self._config.events_per_read)
                inbox = await self.unread(run, handing)
            except JournalDamaged as error:
                await self._set_aside(run, error)
                return
            except JournalError as error:
                log.warning("saga %s can't be handed out: %s", run.saga, error, extra=about(run, saga_type))
                await self._clock.sleep(_AGAIN_SECONDS)
                self.wake(run, saga_type, orphan=orphan)
                return
            self._give(session, head, events, inbox, former)

    def _give(
        self, session: Session, head: Head, events: list[h.Event], inbox: list[h.InboxMessage], former: str = ""
    ) -> None:  # fmt: skip
        if session.closed:  # the worker went away before it got it
            self.wake(head.run, head.saga_type, orphan=True)
        else:
            assign(session, head, events, inbox, is_home=self._cell.is_home(head.run), former=former)
            self.not_given.given(head.run)

    async def give_new(self, session: Session, head: Head, event: h.Event, handing: Handing) -> None:
        """A run that has just begun, with the worker as its owner."""
        try:
            inbox = await self.unread(head.run, handing)
        except JournalError as error:
            log.warning("saga %s can't be handed out: %s", head.run.saga, error, extra=about(head.run, head.saga_type))
            self.wake(head.run, head.saga_type, orphan=True)
        else:
            self._give(session, head, [event], inbox)

    @contextmanager
    def handing(self, run: Run, *, look: bool) -> Iterator[Handing]:
        """Around the naming of an owner and the sending of the run. `look`: its inbox may hold something already."""
        one = Handing(look)
        self._handing.setdefault(run, []).append(one)
        try:
            yield one
        finally:
            self._handing[run].remove(one)
            if not self._handing[run]:
                del self._handing[run]

    def messages_came(self, run: Run, messages: Sequence[h.InboxMessage]) -> None:
        """They were written into the inbox of the run."""
        for one in self._handing.get(run, ()):
            one.messages += messages

    def given_up(self, session: Session, run: Run, epoch: int) -> None:
        """Its worker has ended it or parked it: what was read about that epoch before is out of date."""
        if (owned := session.owned.get(run)) is not None and owned.epoch <= epoch:
            del session.owned[run]
        for one in self._handing.get(run, ()):
            one.gone = max(one.gone, epoch)

    def ended(self, run: Run) -> None:
        """Whoever wrote the end: no worker has it, whatever was read about it before."""
        self.sessions.forget(run)
        for one in self._handing.get(run, ()):
            one.gone = _EVERY_EPOCH

    async def unread(self, run: Run, handing: Handing) -> list[h.InboxMessage]:
        """What waits in the inbox, in order; nothing comes between the last look and the return. Once the journal names the
        owner, messages make no further look necessary, however many come. Raises JournalError."""
        inbox: list[h.InboxMessage] = []
        while handing.look:
            handing.look = False
            inbox = list(await self._journal.inbox.unread(run))
        known = {one.message_id for one in inbox}
        return in_order([*inbox, *(one for one in handing.messages if one.message_id not in known)])

    async def deliver_unread(self, session: Session, head: Head) -> None:
        """What stands in the inbox goes to the owner once more: another server may have put it there. Raises
        JournalError."""
        epoch = owned.epoch if (owned := session.owned.get(head.run)) is not None else head.epoch
        await self.catch_up(session, head.run, epoch)

    async def catch_up(self, session: Session, run: Run, epoch: int) -> None:
        """What it has not got of the inbox, in order: what comes while that is read stands behind it. Raises JournalError."""
        behind = session.behind.setdefault(run, Behind(epoch))
        inbox: Sequence[h.InboxMessage] = []
        for _ in range(INBOX_LOOKS_MAX):
            came = behind.came
            try:
                inbox = await self._journal.inbox.unread(run)
            except BaseException:  # its hint brings it back; until then what comes is sent as it comes
                session.behind.pop(run, None)
                raise
            if behind.came == came:
                break
        if session.behind.get(run) is not behind:
            return  # it was handed out anew meanwhile, or caught up by another look
        del session.behind[run]
        session.deliver(run, key_of(run), epoch, inbox)
        if behind.came != came:
            session.behind.setdefault(run, Behind(epoch))
            if session.on_room is not None:
                session.on_room()

    async def _set_aside(self, run: Run, error: JournalDamaged) -> None:
        """It can't be read, so nobody can go on with it: it is shown as blocked, and looked at again, rarely."""
        log.error("%s", error, extra=about(run))
        try:
            head = await self._journal.runs.head(run)
            if head is None or head.status not in OPEN:
                return
            again_ms = self._clock.now_ms() + DAMAGED_AGAIN_MS
            commit_id = hashlib.sha256(head.last_commit + again_ms.to_bytes(8, "big")).digest()[:16]
            await self._journal.hints.add(Hint(again_ms, run))
            await self._journal.runs.commit_many([
                Commit(
                    run, head.incarnation, head.epoch, commit_id, head.next_seq, [], head.status, head.updated_ms,
                    again_ms, release=True, blocked=str(error)[:BLOCKED_CHARACTERS_MAX],
                )
            ])  # fmt: skip
        except JournalError as other:
            log.warning("saga %s can't be set aside: %s", run.saga, other, extra=about(run))

    async def acquire(self, run: Run, owner: str, *, orphan: bool = True) -> Head | None:
        """As take_over(), without the former owner."""
        taken = await self.take_over(run, owner, orphan=orphan)
        return None if taken is None else taken[0]

    async def take_over(self, run: Run, owner: str, *, orphan: bool = True) -> tuple[Head, str] | None:
        """Take the run over under a new epoch; with it comes the owner that did not give it back, if there was one. None: it is
        gone, has ended, or has an owner that is not to be disturbed. After an unknown outcome, or when somebody else was
        faster, it is tried again, higher. Raises JournalError."""
        before: Head | None = None
        former = ""
        for attempt in range(ACQUIRE_ATTEMPTS_MAX):
            head = await self._journal.runs.head(run)
            if head is None or head.status not in OPEN:
                return None
            if owner and (session := self.sessions.owner_by(head)) is not None and not _is_own_try(head, before, owner):
                await self.deliver_unread(session, head)
                return None  # one of our own workers has it
            if head.owner and not orphan and not _is_own_try(head, before, owner):
                if (session := self.sessions.named(head.owner, run.namespace)) is not None:
                    await self.deliver_unread(session, head)
                return None  # another server gave it to somebody meanwhile; its home sees to it that he lives
            if not _is_own_try(head, before, owner):
                former = self.not_given.former(head)
            before = head
            if owner:
                self.not_given.naming(head, owner, former)
            outcome = await self._journal.runs.acquire(run, head.incarnation, head.epoch, owner, self._clock.now_ms())
            if isinstance(outcome, Committed):
                assert outcome.head is not None, "an acquire tells the head"
                return outcome.head, former
            await self._clock.sleep(0.02 * 2**attempt)
        raise JournalError(f"{run.saga}: the ownership could not be taken in {ACQUIRE_ATTEMPTS_MAX} attempts")


async def read_history(journal: Journal, head: Head, per_read: int) -> list[h.Event]:
    """All of it. Raises JournalError; JournalDamaged where it can't be all."""
    events: list[h.Event] = []
    size = 0
    while len(events) < head.next_seq and size <= HISTORY_BYTES_HANDED_MAX:
        page = await journal.runs.events(head.run, len(events), min(per_read, head.next_seq - len(events)))
        if not page:
            break
        size += sum(event.ByteSize() for event in page)
        events += page
    if len(events) != head.next_seq:
        raise JournalDamaged(
            f"run {head.run.run} of saga {head.run.saga!r} is damaged: {len(events)} events of {size} bytes can be read,"
            f" but the head says {head.next_seq}"
        )
    return events


def _is_own_try(head: Head, before: Head | None, owner: str) -> bool:
    """An acquire of ours whose outcome was unknown is what we see."""
    return before is not None and head.owner == owner and head.epoch == before.epoch + 1
