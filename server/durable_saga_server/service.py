"""The history service: what clients ask for, without a transport. gRPC and the embedded engine call this very object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from durable_saga.pb import cell_pb2
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.payloads import DETERMINISM_RULES, holds_large
from durable_saga_server.access.caller import Caller
from durable_saga_server.access.calls import AccessCalls
from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock, Ids, RandomIds, SystemClock
from durable_saga_server.config import AROUND_BYTES, Config
from durable_saga_server.failures import (
    Admission,
    ServiceError,
    check_attributes,
    check_name,
    check_payload,
    guard_journal,
)
from durable_saga_server.incoming.call_streams import CallStreams
from durable_saga_server.incoming.gates import gated
from durable_saga_server.journal import Created, Exists, Head, Hint, Journal, Run, Unknown
from durable_saga_server.journal.rules import attributes_in
from durable_saga_server.runs.chains import Chains
from durable_saga_server.runs.endings import Endings
from durable_saga_server.runs.large import LargePayloads
from durable_saga_server.runs.messages import Messages
from durable_saga_server.runs.reading import Reading, shown
from durable_saga_server.waking.wake import Waker
from durable_saga_server.workers.blocked import BlockedRuns
from durable_saga_server.workers.committer import Committer
from durable_saga_server.workers.dispatch import Dispatcher, key_of
from durable_saga_server.workers.sessions import Sessions
from durable_saga_server.workers.work import WorkStreams

MESSAGE_CALLS = ("Signal", "Cancel", "Compensate", "Recover", "Terminate", "Decide", "Publish")
READING_CALLS = ("Describe", "History", "Wait", "List", "Statistics", "Changes", "Claim")


class HistoryService:
    """Call `start_up()` first and `shut_down()` last. `calls` holds the calls of proto/durable_saga/v1/client.proto by name;
    each raises ServiceError with a gRPC status name and a message for the caller."""

    def __init__(
        self, journal: Journal, *, clock: Clock | None = None, ids: Ids | None = None, config: Config | None = None,
        name: str = "server", member: str = "",
    ) -> None:  # fmt: skip
        """`member`: what it is called in the cell, for itself alone; new_name() lets others know when its process is gone."""
        self.journal = journal
        self.clock = clock or SystemClock()
        self.ids = ids or RandomIds()
        self.config = config or Config()
        self.name = name
        self._stopping = False
        self.before_close: list[Callable[[], Awaitable[None]]] = []
        """What needs the journal until the end."""
        self._watching: set[asyncio.Event] = set()
        self.sessions = Sessions()
        self.cell = Cell(journal, self.clock, self.config, member or f"{name}/{self.ids.new().hex()[:8]}")
        self.committer = Committer(journal, self.clock, self.config)
        self.dispatcher = Dispatcher(journal, self.clock, self.config, self.sessions, self.cell)
        self.blocked = BlockedRuns(self.dispatcher)
        self.large = LargePayloads(journal, self.clock, self.config)
        self.waker = Waker(journal, self.clock, self.config, self.cell, self.dispatcher)
        self.chains = Chains(self)
        self.waker.ended = Endings(self).look
        self.streams = WorkStreams(self)
        self.cell.on_change(self.streams.cell_changed)
        self.messages = Messages(self)
        self.reading = Reading(self)
        admission = Admission(self.config.calls_at_once_max)
        self.calls: Mapping[str, Callable[[Any], Awaitable[Any]]] = {
            "Start": gated(admission.admitted(self.start)), "Beat": gated(self.beat), "Fetch": gated(self.large.fetch),
            **{name: gated(admission.admitted(getattr(self.messages, name.lower()))) for name in MESSAGE_CALLS},
            **{name: gated(getattr(self.reading, name.lower())) for name in READING_CALLS},
            **{name: gated(call) for name, call in AccessCalls(journal.ledger, self.clock).calls.items()},
        }  # fmt: skip
        self.call_streams = CallStreams(self.calls, self.config.message_bytes_max - AROUND_BYTES)

    async def start_up(self) -> None:
        """Make the tables, read the hints, begin to hand out. Raises JournalError."""
        await self.journal.initialize()
        self.committer.start()
        self.dispatcher.start()
        await self.cell.start()
        await self.waker.start()

    async def shut_down(self) -> None:
        """Finish what is being written, then close the journal. Workers keep their runs and go to another server."""
        self._stopping = True
        for changed in self._watching:
            changed.set()
        await asyncio.gather(self.call_streams.close(), self.streams.close())
        await self.cell.stop()
        await self.waker.stop()
        await self.dispatcher.stop()
        await self.committer.stop()
        for close in self.before_close:
            await close()
        await self.journal.close()

    async def join(self, address: str) -> None:
        """Become a server of the cell, at host:port."""
        await self.cell.join(address=address)

    async def drain(self) -> None:
        """Leave the cell, and wait until the workers have moved their runs to other servers, if there are any."""
        await self.cell.leave()
        until_ms = self.clock.now_ms() + self.config.drain_ms
        while self.cell.has_others and any(one.owned for one in self.sessions) and self.clock.now_ms() < until_ms:
            await self.clock.sleep(0.05)

    async def watch_cell(self, _: Any, caller: Caller | None = None) -> AsyncIterator[cell_pb2.Cell]:
        """The table of homes, now and whenever it changes, until this server stops. Raises ServiceError when its caller is no
        longer let in."""
        changed = asyncio.Event()
        over: list[ServiceError] = []

        def end(error: ServiceError) -> None:
            over.append(error)
            changed.set()

        if caller is not None:
            caller.over = end
        self.cell.on_change(changed.set)
        self._watching.add(changed)
        try:
            while not self._stopping:
                changed.clear()
                yield self.cell.view()
                await changed.wait()
                if over:
                    raise over[0]
        finally:
            self._watching.discard(changed)
            self.cell.off_change(changed.set)

    def work(
        self,
        incoming: AsyncIterator[w.WorkerFrame],
        break_off: Callable[[], object] | None = None,
        caller: Caller | None = None,
    ) -> AsyncIterator[w.ServerFrame]:
        return self.streams.serve(incoming, break_off, caller)

    async def beat(self, request: w.BeatRequest) -> w.BeatReply:
        return self.streams.beat(request)

    def notify(self, run: Run, end: h.Event | None = None) -> None:
        """The run changed its status: wake those who wait for it."""
        self.reading.notify(run, end)

    # --- starting ------------------------------------------------------------------------------------------------------

    @guard_journal
    async def start(self, request: c.StartRequest) -> c.StartReply:
        check_name("namespace", request.namespace, self.config.id_characters_max)
        check_name("saga id", request.saga, self.config.id_characters_max)
        check_name("saga type", request.saga_type, self.config.id_characters_max)
        check_payload(request.input.data, self.config.payload_bytes_max)
        for key in request.keys:
            check_name("correlation key", key, self.config.id_characters_max)
        check_attributes(request.attributes)
        if len(request.start_id) not in (0, 16):
            raise ServiceError("INVALID_ARGUMENT", f"a start_id has 16 bytes, not {len(request.start_id)}")
        run = Run(request.namespace, request.saga)
        if holds_large(request):
            self.large.check_room()
            if (there := await self.journal.runs.head(run)) is not None:
                return await self._already(request, there)
            await self.waker.hint(run, self.clock.now_ms() + self.config.orphan_chunks_ms)
            request = await self.large.detach(run, request)
        now_ms = self.clock.now_ms()
        waiting = self.dispatcher.has_waiting(run.namespace, request.saga_type)
        session = None if waiting else self.sessions.pick(run.namespace, request.saga_type)
        event = h.Event(seq=0, time_ms=now_ms, large_bytes=request.input.size, saga_started=h.SagaStarted(
            saga_type=request.saga_type, input=request.input, timeout_ms=request.timeout_ms,
            seed=request.start_id or self.ids.new(),
            keys=request.keys, default_timeout_ms=request.default_timeout_ms, attributes=request.attributes,
            rules=DETERMINISM_RULES,
        ))  # fmt: skip
        head = Head(
            run, self.ids.new(), request.saga_type, h.RUNNING, session.name if session else "", 1, 1, self.ids.new(),
            now_ms, now_ms, wake_at_ms=now_ms, attributes=attributes_in([event]),
        )  # fmt: skip
        look_ms = self.config.rehint_ms if self.cell.is_home(run) else self.config.foreign_hint_ms
        with self.dispatcher.handing(run, look=False) as handing:
            if session is not None:
                session.reserved += 1
            try:
                outcome = await self._create(head, event, Hint(now_ms + look_ms, run))
                if outcome.head.incarnation != head.incarnation:
                    return await self._already(request, outcome.head)
                if session is not None:
                    await self.dispatcher.give_new(session, head, event, handing)
                else:
                    await self.waker.wake(head)
            finally:
                if session is not None:
                    session.reserved -= 1
        return c.StartReply(key=key_of(run), saga_type=head.saga_type, status=h.RUNNING)

    async def _create(self, head: Head, event: h.Event, hint: Hint) -> Created | Exists:
        """The identical write again until its outcome is known."""
        until = self.clock.now_ms() + self.config.resend_for_ms
        while True:
            outcome = await self.journal.runs.create(head, event, hint)
            if not isinstance(outcome, Unknown):
                self.waker.written(hint)
                return outcome
            if self.clock.now_ms() > until:
                raise ServiceError("UNAVAILABLE", f"the journal does not answer ({outcome.reason}): start it again")
            await self.clock.sleep(0.1)

    async def _already(self, request: c.StartRequest, there: Head) -> c.StartReply:
        """The first start wins. One that is sent again since its answer was lost is that first start. JournalError."""
        first = next((event.saga_started for event in await self.journal.runs.events(there.run, 0, 1)), h.SagaStarted())
        is_own = bool(request.start_id) and first.seed == request.start_id
        reply = c.StartReply(
            key=key_of(there.run), already_started=not is_own, saga_type=there.saga_type, status=shown(there.status)
        )  # fmt: skip
        if reply.already_started and first.saga_type:
            reply.input.CopyFrom(first.input)
        return reply
