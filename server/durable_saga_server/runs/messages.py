"""What reaches a run from outside: messages, which are durable before they are acknowledged, and the end by force.

A message waits in the run's inbox; its owner puts it into the history. What can be refused is refused before it is written.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga_server.failures import ServiceError, check_name, check_payload, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.history.asking import why_without_effect
from durable_saga_server.history.view import DECIDABLE
from durable_saga_server.journal import Commit, Committed, Head, Run
from durable_saga_server.workers.dispatch import key_of

if TYPE_CHECKING:
    from durable_saga_server.service import HistoryService

TERMINATE_ATTEMPTS_MAX = 5
REMEMBERING_RUNS = 8
"""So many runs of a saga, before the newest, know a message that one of them got and that comes again."""
Call = Callable[["Messages", Any], Awaitable[c.MessageReply]]
_STAND = {
    "": "no unwind holds it",
    "done": "it is done: nothing is left to decide",
    "skipped": "it is skipped: nothing is left to decide",
    "resolved": "it is resolved: nothing is left to decide",
}


def _repeatable(call: Call) -> Call:
    """A message that is in the inbox of its run is acknowledged again, whatever may be refused now: the saga may have ended by
    it before the caller heard of it."""

    @functools.wraps(call)
    async def repeated(self: Messages, request: Any) -> c.MessageReply:
        try:
            return await call(self, request)
        except ServiceError as error:
            message_id = getattr(request, "decision", request).message_id
            if error.code != "FAILED_PRECONDITION" or not await self.is_there(request.key, message_id):
                raise
            return c.MessageReply(duplicate=True)

    return repeated


class Messages:
    """Every call raises ServiceError."""

    def __init__(self, service: HistoryService) -> None:
        self._service = service
        self._last = (0, 0)

    @guard_journal
    @_repeatable
    async def signal(self, request: c.SignalRequest) -> c.MessageReply:
        check_name("signal name", request.name, self._service.config.id_characters_max)
        check_payload(request.input.data, self._service.config.payload_bytes_max)
        signal = h.SignalReceived(message_id=request.message_id, name=request.name, input=request.input)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, signal=signal))

    @guard_journal
    @_repeatable
    async def cancel(self, request: c.CancelRequest) -> c.MessageReply:
        blocked = await self._unwindable(request.key)
        cancel = h.CancelRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, cancel=cancel), blocked)

    @guard_journal
    @_repeatable
    async def compensate(self, request: c.CompensateRequest) -> c.MessageReply:
        blocked = await self._unwindable(request.key)
        compensate = h.CompensateRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, compensate=compensate), blocked)

    @guard_journal
    @_repeatable
    async def recover(self, request: c.RecoverRequest) -> c.MessageReply:
        head = await self._service.reading.open_head(request.key)
        if head.status != h.HELD:
            raise ServiceError(
                "FAILED_PRECONDITION",
                f"saga {request.key.saga!r} is {status_name(head.status)}: only a saga that is HELD can be recovered",
            )
        recover = h.RecoverRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, recover=recover))

    async def _unwindable(self, key: h.RunKey) -> str:
        """Why the saga can't go on now, empty: nothing is known. Raises ServiceError where an unwind can't be asked for."""
        await self._service.reading.open_head(key)
        described = await self._service.reading.describe(c.DescribeRequest(key=key))
        if reason := why_without_effect(described):
            raise ServiceError("FAILED_PRECONDITION", reason)
        return described.blocked

    @guard_journal
    async def publish(self, request: c.PublishRequest) -> c.PublishReply:
        """To one saga, or to every open saga that declared the key. The message id makes each of them get it once."""
        if bool(request.saga) == bool(request.correlation_key):
            raise ServiceError("INVALID_ARGUMENT", "an event goes to a saga id or to a correlation key: give one of them")
        keys = [h.RunKey(namespace=request.namespace, saga=request.saga)]
        if request.correlation_key:
            found = await self.open_keyed(request.namespace, request.correlation_key)
            if not found:
                raise ServiceError("NOT_FOUND", f"no open saga has the correlation key {request.correlation_key!r}")
            keys = [h.RunKey(namespace=request.namespace, saga=head.run.saga) for head in found]
        delivered = 0
        for key in keys:
            signal = c.SignalRequest(key=key, message_id=request.message_id, name=request.event, input=request.input)
            try:
                await self.signal(signal)
            except ServiceError as error:
                if request.saga or error.code != "FAILED_PRECONDITION":
                    raise
            else:
                delivered += 1  # the others have ended since they were looked up
        return c.PublishReply(delivered=delivered)

    async def open_keyed(self, namespace: str, correlation_key: str) -> Sequence[Head]:
        """The newest run of each open saga that declared the key."""
        config, journal = self._service.config, self._service.journal
        check_name("namespace", namespace, config.id_characters_max)
        check_name("correlation key", correlation_key, config.id_characters_max)
        while True:
            asked_ms = self._service.clock.now_ms()
            runs = await journal.index.keyed(namespace, correlation_key, config.keyed_sagas_max + 1)
            heads = {run: await self._newest(run) for run in runs}
            ended = [run for run, head in heads.items() if head is not None and (head.status not in OPEN or head.run != run)]
            for run in ended:
                await journal.index.drop_key(namespace, correlation_key, run, asked_ms)
            if len(runs) <= config.keyed_sagas_max or not ended:
                break
        found = {head.run.saga: head for head in heads.values() if head is not None and head.status in OPEN}
        if len(found) > config.keyed_sagas_max:
            raise ServiceError(
                "RESOURCE_EXHAUSTED",
                f"more than {config.keyed_sagas_max} open sagas have the correlation key {correlation_key!r} (keyed_sagas_max):"
                " publish to their ids",
            )
        return list(found.values())

    async def _newest(self, run: Run) -> Head | None:
        head = await self._service.journal.runs.head(run)
        if head is None or head.status != h.CONTINUED:
            return head
        return await self._service.chains.newest(run.namespace, run.saga)

    @guard_journal
    @_repeatable
    async def decide(self, request: c.DecideRequest) -> c.MessageReply:
        decision = request.decision
        description = await self._service.reading.describe(c.DescribeRequest(key=request.key))
        step = next((one for one in description.steps if one.call == decision.call), None)
        if step is None or not step.compensation:
            raise ServiceError("NOT_FOUND", f"saga {request.key.saga} has no compensation for call {decision.call!r}")
        if decision.verb == h.CompensationDecided.RESOLVE and not decision.note:
            raise ServiceError("INVALID_ARGUMENT", "resolving a compensation by hand needs a note that says what was done")
        state = step.compensation_state
        if state not in DECIDABLE or (decision.verb == h.CompensationDecided.RETRY and state != "stuck"):
            stands = _STAND.get(state, f"it is {state}: only one that is stuck is tried again by hand")
            which = f"the compensation of call {decision.call} of saga {request.key.saga!r}"
            raise ServiceError("FAILED_PRECONDITION", f"{which} can't be decided on now, {stands}")
        message = h.InboxMessage(message_id=decision.message_id, decision=decision)
        return await self._message(request.key, message)

    async def _message(self, key: h.RunKey, message: h.InboxMessage, blocked: str = "") -> c.MessageReply:
        """Durable first, acknowledged after; then the owner gets it, or somebody is made the owner. `blocked`: why it can't
        take effect yet, as far as it is known before the head is read."""
        check_name("message id", message.message_id, self._service.config.id_characters_max)
        head = await self._service.reading.open_head(key)
        self._service.large.check_room()
        message = await self._service.large.detach(head.run, message)
        message.received_ms, message.place = self._next_place()
        if await self._had_before(head.run, message.message_id):
            return c.MessageReply(duplicate=True, waits_for=blocked or head.blocked)
        new = await self.put(head, message)
        if self._service.sessions.owner(head.run) is None:
            await self._service.chains.follow(head.run)  # it may have ended, and the next one begun, without this message
        return c.MessageReply(duplicate=not new, waits_for=blocked or head.blocked)

    def _next_place(self) -> tuple[int, int]:
        """Milliseconds, and a place in them: after all that this server gave before, even where the clock stands still."""
        now_ms, (last_ms, place) = self._service.clock.now_ms(), self._last
        self._last = (now_ms, 0) if now_ms > last_ms else (last_ms, place + 1)
        return self._last

    async def is_there(self, key: h.RunKey, message_id: str) -> bool:
        """Whether the run that is named, or one of those before it, has got it, read or not."""
        run = (await self._service.reading.head(key)).run
        return await self._service.journal.inbox.has(run, message_id) or await self._had_before(run, message_id)

    async def _had_before(self, run: Run, message_id: str) -> bool:
        """A repetition of what one of the runs before this one got: it has read it, or handed it on."""
        before = [run._replace(run=number) for number in range(run.run - 1, max(run.run - 1 - REMEMBERING_RUNS, 0), -1)]
        had = await asyncio.gather(*(self._service.journal.inbox.has(one, message_id) for one in before))
        newest = next((one for one, has in zip(before, had, strict=True) if has), None)
        if newest is not None:
            await self._service.chains.follow(newest)  # it may lie there still, since a server died before it handed it on
        return newest is not None

    async def put(self, head: Head, message: h.InboxMessage) -> bool:
        """Into the inbox of an open run, then to its owner, or somebody is made the owner. False: it was there. Raises
        JournalError."""
        service = self._service
        soon_ms = service.config.message_hint_ms
        await service.waker.hint_within(head.run, soon_ms // 2, soon_ms)
        new = await service.journal.inbox.put(head.run, message)
        await self.hand_over(head, [message] if new else [])
        return new

    async def hand_over(self, head: Head, messages: Sequence[h.InboxMessage]) -> None:
        """What has just been put: to the owner, where it can be reached from here. Raises JournalError."""
        service = self._service
        service.dispatcher.messages_came(head.run, messages)
        if head.owner and service.sessions.owner(head.run) is None and service.cell.is_home(head.run):
            # it was parked or ended since the head was read, or its worker has not said yet that it has it
            now = await service.journal.runs.head(head.run)
            if now is None or now.status not in OPEN:
                return
            head = now
        if (session := service.sessions.owner_by(head) or service.sessions.named(head.owner, head.run.namespace)) is not None:
            if (owned := session.owned.get(head.run)) is None and not session.greeted:
                return  # its inbox is looked at when the worker has told that it owns the run
            epoch = owned.epoch if owned is not None else head.epoch
            session.deliver(head.run, key_of(head.run), epoch, messages)
        elif (member := service.cell.with_worker(head.owner)) is not None:
            await service.waker.mailbox.nudge(member, head.run)
        elif not head.owner:
            await service.waker.wake(head)

    @guard_journal
    async def terminate(self, request: c.TerminateRequest) -> c.TerminateReply:
        head, config = await self._service.reading.open_head(request.key), self._service.config
        await self._service.waker.hint(head.run, self._service.clock.now_ms() + config.message_hint_ms)  # it may have none
        for _ in range(TERMINATE_ATTEMPTS_MAX):
            owned = await self._service.dispatcher.acquire(head.run, "")
            if owned is None:
                return c.TerminateReply()
            event = h.Event(seq=owned.next_seq, time_ms=max(self._service.clock.now_ms(), owned.updated_ms))
            event.saga_terminated.reason, event.saga_terminated.who = request.reason, request.who
            outcome = await self._service.committer.commit(
                Commit(
                    owned.run,
                    owned.incarnation,
                    owned.epoch,
                    self._service.ids.new(),
                    owned.next_seq,
                    [event],
                    h.TERMINATED,
                    self._service.clock.now_ms(),
                    release=True,
                )
            )
            if isinstance(outcome, Committed):
                self._service.streams.revoke(head.run, "terminated")
                self._service.notify(head.run)
                return c.TerminateReply()
        raise ServiceError("UNAVAILABLE", f"saga {head.run.saga} could not be terminated now: try again")
