"""The history service: what clients ask for, without a transport. gRPC and the embedded engine call this very object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableSequence, Sequence

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga_server.clock import Clock, Ids, RandomIds, SystemClock
from durable_saga_server.committer import Committer
from durable_saga_server.config import Config
from durable_saga_server.dispatch import Dispatcher, assign, key_of
from durable_saga_server.failures import ServiceError, check_name, check_payload, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.history.view import fold
from durable_saga_server.journal import Commit, Committed, Created, Exists, Filter, Head, Hint, Journal, Run, Unknown
from durable_saga_server.sessions import Sessions
from durable_saga_server.wake import Waker
from durable_saga_server.work import WorkStreams

TERMINATE_ATTEMPTS_MAX = 5


class HistoryService:
    """Call `start()` first and `stop()` last. Methods are named like the calls of proto/durable_saga/v1/client.proto and
    raise ServiceError with a gRPC status name and a message for the caller."""

    def __init__(
        self, journal: Journal, *, clock: Clock | None = None, ids: Ids | None = None, config: Config | None = None,
        name: str = "server",
    ) -> None:  # fmt: skip
        self.journal = journal
        self.clock = clock or SystemClock()
        self.ids = ids or RandomIds()
        self.config = config or Config()
        self.name = name
        self.sessions = Sessions()
        self.committer = Committer(journal, self.clock, self.config)
        self.dispatcher = Dispatcher(journal, self.clock, self.config, self.sessions)
        self.waker = Waker(journal, self.clock, self.config, self.sessions, self.dispatcher)
        self.streams = WorkStreams(self)
        self._ended: dict[Run, set[asyncio.Event]] = {}

    async def start_up(self) -> None:
        """Make the tables, read the hints, begin to hand out. Raises JournalError."""
        await self.journal.initialize()
        self.committer.start()
        self.dispatcher.start()
        await self.waker.start()

    async def shut_down(self) -> None:
        """Finish what is being written, then close the journal. Workers keep their runs and go to another server."""
        await self.streams.close()
        await self.waker.stop()
        await self.dispatcher.stop()
        await self.committer.stop()
        await self.journal.close()

    def work(self, incoming: AsyncIterator[w.WorkerFrame]) -> AsyncIterator[w.ServerFrame]:
        return self.streams.serve(incoming)

    async def beat(self, request: w.BeatRequest) -> w.BeatReply:
        return self.streams.beat(request)

    def notify(self, run: Run) -> None:
        """The run changed its status: wake those who wait for it."""
        for event in self._ended.get(run, ()):
            event.set()

    # --- starting ------------------------------------------------------------------------------------------------------

    @guard_journal
    async def start(self, request: c.StartRequest) -> c.StartReply:
        check_name("namespace", request.namespace, self.config.id_characters_max)
        check_name("saga id", request.saga, self.config.id_characters_max)
        check_name("saga type", request.saga_type, self.config.id_characters_max)
        check_payload(request.input.data, self.config.payload_bytes_max)
        run = Run(request.namespace, request.saga)
        now_ms = self.clock.now_ms()
        session = self.sessions.pick(run.namespace, request.saga_type)
        event = h.Event(seq=0, time_ms=now_ms, saga_started=h.SagaStarted(
            saga_type=request.saga_type, input=request.input, timeout_ms=request.timeout_ms, seed=self.ids.new(),
        ))  # fmt: skip
        head = Head(
            run, self.ids.new(), request.saga_type, h.RUNNING, session.name if session else "", 1, 1, self.ids.new(),
            now_ms, now_ms, wake_at_ms=now_ms,
        )  # fmt: skip
        if session is not None:
            session.reserved += 1
        try:
            outcome = await self._create(head, event, Hint(now_ms + self.config.rehint_ms, run))
        finally:
            if session is not None:
                session.reserved -= 1
        if outcome.head.incarnation != head.incarnation:
            there = outcome.head
            return c.StartReply(
                key=key_of(run), already_started=True, saga_type=there.saga_type, status=h.Status.Name(there.status)
            )
        if session is not None and not session.closed:
            assign(session, head, [event], [])
        else:
            self.dispatcher.wake(run, head.saga_type)
        return c.StartReply(key=key_of(run), saga_type=head.saga_type, status=h.RUNNING)

    async def _create(self, head: Head, event: h.Event, hint: Hint) -> Created | Exists:
        """The identical write again until its outcome is known."""
        until = self.clock.now_ms() + self.config.resend_for_ms
        while True:
            outcome = await self.journal.create(head, event, hint)
            if not isinstance(outcome, Unknown):
                self.waker.written(hint)
                return outcome
            if self.clock.now_ms() > until:
                raise ServiceError("UNAVAILABLE", f"the journal does not answer ({outcome.reason}): start it again")
            await self.clock.sleep(0.1)

    # --- messages ------------------------------------------------------------------------------------------------------

    @guard_journal
    async def signal(self, request: c.SignalRequest) -> c.MessageReply:
        check_name("signal name", request.name, self.config.id_characters_max)
        check_payload(request.input.data, self.config.payload_bytes_max)
        signal = h.SignalReceived(message_id=request.message_id, name=request.name, input=request.input)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, signal=signal))

    @guard_journal
    async def cancel(self, request: c.CancelRequest) -> c.MessageReply:
        cancel = h.CancelRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        return await self._message(request.key, h.InboxMessage(message_id=request.message_id, cancel=cancel))

    @guard_journal
    async def decide(self, request: c.DecideRequest) -> c.MessageReply:
        decision = request.decision
        description = await self.describe(c.DescribeRequest(key=request.key))
        step = next((one for one in description.steps if one.call == decision.call), None)
        if step is None or not step.compensation:
            raise ServiceError("NOT_FOUND", f"saga {request.key.saga} has no compensation for call {decision.call!r}")
        if decision.verb == h.CompensationDecided.RESOLVE and not decision.note:
            raise ServiceError("INVALID_ARGUMENT", "resolving a compensation by hand needs a note that says what was done")
        if decision.verb == h.CompensationDecided.RETRY and step.compensation_state != "stuck":
            raise ServiceError(
                "FAILED_PRECONDITION",
                f"the compensation of call {decision.call} is {step.compensation_state or 'not due'}",
            )
        message = h.InboxMessage(message_id=decision.message_id, decision=decision)
        return await self._message(request.key, message)

    async def _message(self, key: h.RunKey, message: h.InboxMessage) -> c.MessageReply:
        """Durable first, acknowledged after; then the owner gets it, or somebody is made the owner."""
        check_name("message id", message.message_id, self.config.id_characters_max)
        head = await self._open_head(key)
        message.received_ms = self.clock.now_ms()
        if self.sessions.owner(head.run) is None:
            await self.waker.hint(head.run, message.received_ms + self.config.message_hint_ms)
        new = await self.journal.put_message(head.run, message)
        session = self.sessions.owner(head.run)
        if session is None:
            self.dispatcher.wake(head.run, head.saga_type)
        elif new:
            epoch = session.owned[head.run].epoch
            session.send(w.ServerItem(deliver=w.Deliver(key=key_of(head.run), epoch=epoch, message=message)))
        return c.MessageReply(duplicate=not new)

    @guard_journal
    async def terminate(self, request: c.TerminateRequest) -> c.TerminateReply:
        head = await self._open_head(request.key)
        for _ in range(TERMINATE_ATTEMPTS_MAX):
            owned = await self.dispatcher.acquire(head.run, "")
            if owned is None:
                return c.TerminateReply()
            event = h.Event(seq=owned.next_seq, time_ms=max(self.clock.now_ms(), owned.updated_ms))
            event.saga_terminated.reason, event.saga_terminated.who = request.reason, request.who
            outcome = await self.committer.commit(
                Commit(
                    owned.run,
                    owned.incarnation,
                    owned.epoch,
                    self.ids.new(),
                    owned.next_seq,
                    [event],
                    h.TERMINATED,
                    self.clock.now_ms(),
                    release=True,
                )
            )
            if isinstance(outcome, Committed):
                self.streams.revoke(head.run, "terminated")
                self.notify(head.run)
                return c.TerminateReply()
        raise ServiceError("UNAVAILABLE", f"saga {head.run.saga} could not be terminated now: try again")

    # --- reading -------------------------------------------------------------------------------------------------------

    @guard_journal
    async def describe(self, request: c.DescribeRequest) -> c.Description:
        head = await self._head(request.key)
        view = describe_head(head)
        fold(await self._events(head, 0, head.next_seq), view)
        return view

    @guard_journal
    async def history(self, request: c.HistoryRequest) -> c.HistoryReply:
        head = await self._head(request.key)
        limit = min(request.limit or self.config.events_per_read, self.config.events_per_read)
        events = await self.journal.events(head.run, request.from_seq, limit)
        return c.HistoryReply(events=events, next_seq=request.from_seq + len(events))

    @guard_journal
    async def wait(self, request: c.WaitRequest) -> c.Description:
        run = (await self._head(request.key)).run
        until = self.clock.now_ms() + min(request.wait_ms, self.config.wait_ms_max)
        event = asyncio.Event()
        self._ended.setdefault(run, set()).add(event)
        try:
            while True:
                event.clear()
                head = await self._head(request.key)
                left_ms = until - self.clock.now_ms()
                if (head.status != h.RUNNING and head.status != h.COMPENSATING) or left_ms <= 0:
                    return await self.describe(c.DescribeRequest(key=request.key))
                try:
                    await asyncio.wait_for(event.wait(), min(left_ms / 1000, 1.0))
                except TimeoutError:
                    pass  # another server may have ended it: look
        finally:
            self._ended[run].discard(event)
            if not self._ended[run]:
                del self._ended[run]

    @guard_journal
    async def list(self, request: c.ListRequest) -> c.ListReply:
        check_name("namespace", request.namespace, self.config.id_characters_max)
        wanted = Filter(request.namespace, request.saga_type, frozenset(request.status))
        try:
            found = await self.journal.listing(wanted, min(request.limit or 100, self.config.list_max), request.page)
        except ValueError as error:
            raise ServiceError("INVALID_ARGUMENT", str(error)) from None
        return c.ListReply(sagas=[describe_head(head) for head in found.heads], next_page=found.next_page)

    async def _head(self, key: h.RunKey) -> Head:
        check_name("namespace", key.namespace, self.config.id_characters_max)
        check_name("saga id", key.saga, self.config.id_characters_max)
        head = await self.journal.head(Run(key.namespace, key.saga, key.run or 1))
        if head is None:
            raise ServiceError("NOT_FOUND", f"there is no saga {key.saga!r} in namespace {key.namespace!r}")
        return head

    async def _open_head(self, key: h.RunKey) -> Head:
        head = await self._head(key)
        if head.status not in OPEN:
            raise ServiceError("FAILED_PRECONDITION", f"saga {key.saga!r} has ended: {h.Status.Name(head.status)}")
        return head

    async def _events(self, head: Head, from_seq: int, until_seq: int) -> Sequence[h.Event]:
        events: MutableSequence[h.Event] = []
        while from_seq + len(events) < until_seq:
            page = await self.journal.events(head.run, from_seq + len(events), self.config.events_per_read)
            if not page:
                break
            events += page
        return events


def describe_head(head: Head) -> c.Description:
    return c.Description(
        key=key_of(head.run), saga_type=head.saga_type, status=h.Status.Name(head.status), owner=head.owner,
        epoch=head.epoch, next_seq=head.next_seq, started_ms=head.started_ms, updated_ms=head.updated_ms,
        ended_ms=head.ended_ms, wake_at_ms=head.wake_at_ms, blocked=head.blocked,
    )  # fmt: skip
