"""What reaches a run from outside: messages, which are durable before they are acknowledged.

A message waits in the run's inbox; its owner puts it into the history. What can be refused is refused before it is written.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga_server.failures import ServiceError, carried_in, check_name, check_payload, guard_journal
from durable_saga_server.history.asking import why_without_effect
from durable_saga_server.history.view import DECIDABLE
from durable_saga_server.journal import Head, Run
from durable_saga_server.large import LargePayloads
from durable_saga_server.means import Means
from durable_saga_server.runs.chains import Chains
from durable_saga_server.runs.delivery import Delivery
from durable_saga_server.runs.heads import Heads
from durable_saga_server.workers.paused_types import PausedTypes

REMEMBERING_RUNS = 8
"""So many runs of a saga, before the newest, know a message that one of them got and that comes again."""
Call = Callable[["Messages", Any], Awaitable[c.MessageReply]]
_STAND = {
    "": "the saga is not undoing it",
    "done": "it is done, so nothing is left to decide",
    "skipped": "it is skipped, so nothing is left to decide",
    "resolved": "it is resolved, so nothing is left to decide",
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
    """Every call raises ServiceError. `describe` is the call of that name: what an operator asks for may depend on it."""

    def __init__(
        self, means: Means, large: LargePayloads, chains: Chains, heads: Heads, delivery: Delivery,
        describe: Callable[[c.DescribeRequest], Awaitable[c.Description]], paused: PausedTypes,
    ) -> None:  # fmt: skip
        self._journal = means.journal
        self._clock = means.clock
        self._config = means.config
        self._large = large
        self._chains = chains
        self._heads = heads
        self._delivery = delivery
        self._describe = describe
        self._paused = paused
        self._last = (0, 0)

    @guard_journal
    @_repeatable
    async def signal(self, request: c.SignalRequest) -> c.MessageReply:
        check_name("signal name", request.name, self._config.id_characters_max)
        check_payload(request.input.data, self._config.payload_bytes_max)
        signal = h.SignalReceived(
            message_id=request.message_id, name=request.name, input=request.input, **carried_in(request)
        )  # fmt: skip
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
        head = await self._heads.open_head(request.key)
        if head.status != h.HELD:
            raise ServiceError(
                "FAILED_PRECONDITION",
                f"saga {request.key.saga!r} is {status_name(head.status)}: only a saga that is HELD can be recovered",
            )
        recover = h.RecoverRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, recover=recover))

    async def _unwindable(self, key: h.RunKey) -> str:
        """Why the saga can't go on now, empty: nothing is known. Raises ServiceError where an unwind can't be asked for."""
        await self._heads.open_head(key)
        described = await self._describe(c.DescribeRequest(key=key))
        if reason := why_without_effect(described):
            raise ServiceError("FAILED_PRECONDITION", reason)
        return described.blocked or (f"it is paused {described.paused}" if described.paused else "")

    @guard_journal
    @_repeatable
    async def pause(self, request: c.PauseRequest) -> c.MessageReply:
        pause = h.PauseRequested(
            message_id=request.message_id, reason=request.reason, who=request.who, stop_clocks=request.stop_clocks
        )
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, pause=pause))

    @guard_journal
    @_repeatable
    async def resume(self, request: c.ResumeRequest) -> c.MessageReply:
        await self._resumable(request.key)
        resume = h.ResumeRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, resume=resume))

    @guard_journal
    @_repeatable
    async def retry_now(self, request: c.RetryNowRequest) -> c.MessageReply:
        retry = h.RetryRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, retry=retry))

    async def _resumable(self, key: h.RunKey) -> None:
        """Raises ServiceError where the run is not paused, and no pause is on its way to it."""
        await self._heads.open_head(key)
        for _ in range(2):  # a pause may go from the inbox into the history while both are read
            described = await self._describe(c.DescribeRequest(key=key))
            waits = any(one.kind == "pause" and one.state == "waiting" for one in described.messages)
            if waits or any(not one.saga_type for one in described.pauses):
                return
        whole = next((f": its type {one.saga_type} is. Resume the type" for one in described.pauses), "")
        raise ServiceError("FAILED_PRECONDITION", f"saga {key.saga!r} is not paused itself{whole}")

    @guard_journal
    async def publish(self, request: c.PublishRequest) -> c.PublishReply:
        """To one saga, or to every open saga that declared the key. The message id makes each of them get it once."""
        if bool(request.saga) == bool(request.correlation_key):
            raise ServiceError(
                "INVALID_ARGUMENT", "an event goes either to a saga id or to a correlation key: give one of the two"
            )
        keys = [h.RunKey(namespace=request.namespace, saga=request.saga)]
        if request.correlation_key:
            found = await self._heads.open_keyed(request.namespace, request.correlation_key)
            if not found:
                raise ServiceError("NOT_FOUND", f"no open saga has the correlation key {request.correlation_key!r}")
            keys = [h.RunKey(namespace=request.namespace, saga=head.run.saga) for head in found]
        delivered = 0
        for key in keys:
            signal = c.SignalRequest(
                key=key, message_id=request.message_id, name=request.event, input=request.input, **carried_in(request)
            )  # fmt: skip
            try:
                await self.signal(signal)
            except ServiceError as error:
                if request.saga or error.code != "FAILED_PRECONDITION":
                    raise
            else:
                delivered += 1  # the others have ended since they were looked up
        return c.PublishReply(delivered=delivered)

    @guard_journal
    @_repeatable
    async def decide(self, request: c.DecideRequest) -> c.MessageReply:
        decision = request.decision
        description = await self._describe(c.DescribeRequest(key=request.key))
        step = next((one for one in description.steps if one.call == decision.call), None)
        if step is None or not step.compensation:
            raise ServiceError("NOT_FOUND", f"saga {request.key.saga} has no compensation for call {decision.call!r}")
        if decision.verb == h.CompensationDecided.RESOLVE and not decision.note:
            raise ServiceError("INVALID_ARGUMENT", "resolving a compensation by hand needs a note that says what was done")
        state = step.compensation_state
        if state not in DECIDABLE or (decision.verb == h.CompensationDecided.RETRY and state != "stuck"):
            stands = _STAND.get(state, f"it is {state}, and only a stuck compensation can be tried again by hand")
            which = f"the compensation of call {decision.call} of saga {request.key.saga!r}"
            raise ServiceError("FAILED_PRECONDITION", f"{which} can't be decided now: {stands}")
        message = h.InboxMessage(message_id=decision.message_id, decision=decision)
        return await self._message(request.key, message)

    async def _message(self, key: h.RunKey, message: h.InboxMessage, blocked: str = "") -> c.MessageReply:
        """Durable first, acknowledged after; then the owner gets it, or somebody is made the owner. `blocked`: why it can't
        take effect yet, as far as it is known before the head is read."""
        check_name("message id", message.message_id, self._config.id_characters_max)
        head = await self._heads.open_head(key)
        self._large.check_room()
        message = await self._large.detach(head.run, message)
        message.received_ms, message.place = self._next_place()
        if await self._had_before(head.run, message.message_id):
            return c.MessageReply(duplicate=True, waits_for=blocked or self._why_it_waits(head, message))
        new = await self._delivery.put(head, message)
        if not self._delivery.has_owner(head.run):
            await self._chains.follow(head.run)  # it may have ended, and the next one begun, without this message
        return c.MessageReply(duplicate=not new, waits_for=blocked or self._why_it_waits(head, message))

    def _why_it_waits(self, head: Head, message: h.InboxMessage) -> str:
        """Empty: nothing is known. A pause and a resume don't wait for the end of a pause."""
        is_of_pause = message.WhichOneof("kind") in ("pause", "resume")
        paused = "" if is_of_pause else self._paused.why_of(head)
        return head.blocked or (f"it is paused {paused}" if paused else "")

    def _next_place(self) -> tuple[int, int]:
        """Milliseconds, and a place in them: after all that this server gave before, even where the clock stands still."""
        now_ms, (last_ms, place) = self._clock.now_ms(), self._last
        self._last = (now_ms, 0) if now_ms > last_ms else (last_ms, place + 1)
        return self._last

    async def is_there(self, key: h.RunKey, message_id: str) -> bool:
        """Whether the run that is named, or one of those before it, has got it, read or not."""
        run = (await self._heads.head(key)).run
        return await self._journal.inbox.has(run, message_id) or await self._had_before(run, message_id)

    async def _had_before(self, run: Run, message_id: str) -> bool:
        """A repetition of what one of the runs before this one got: it has read it, or handed it on."""
        before = [run._replace(run=number) for number in range(run.run - 1, max(run.run - 1 - REMEMBERING_RUNS, 0), -1)]
        had = await asyncio.gather(*(self._journal.inbox.has(one, message_id) for one in before))
        newest = next((one for one, has in zip(before, had, strict=True) if has), None)
        if newest is not None:
            await self._chains.follow(newest)  # it may lie there still, since a server died before it handed it on
        return newest is not None
