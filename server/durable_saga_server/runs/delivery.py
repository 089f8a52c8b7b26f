"""A message on its way to a run: durable in its inbox first, then to its owner, or somebody is made the owner."""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga_server.cell import Cell
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head, Run
from durable_saga_server.journal.rules import begins_later
from durable_saga_server.keys import key_of
from durable_saga_server.means import Means
from durable_saga_server.runs.not_begun import NotBegun
from durable_saga_server.waking.wake import Waker
from durable_saga_server.workers.dispatch import Dispatcher


class Delivery:
    """What is to be awaited raises JournalError."""

    def __init__(
        self, means: Means, cell: Cell, dispatcher: Dispatcher, waker: Waker, not_begun: NotBegun
    ) -> None:  # fmt: skip
        self._journal = means.journal
        self._clock = means.clock
        self._config = means.config
        self._not_begun = not_begun
        self._cell = cell
        self._dispatcher = dispatcher
        self._sessions = dispatcher.sessions
        self._waker = waker

    def has_owner(self, run: Run) -> bool:
        """A worker that is connected here, as far as this server knows."""
        return self._sessions.owner(run) is not None

    async def put(self, head: Head, message: h.InboxMessage) -> bool:
        """Into the inbox of an open run, then to its owner, or somebody is made the owner. False: it was there."""
        soon_ms = self._config.message_hint_ms
        await self._waker.hint_within(head.run, soon_ms // 2, soon_ms)
        new = await self._journal.inbox.put(head.run, message)
        await self.hand_over(head, [message] if new else [])
        return new

    async def hand_over(self, head: Head, messages: Sequence[h.InboxMessage]) -> None:
        """What has just been put: to the owner, where it can be reached from here."""
        self._dispatcher.messages_came(head.run, messages)
        if head.owner and self._sessions.owner(head.run) is None and self._cell.is_home(head.run):
            # it was parked or ended since the head was read, or its worker has not said yet that it has it
            now = await self._journal.runs.head(head.run)
            if now is None or now.status not in OPEN:
                return
            head = now
        if (session := self._sessions.owner_by(head) or self._sessions.named(head.owner, head.run.namespace)) is not None:
            if (owned := session.owned.get(head.run)) is None and not session.greeted:
                return  # its inbox is looked at when the worker has told that it owns the run
            epoch = owned.epoch if owned is not None else head.epoch
            session.deliver(head.run, key_of(head.run), epoch, messages)
        elif (member := self._cell.with_worker(head.owner)) is not None:
            await self._waker.mailbox.nudge(member, head.run)
        elif begins_later(head, self._clock.now_ms()):
            await self._not_begun.stop(head, messages)
        elif not head.owner:
            await self._waker.wake(head, messages)
