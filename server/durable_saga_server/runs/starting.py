"""A run begins: its first event and a hint are made durable, then a worker gets it, or it waits for one.

The first start of a saga wins. The same start sent again is answered as the first one was.
"""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.payloads import DETERMINISM_RULES, holds_large
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.cell import Cell
from durable_saga_server.failures import ServiceError, carried_in, check_attributes, check_name, check_payload, guard_journal
from durable_saga_server.journal import Created, Exists, Head, Hint, Run, Unknown
from durable_saga_server.journal.rules import attributes_in, begins_later
from durable_saga_server.keys import key_of
from durable_saga_server.large import LargePayloads
from durable_saga_server.means import Means
from durable_saga_server.runs.again import begins_again, first_run_of, starts_ms
from durable_saga_server.runs.chains import Chains
from durable_saga_server.runs.reading import shown
from durable_saga_server.waking.wake import Waker
from durable_saga_server.workers.dispatch import Dispatcher

AGAIN_ATTEMPTS_MAX = 5
MEMO_BYTES_MAX = 8 * 1024
"""Less than what goes into chunks: a memo stands in the first event of its run."""


class Starting:
    """Every call raises ServiceError."""

    def __init__(
        self, means: Means, cell: Cell, dispatcher: Dispatcher, large: LargePayloads, waker: Waker,
        chains: Chains,
    ) -> None:  # fmt: skip
        self._journal = means.journal
        self._clock = means.clock
        self._ids = means.ids
        self._config = means.config
        self._cell = cell
        self._dispatcher = dispatcher
        self._large = large
        self._waker = waker
        self._chains = chains

    @guard_journal
    async def start(self, request: c.StartRequest) -> c.StartReply:
        self._check(request)
        starts_ms(request, self._clock.now_ms())
        run = Run(request.namespace, request.saga)
        for _ in range(AGAIN_ATTEMPTS_MAX):
            found = await self._start(run, request)
            if isinstance(found, c.StartReply):
                return found
            run = found
        raise ServiceError("UNAVAILABLE", f"saga {request.saga!r} is started by many others at once: try again")

    def _check(self, request: c.StartRequest) -> None:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        check_name("saga id", request.saga, self._config.id_characters_max)
        check_name("saga type", request.saga_type, self._config.id_characters_max)
        check_payload(request.input.data, self._config.payload_bytes_max)
        check_payload(request.memo.data, MEMO_BYTES_MAX)
        for key in request.keys:
            check_name("correlation key", key, self._config.id_characters_max)
        check_attributes(request.attributes)
        carried_in(request)
        if len(request.start_id) not in (0, 16):
            raise ServiceError("INVALID_ARGUMENT", f"a start_id must have 16 bytes, not {len(request.start_id)}")

    async def _start(self, run: Run, request: c.StartRequest) -> c.StartReply | Run:
        """As this run of its id; another one instead: try it as that."""
        if holds_large(request):
            self._large.check_room()
            if (there := await self._journal.runs.head(run)) is not None:
                return await self._there(request, there)
            await self._waker.hint(run, self._clock.now_ms() + self._config.orphan_chunks_ms)
            detached = c.StartRequest()
            detached.CopyFrom(request)  # it may be tried as another run, which has its own chunks
            request = await self._large.detach(run, detached)
        now_ms = self._clock.now_ms()
        later_ms = starts_ms(request, now_ms)
        session = self._dispatcher.pick_new(run, request.saga_type) if not later_ms else None
        event = h.Event(
            seq=0, time_ms=later_ms or now_ms, large_bytes=request.input.size,
            saga_started=self._begun(run, request, now_ms if later_ms else 0),
        )  # fmt: skip
        head = Head(
            run, self._ids.new(), request.saga_type, h.RUNNING, session.name if session else "", 1, 1, self._ids.new(),
            now_ms, now_ms, wake_at_ms=later_ms or now_ms, attributes=attributes_in([event]),
            build=session.build if session else "",
        )  # fmt: skip
        look_ms = self._config.rehint_ms if self._cell.is_home(run) else self._config.foreign_hint_ms
        with self._dispatcher.handing(run, look=False) as handing:
            if session is not None:
                session.reserved += 1
            try:
                outcome = await self._create(head, event, Hint(max(later_ms, now_ms + look_ms), run))
                if outcome.head.incarnation != head.incarnation:
                    return await self._there(request, outcome.head)
                metrics.SAGAS_STARTED.add(1, head.saga_type)
                if session is not None:
                    await self._dispatcher.give_new(session, head, event, handing)
                elif later_ms:
                    await self._hint_soon(run, later_ms, now_ms + look_ms)
                else:
                    await self._waker.wake(head)
            finally:
                if session is not None:
                    session.reserved -= 1
        paused = self._dispatcher.sessions.paused.why(run.namespace, head.saga_type)
        return c.StartReply(
            key=key_of(run), saga_type=head.saga_type, status=h.RUNNING, waits_for=paused and f"it is paused {paused}",
            starts_ms=later_ms,
        )  # fmt: skip

    def _begun(self, run: Run, request: c.StartRequest, asked_ms: int) -> h.SagaStarted:
        begun = h.SagaStarted(
            saga_type=request.saga_type, input=request.input, timeout_ms=request.timeout_ms,
            seed=request.start_id or self._ids.new(),
            keys=request.keys, default_timeout_ms=request.default_timeout_ms, attributes=request.attributes,
            rules=DETERMINISM_RULES, asked_ms=asked_ms, **carried_in(request),
            first_run=run.run if run.run > 1 else 0,
        )  # fmt: skip
        if request.HasField("memo"):
            begun.memo.CopyFrom(request.memo)
        return begun

    async def _hint_soon(self, run: Run, later_ms: int, hinted_ms: int) -> None:
        """The hint that came with the start may be too late for it."""
        if later_ms < hinted_ms:
            await self._waker.hint(run, later_ms)

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

    async def _there(self, request: c.StartRequest, there: Head) -> c.StartReply | Run:
        """There is a run of that number. A start that is sent again since its answer was lost is that start, whatever has
        become of it. Another one is the start of what is there, or begins again as the run that is returned. JournalError."""
        run = there.run
        newest = there if run.run == 1 and there.newest <= 1 and there.status != h.CONTINUED else None
        newest = newest or await self._chains.newest(run.namespace, run.saga)
        if newest is None:
            return run._replace(run=1)  # it was purged since
        begun = await self._begun_as(newest.run)
        first = there if newest.run == run else newest
        if (number := first_run_of(begun)) != newest.run.run:
            first = await self._journal.runs.head(run._replace(run=number)) or newest
            begun = await self._begun_as(first.run)
        is_own = bool(request.start_id) and begun.seed == request.start_id
        now_ms = self._clock.now_ms()
        if not is_own and begins_again(request, newest, now_ms):
            following = newest.run._replace(run=newest.run.run + 1)
            root = newest if newest.run.run == 1 else await self._journal.runs.head(run._replace(run=1))
            if root is None:
                return run._replace(run=1)
            await self._journal.runs.advance(root.run, root.incarnation, following.run)
            self._chains.begun_again(following)
            return following
        reply = c.StartReply(
            key=key_of(first.run), already_started=not is_own, saga_type=first.saga_type, status=shown(first.status),
            starts_ms=newest.wake_at_ms if begins_later(newest, now_ms) else 0,
        )  # fmt: skip
        if reply.already_started and begun.saga_type:
            reply.input.CopyFrom(begun.input)
        return reply

    async def _begun_as(self, run: Run) -> h.SagaStarted:
        return next((event.saga_started for event in await self._journal.runs.events(run, 0, 1)), h.SagaStarted())
