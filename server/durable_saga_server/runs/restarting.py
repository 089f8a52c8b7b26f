"""An ended saga begins again: the same arguments in a new run of its id (docs/trying-again.md).

The number and the incarnation of the new run follow from the run before it, so two restarts at once make one run. Whose it is
stands in its first event: the same request again is told of the same run, another one is refused.
"""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import status_name
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.failures import ServiceError, check_name, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Head
from durable_saga_server.keys import key_of
from durable_saga_server.means import Means
from durable_saga_server.runs.chains import Chains
from durable_saga_server.runs.heads import Heads
from durable_saga_server.workers.paused_types import PausedTypes


class Restarting:
    """The call raises ServiceError."""

    def __init__(self, means: Means, chains: Chains, heads: Heads, paused: PausedTypes) -> None:
        self._journal = means.journal
        self._clock = means.clock
        self._config = means.config
        self._chains = chains
        self._heads = heads
        self._paused = paused

    @guard_journal
    async def restart(self, request: c.RestartRequest) -> c.RestartReply:
        check_name("message id", request.message_id, self._config.id_characters_max)
        head = await self._newest(request.key)
        begun = await self._begun(head)
        if begun.restart.message_id == request.message_id:
            return self._reply(head)  # its answer was lost
        self._check(head, request.key.run)
        asked = h.RestartRequested(message_id=request.message_id, reason=request.reason, who=request.who)
        there = await self._chains.restart(head, begun, asked)
        if there is None:
            raise ServiceError("NOT_FOUND", _purged(head))
        if (first := (await self._begun(there)).restart).message_id != request.message_id:
            by = f" by {first.who}" if first.who else ""
            raise ServiceError("FAILED_PRECONDITION", f"saga {head.run.saga!r} was begun again at the same time{by}")
        metrics.SAGAS_STARTED.add(1, head.saga_type)
        return self._reply(there)

    async def _newest(self, key: h.RunKey) -> Head:
        try:
            return await self._heads.head(h.RunKey(namespace=key.namespace, saga=key.saga))
        except ServiceError as error:
            if error.code != "NOT_FOUND":
                raise
            raise ServiceError(
                "NOT_FOUND", f"{error.message}: if it was purged, its arguments are gone. Start it anew"
            ) from None

    async def _begun(self, head: Head) -> h.SagaStarted:
        events = await self._journal.runs.events(head.run, 0, 1)
        if not events:
            raise ServiceError("NOT_FOUND", _purged(head))
        return events[0].saga_started

    def _check(self, head: Head, run: int) -> None:
        saga = f"saga {head.run.saga!r}"
        if run and run != head.run.run:
            raise ServiceError(
                "FAILED_PRECONDITION",
                f"run {run} is not the newest run of {saga}, which is run {head.run.run}: only the newest can be restarted",
            )
        if head.status in OPEN:
            raise ServiceError(
                "FAILED_PRECONDITION",
                f"{saga} is {status_name(head.status)}, and only a saga that has ended can be restarted: end it by cancel or"
                " compensate, which undo what it did, or by terminate, which undoes nothing",
            )
        keep_ms = self._config.retention_ms
        if keep_ms and self._clock.now_ms() > head.ended_ms + keep_ms - self._config.hint_grace_ms:
            raise ServiceError("FAILED_PRECONDITION", f"{saga} is about to be purged: start it anew under another id")

    def _reply(self, head: Head) -> c.RestartReply:
        paused = self._paused.why(head.run.namespace, head.saga_type)
        return c.RestartReply(key=key_of(head.run), waits_for=f"it is paused {paused}" if paused else "")


def _purged(head: Head) -> str:
    return f"saga {head.run.saga!r} was purged, and its arguments with it. Start it anew"
