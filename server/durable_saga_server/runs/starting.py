"""A run begins: its first event and a hint are made durable, then a worker gets it, or it waits for one.

The first start of a saga wins. The same start sent again is answered as the first one was.
"""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.payloads import DETERMINISM_RULES, holds_large
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.cell import Cell
from durable_saga_server.failures import ServiceError, check_attributes, check_carried, check_name, check_payload, guard_journal
from durable_saga_server.journal import Created, Exists, Head, Hint, Run, Unknown
from durable_saga_server.journal.rules import attributes_in
from durable_saga_server.keys import key_of
from durable_saga_server.large import LargePayloads
from durable_saga_server.means import Means
from durable_saga_server.runs.reading import shown
from durable_saga_server.waking.wake import Waker
from durable_saga_server.workers.dispatch import Dispatcher


class Starting:
    """Every call raises ServiceError."""

    def __init__(self, means: Means, cell: Cell, dispatcher: Dispatcher, large: LargePayloads, waker: Waker) -> None:
        self._journal = means.journal
        self._clock = means.clock
        self._ids = means.ids
        self._config = means.config
        self._cell = cell
        self._dispatcher = dispatcher
        self._large = large
        self._waker = waker

    @guard_journal
    async def start(self, request: c.StartRequest) -> c.StartReply:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        check_name("saga id", request.saga, self._config.id_characters_max)
        check_name("saga type", request.saga_type, self._config.id_characters_max)
        check_payload(request.input.data, self._config.payload_bytes_max)
        for key in request.keys:
            check_name("correlation key", key, self._config.id_characters_max)
        check_attributes(request.attributes)
        check_carried(request.carried)
        if len(request.start_id) not in (0, 16):
            raise ServiceError("INVALID_ARGUMENT", f"a start_id must have 16 bytes, not {len(request.start_id)}")
        run = Run(request.namespace, request.saga)
        if holds_large(request):
            self._large.check_room()
            if (there := await self._journal.runs.head(run)) is not None:
                return await self._already(request, there)
            await self._waker.hint(run, self._clock.now_ms() + self._config.orphan_chunks_ms)
            request = await self._large.detach(run, request)
        now_ms = self._clock.now_ms()
        session = self._dispatcher.pick_new(run, request.saga_type)
        event = h.Event(seq=0, time_ms=now_ms, large_bytes=request.input.size, saga_started=h.SagaStarted(
            saga_type=request.saga_type, input=request.input, timeout_ms=request.timeout_ms,
            seed=request.start_id or self._ids.new(),
            keys=request.keys, default_timeout_ms=request.default_timeout_ms, attributes=request.attributes,
            rules=DETERMINISM_RULES, carried=request.carried,
        ))  # fmt: skip
        head = Head(
            run, self._ids.new(), request.saga_type, h.RUNNING, session.name if session else "", 1, 1, self._ids.new(),
            now_ms, now_ms, wake_at_ms=now_ms, attributes=attributes_in([event]), build=session.build if session else "",
        )  # fmt: skip
        look_ms = self._config.rehint_ms if self._cell.is_home(run) else self._config.foreign_hint_ms
        with self._dispatcher.handing(run, look=False) as handing:
            if session is not None:
                session.reserved += 1
            try:
                outcome = await self._create(head, event, Hint(now_ms + look_ms, run))
                if outcome.head.incarnation != head.incarnation:
                    return await self._already(request, outcome.head)
                metrics.SAGAS_STARTED.add(1, head.saga_type)
                if session is not None:
                    await self._dispatcher.give_new(session, head, event, handing)
                else:
                    await self._waker.wake(head)
            finally:
                if session is not None:
                    session.reserved -= 1
        paused = self._dispatcher.sessions.paused.why(run.namespace, head.saga_type)
        return c.StartReply(
            key=key_of(run), saga_type=head.saga_type, status=h.RUNNING, waits_for=paused and f"it is paused {paused}"
        )  # fmt: skip

    async def _create(self, head: Head, event: h.Event, hint: Hint) -> Created | Exists:
        """The identical write again until its outcome is known."""
        until = self._clock.now_ms() + self._config.resend_for_ms
        while True:
            outcome = await self._journal.runs.create(head, event, hint)
            if not isinstance(outcome, Unknown):
                self._waker.written(hint)
                return outcome
            if self._clock.now_ms() > until:
                raise ServiceError(
                    "UNAVAILABLE", f"the journal does not answer ({outcome.reason}): repeat the start with the same id"
                )
            await self._clock.sleep(0.1)

    async def _already(self, request: c.StartRequest, there: Head) -> c.StartReply:
        """The first start wins. One that is sent again since its answer was lost is that first start. JournalError."""
        first = next((event.saga_started for event in await self._journal.runs.events(there.run, 0, 1)), h.SagaStarted())
        is_own = bool(request.start_id) and first.seed == request.start_id
        reply = c.StartReply(
            key=key_of(there.run), already_started=not is_own, saga_type=there.saga_type, status=shown(there.status)
        )  # fmt: skip
        if reply.already_started and first.saga_type:
            reply.input.CopyFrom(first.input)
        return reply
