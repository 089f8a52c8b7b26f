"""Wakes runs that nobody owns: timers, messages to parked runs, owners that died. Driven by the hints in the journal.

A hint says only when to look; the head decides. Each one that is looked at leads to nothing more to do, to a hand-out with
a later hint already written, to that later hint alone, or to another look while its truth may be on its way; only then does
the watermark pass it. A server reads the shards that it is the home of; two homes of one shard are safe (docs/cell.md).
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.log_fields import about
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, Hint, Journal, JournalDamaged, JournalError, Run
from durable_saga_server.journal.rules import begins_later
from durable_saga_server.tending import mistake, tend
from durable_saga_server.waking.ended import EndedRuns
from durable_saga_server.waking.first_look import FirstLook
from durable_saga_server.waking.mailbox import Mailbox
from durable_saga_server.waking.undoing import STOPS, is_to_be_undone
from durable_saga_server.workers.dispatch import Dispatcher, place_of

log = logging.getLogger(__name__)
HINTS_PER_READ = 5_000
_TRIES = STOPS | {"retry"}
"""Messages for which a run that is blocked is tried at once."""
LOOKS_AT_ONCE_MAX = 64
BRING_NEAR_MS = 3_600_000
MISTAKE_AGAIN_MS = 30_000
_AGAIN_MS = 1_000
_IDLE_SECONDS = 60.0
Row = tuple[int, str, str, int]
Stop = Callable[[Head, Sequence[h.InboxMessage]], Awaitable[None]]


@dataclass(eq=False)
class Shard:
    """What this engine knows of one shard since it is its home. `known`: read and not handled; `handled`: what a later read
    brings again. The watermark stays behind both."""

    number: int
    since_ms: int
    passed_ms: int = -1
    read_until_ms: int = 0
    near_until_ms: int = 0
    marked_ms: int = 0
    known: set[Row] = field(default_factory=set)
    handled: set[Row] = field(default_factory=set)

    def advance(self, until_ms: int) -> None:
        """The watermark goes there, or up to what is not handled."""
        first = min(self.known)[0] - 1 if self.known else until_ms
        self.passed_ms = max(self.passed_ms, min(first, until_ms))
        self.handled = {row for row in self.handled if row[0] > self.passed_ms}


def _runs_known(shards: list[Shard]) -> list[Run]:
    rows = sorted(row for shard in shards for row in shard.known)
    return list(dict.fromkeys(Run(*row[1:]) for row in rows))


def _list_again(journal: Journal, head: Head) -> None:
    """Of a run without an owner: who wrote its head may have died before the row of the listing was written."""
    if head.status != h.RUNNING or head.blocked:
        journal.index.list_again(head)


async def can_go_on(journal: Journal, head: Head, now_ms: int) -> bool:
    """Its time has come, or it has a message; one that is blocked, a message that asks for it, and that came since. One that is
    to begin later waits for its time. Raises JournalError."""
    if head.wake_at_ms and head.wake_at_ms <= now_ms:
        return True
    if begins_later(head, now_ms):
        return False
    unread = await journal.inbox.unread(head.run)
    if head.blocked and head.wake_at_ms > now_ms:
        unread = [one for one in unread if one.WhichOneof("kind") in _TRIES and one.received_ms >= head.updated_ms]
    return bool(unread)


class Waker:
    """Owns the hints that are due soon."""

    def __init__(self, journal: Journal, clock: Clock, config: Config, cell: Cell, dispatcher: Dispatcher) -> None:
        self.stop_not_begun: Stop | None = None
        self.over = EndedRuns(journal, clock, config, dispatcher)
        self.mailbox = Mailbox(journal, clock, config, cell, self.nudged)
        self._journal = journal
        self._clock, self._config = clock, config
        self._cell, self._dispatcher = cell, dispatcher
        self._sessions = dispatcher.sessions
        self._first_look = FirstLook(journal, clock, config, cell, dispatcher, self)
        self._shards: dict[int, Shard] = {}
        self._looks: list[tuple[int, Row, int]] = []
        self._written: dict[tuple[Run, int], int] = {}
        self.sweep_ms = config.sweep_ms
        self._changed = asyncio.Event()
        self._swept = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._scans: set[asyncio.Task[None]] = set()
        cell.on_change(self._swept.set)

    async def start(self) -> None:
        """Raises JournalError."""
        await self._sweep()
        self.mailbox.start()
        loops = {"hints-sweep": self._keep_sweeping, "hints-fire": self._fire}
        self._tasks = [tend(name, loop, self._clock) for name, loop in loops.items()]

    async def stop(self) -> None:
        await self.mailbox.stop()
        for task in (tasks := [*self._tasks, *self._scans]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- writing hints -------------------------------------------------------------------------------------------------

    async def hint(self, run: Run, due_ms: int) -> None:
        """Make sure that somebody looks at the run at `due_ms`. Durable when it returns. Raises JournalError."""
        while True:
            await self._journal.hints.add(hint := Hint(due_ms, run))
            if not self.is_late(hint):
                break
            due_ms = self._clock.now_ms()  # it took so long that a watermark may have passed it
        self.written(hint)

    async def hint_within(self, run: Run, least_ms: int, most_ms: int) -> None:
        """The same for a look at any time between these, from now. One that is known to be written will do, so that a run
        that is at work, or has many messages, has few hints. Raises JournalError."""
        now_ms = self._clock.now_ms()
        if not least_ms <= self._written.get((run, most_ms), 0) - now_ms <= most_ms:
            await self.hint(run, now_ms + most_ms)
            self._written[run, most_ms] = now_ms + most_ms

    def is_late(self, hint: Hint) -> bool:
        return self._clock.now_ms() > hint.due_ms + self._config.hint_late_ms // 2

    def written(self, hint: Hint) -> None:
        """A hint was written: one that is due before the next sweep is kept in memory too."""
        shard = self._shards.get(hint.shard)
        if shard is not None and hint.due_ms <= shard.read_until_ms:
            self._push(shard, (hint.due_ms, hint.run.namespace, hint.run.saga, hint.run.run))

    # --- reading hints -------------------------------------------------------------------------------------------------

    def _push(self, shard: Shard, row: Row) -> None:
        if row not in shard.known and row not in shard.handled:
            shard.known.add(row)
            self._look_at(row[0], row, shard.number)

    def _look_at(self, at_ms: int, row: Row, number: int) -> None:
        heapq.heappush(self._looks, (at_ms, row, number))
        if self._looks[0][1] == row:
            self._changed.set()

    async def _keep_sweeping(self) -> None:
        while True:
            with suppress(TimeoutError):  # it is time again
                async with asyncio.timeout(self.sweep_ms / 1000):  # wait_for() of 3.11 loses a cancellation
                    await self._swept.wait()
            self._swept.clear()
            try:
                await self._sweep()
            except JournalError as error:
                log.warning("hints can't be read: %s", error)

    async def _sweep(self) -> None:
        self._sessions.forget_foreign(self._cell.is_home, self._clock.now_ms() - self._config.claim_grace_ms)
        now_ms = self._clock.now_ms()
        self._written = {one: due_ms for one, due_ms in self._written.items() if due_ms > now_ms}
        self.over.forget()
        mine = self._cell.shards()
        for number in [number for number in self._shards if number not in mine]:
            del self._shards[number]
        before = set(self._shards)
        await asyncio.gather(*(self._read(number) for number in mine))
        if fresh := [shard for number, shard in self._shards.items() if number not in before]:
            scan = asyncio.create_task(self._first_look.over(partial(_runs_known, fresh)), name="hints-scan")
            self._scans.add(scan)
            scan.add_done_callback(self._scans.discard)

    async def _read(self, number: int) -> None:
        shard = self._shards.get(number)
        now_ms, ahead_ms = self._clock.now_ms(), 2 * self.sweep_ms
        if shard is None:
            shard, ahead_ms = Shard(number, now_ms), self._config.horizon_ms
            shard.passed_ms = await self._journal.hints.watermark(number)
        if shard.near_until_ms < now_ms + BRING_NEAR_MS // 2:
            await self._journal.hints.bring_near(number, now_ms + BRING_NEAR_MS)
            shard.near_until_ms = now_ms + BRING_NEAR_MS
        after_ms, until_ms = shard.passed_ms, now_ms + ahead_ms
        while after_ms < until_ms:
            found = await self._journal.hints.due(number, after_ms, until_ms, HINTS_PER_READ)
            for hint in found:
                self._push(shard, (hint.due_ms, hint.run.namespace, hint.run.saga, hint.run.run))
            after_ms = found[-1].due_ms if len(found) >= HINTS_PER_READ else until_ms
        shard.read_until_ms = max(shard.read_until_ms, until_ms)
        self._shards.setdefault(number, shard)
        await self._pass(shard, now_ms)

    async def _pass(self, shard: Shard, now_ms: int) -> None:
        """Move the watermark up to what is handled, but never into the time in which a hint may still come in late."""
        shard.advance(now_ms - self._config.hint_late_ms)
        if shard.passed_ms >= shard.marked_ms + self._config.mark_every_ms:
            await self._journal.hints.set_watermark(shard.number, shard.passed_ms)
            shard.marked_ms = shard.passed_ms

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _fire(self) -> None:
        while True:
            self._changed.clear()
            due: list[tuple[Row, int]] = []
            while self._looks and self._looks[0][0] <= self._clock.now_ms() and len(due) < LOOKS_AT_ONCE_MAX:
                at_ms, row, number = heapq.heappop(self._looks)
                metrics.TIMER_LAG.record(max(self._clock.now_ms() - at_ms, 0) / 1000)
                due.append((row, number))
            if due:
                await asyncio.gather(*(self._look(row, number) for row, number in due))
                continue
            seconds = (self._looks[0][0] - self._clock.now_ms()) / 1000 if self._looks else _IDLE_SECONDS
            with suppress(TimeoutError):  # the next hint is due
                async with asyncio.timeout(max(seconds, 0.001)):
                    await self._changed.wait()

    async def _look(self, row: Row, number: int) -> None:
        shard = self._shards.get(number)
        if shard is None or row not in shard.known:
            return  # the shard has another home now, which reads it again
        try:
            again_ms = await self._decide(row, shard)
        except JournalError as error:
            log.warning("saga %s can't be looked at now: %s", row[2], error, extra=about(Run(*row[1:])))
            again_ms = await self._put_off(Run(*row[1:])) if isinstance(error, JournalDamaged) else _AGAIN_MS
        except Exception as error:  # one run must not keep the others from being looked at
            mistake(f"run {row[3]} of saga {row[2]} in namespace {row[1]} will be looked at again", error)
            again_ms = await self._put_off(Run(*row[1:]))
        if again_ms:
            self._look_at(self._clock.now_ms() + again_ms, row, number)  # it stays known, so the watermark stays behind it
        else:
            shard.known.discard(row)
            shard.handled.add(row)

    async def _put_off(self, run: Run) -> int:
        """By a hint of its own, so that the watermark does not stand still for it. Milliseconds as `_decide()`."""
        with suppress(JournalError):
            await self.hint(run, self._clock.now_ms() + MISTAKE_AGAIN_MS)
            return 0
        return MISTAKE_AGAIN_MS

    async def _decide(self, row: Row, shard: Shard) -> int:
        """What follows from one hint; milliseconds until it is looked at once more, 0: it is done with. Raises JournalError."""
        run, now_ms = Run(*row[1:]), self._clock.now_ms()
        if await self.over.leads_to_nothing(run, row[0]):
            return 0
        head = await self._journal.runs.head(run)
        if head is None:
            if now_ms < row[0] + self._config.hint_grace_ms:
                return _AGAIN_MS  # its start may be on its way
            if self.over.ended is not None:
                await self.over.ended(run, head)
            return 0
        if head.status not in OPEN:
            await self.over.has_ended(head)
        elif (owner := self._sessions.owner_by(head)) is not None:
            await self.hint_within(run, _AGAIN_MS, self._config.rehint_ms)
            await self._dispatcher.deliver_unread(owner, head)
        elif head.owner and self._may_claim(head, shard, now_ms):
            return _AGAIN_MS
        elif head.owner and (member := self._cell.with_worker(head.owner)) is not None:
            await self.hint_within(run, _AGAIN_MS, self._config.rehint_ms)
            if await self._journal.inbox.unread(run):
                await self.mailbox.nudge(member, run)
        elif head.owner or await self.can_go_on(head, now_ms):
            await self.hint_within(run, _AGAIN_MS, self._config.rehint_ms)
            await self.wake(head)
        else:
            _list_again(self._journal, head)
            if begins_later(head, now_ms) and self.stop_not_begun is not None:
                await self.stop_not_begun(head, await self._journal.inbox.unread(run))
            return max(row[0] + self._config.message_write_ms - now_ms, 0)  # a message may be on its way
        return 0

    async def wake(self, head: Head, came: Sequence[h.InboxMessage] | None = None) -> None:
        """Somebody is to go on with it: a worker of ours, or of a member that alone can reach one. `came`: for these messages
        alone; None: for whatever is in its inbox. Raises JournalError."""
        namespace = head.run.namespace
        if not self._sessions.fits(namespace, head.saga_type):
            member = self._cell.with_type(f"{namespace}/{head.saga_type}")
            if member is not None:
                await self.mailbox.nudge(member, head.run)
                return
            if (session := self._sessions.pick_to_undo(namespace)) is not None and await is_to_be_undone(
                self._journal, head, came, self._clock.now_ms()
            ):
                self._dispatcher.offer(head.run, head.saga_type, session, orphan=bool(head.owner))
                return
        self._dispatcher.wake(
            head.run, head.saga_type, orphan=bool(head.owner), started_ms=place_of(head), build=head.build
        )  # fmt: skip

    def _may_claim(self, head: Head, shard: Shard, now_ms: int) -> bool:
        """Its worker may still tell us that it has it: we are new here, or it got it just now."""
        is_new, fresh = now_ms < shard.since_ms + self._config.lease_ms, head.updated_ms > now_ms - self._config.claim_grace_ms
        return is_new or (fresh and self._sessions.named(head.owner, head.run.namespace) is not None)

    async def nudged(self, run: Run) -> None:
        """Another engine asks: a message for a worker of ours, or a run that we can give to one. Raises JournalError."""
        head = await self._journal.runs.head(run)
        if head is None or head.status not in OPEN:
            return
        if (owner := self._sessions.owner_by(head)) is not None:
            await self._dispatcher.deliver_unread(owner, head)
        elif not head.owner and await self.can_go_on(head, self._clock.now_ms()):
            self._dispatcher.wake(run, head.saga_type, started_ms=place_of(head), build=head.build)

    async def can_go_on(self, head: Head, now_ms: int) -> bool:
        """As the function. Raises JournalError."""
        return await can_go_on(self._journal, head, now_ms)
