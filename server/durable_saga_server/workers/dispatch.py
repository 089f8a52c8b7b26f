"""Hands runs to workers: takes the ownership for one of them, reads the history, sends it.

A run that can go on waits here until a fitting worker has room (`waiting.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.log_fields import about
from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Committed, Head, Journal, JournalDamaged, JournalError, Run
from durable_saga_server.journal.rules import in_order
from durable_saga_server.keys import key_of
from durable_saga_server.tending import tend
from durable_saga_server.workers.damaged import set_aside
from durable_saga_server.workers.handing import Handing, assign, read_history
from durable_saga_server.workers.not_given import NotGiven
from durable_saga_server.workers.placing import Placing
from durable_saga_server.workers.sessions import Behind, Session, Sessions
from durable_saga_server.workers.waiting import BEGUN, Kind, Waiting

log = logging.getLogger(__name__)
ACQUIRE_ATTEMPTS_MAX = 8
INBOX_LOOKS_MAX = 3
"""In a row; what comes faster than that is caught up a moment later."""
_AGAIN_SECONDS = 0.25
_EVERY_EPOCH = 2**63


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Dispatcher:
    """Owns the queue of runs that can go on."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, sessions: Sessions, cell: Cell) -> None:
        self._journal, self._clock, self._config, self._cell = journal, clock, config, cell
        self.sessions = sessions
        self._placing = Placing(sessions)
        self.refusals = self._placing.refusals
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

    def wake(
        self, run: Run, saga_type: str, *, orphan: bool = False, started_ms: int = BEGUN, build: str = ""
    ) -> bool:  # fmt: skip
        """The run can go on. `orphan`: whoever owns it is gone, so it is taken over; otherwise an owner that came meanwhile
        keeps it. `started_ms`: of a run that has not begun; `build`: with which another one began. False when the queue is
        full: its hint brings it back later."""
        self.refusals.retried(run)
        return self._add(run, saga_type, started_ms, orphan=orphan, build=build)

    def _add(self, run: Run, saga_type: str, started_ms: int, *, orphan: bool, build: str) -> bool:
        if not self._placing.has_place(run.namespace, saga_type, self._config.runnable_max):
            return False
        for one in self._handing.get(run, ()):
            one.look = True  # whoever wakes it may have written to it
        self._placing.add(run, saga_type, started_ms, orphan=orphan, build=build)
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

    def bring(self, run: Run, saga_type: str, build: str) -> None:
        """One that some could not go on with, to others."""
        self.refusals.tried(run)
        self._add(run, saga_type, BEGUN, orphan=False, build=build)

    def offer(self, run: Run, saga_type: str, session: Session, *, orphan: bool = False) -> None:
        """To this worker, which has room, unless somebody has it by now. `orphan`: see wake()."""
        if run not in self._assigning:
            self._begin(run, saga_type, session, Waiting(BEGUN, orphan, ""))

    def pick_new(self, run: Run, saga_type: str) -> Session | None:
        """For a run that begins. None where runs of its kind wait for room, or may: it then stands behind them."""
        if self.has_waiting(run, saga_type):
            return None
        return self.sessions.pick(run.namespace, saga_type, side=self._placing.side(run, saga_type))

    def has_waiting(self, run: Run, saga_type: str) -> bool:
        """In front of a run that begins."""
        return self._held > 0 or self._placing.any_of(run, saga_type)

    def lengths(self) -> list[tuple[str, int]]:
        """As WaitingRuns.lengths()."""
        return self._placing.lengths()

    def lengths_in(self, namespace: str) -> Counter[str]:
        """As WaitingRuns.lengths_in()."""
        return self._placing.lengths_in(namespace)

    def look_again(self) -> None:
        """A worker came, or has room."""
        if self._placing and not self._held:
            self._changed.set()

    async def _run(self) -> None:
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            for kind in [] if self._held else self._placing.kinds():
                self._hand_out(kind)

    def _hand_out(self, kind: Kind) -> None:
        while len(self._assigning) < self._config.assignments_at_once_max:
            if (found := self._placing.next(kind, self._assigning)) is None:
                return
            run, waiting, session = found
            self._begin(run, kind.saga_type, session, waiting)

    def _begin(self, run: Run, saga_type: str, session: Session, waiting: Waiting) -> None:
        session.reserved += 1
        task = asyncio.create_task(self._assign(run, saga_type, session, waiting))
        self._assigning[run] = task

        def done(_: asyncio.Task[None]) -> None:
            session.reserved -= 1
            self._assigning.pop(run, None)
            self.look_again()

        task.add_done_callback(done)

    async def _assign(self, run: Run, saga_type: str, session: Session, waiting: Waiting) -> None:
        with self.handing(run, look=True) as handing:
            try:
                taken = await self.take_over(run, session.name, orphan=waiting.orphan)
                if taken is None:
                    return
                head, former = taken
                events = await read_history(self._journal, head, self._config.events_per_read)
                inbox = await self.unread(run, handing)
            except JournalDamaged as error:
                await set_aside(self._journal, self._clock, run, error)
                return
            except JournalError as error:
                log.warning("saga %s can't be handed out: %s", run.saga, error, extra=about(run, saga_type))
                await self._clock.sleep(_AGAIN_SECONDS)
                self.wake(run, saga_type, orphan=waiting.orphan, started_ms=waiting.place, build=waiting.build)
                return
            self._give(session, head, events, inbox, former)

    def _give(
        self, session: Session, head: Head, events: list[h.Event], inbox: list[h.InboxMessage], former: str = ""
    ) -> None:  # fmt: skip
        if session.closed:  # the worker went away before it got it
            self.wake(head.run, head.saga_type, orphan=True, started_ms=place_of(head), build=head.build)
        else:
            assign(session, head, events, inbox, is_home=self._cell.is_home(head.run), former=former)
            self.not_given.given(head.run)

    async def give_new(self, session: Session, head: Head, event: h.Event, handing: Handing) -> None:
        """A run that has just begun, with the worker as its owner."""
        try:
            inbox = await self.unread(head.run, handing)
        except JournalError as error:
            log.warning("saga %s can't be handed out: %s", head.run.saga, error, extra=about(head.run, head.saga_type))
            self.wake(head.run, head.saga_type, orphan=True, started_ms=place_of(head), build=head.build)
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
        self.refusals.forget(run)
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


def place_of(head: Head) -> int:
    """In the queue: when it was started or was to begin, unless it has begun."""
    return max(head.started_ms, head.wake_at_ms) if head.next_seq <= 1 else BEGUN


def _is_own_try(head: Head, before: Head | None, owner: str) -> bool:
    """An acquire of ours whose outcome was unknown is what we see."""
    return before is not None and head.owner == owner and head.epoch == before.epoch + 1
