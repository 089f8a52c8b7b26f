"""Commits of workers, from what was said to the answer: checked, made ready, written, and what follows from the outcome.

A commit that no history can take is answered FENCED, with the reason. One of a run that this server did not give to the worker
is looked up in the head first: the owner and the namespace are compared there, the epoch by the journal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import REASON_CHARACTERS_MAX
from durable_saga.pb.log_fields import about
from durable_saga.pb.payloads import PAYLOAD_INLINE_BYTES_MAX, holds_large
from durable_saga_server.failures import ServiceError
from durable_saga_server.history.appending import OPEN, Rejected, build_in, check_commit, references, tell_large, wake_ms
from durable_saga_server.journal import Commit, Committed, Fenced, JournalError, Run, Unknown
from durable_saga_server.keys import run_of
from durable_saga_server.large import LargePayloads
from durable_saga_server.means import Means
from durable_saga_server.workers.committer import Answer, Committer
from durable_saga_server.workers.doing import doing_in
from durable_saga_server.workers.hooks import Hooks
from durable_saga_server.workers.parking import Parking
from durable_saga_server.workers.sessions import Session

log = logging.getLogger(__name__)
REFUSED_AGAIN_MS = 5_000
"""When a worker tries a commit again that the journal refuses until somebody has acted."""
Begin = Callable[[Session, Coroutine[Any, Any, Any]], None]
Reclaim = Callable[[Session, w.Owned], Coroutine[Any, Any, None]]


class Commits:
    """`begin` runs what takes time, in a task that the session is charged for; `reclaim` asks the head whose a run is."""

    def __init__(
        self, means: Means, committer: Committer, parking: Parking, large: LargePayloads, hooks: Hooks,
        begin: Begin, reclaim: Reclaim,
    ) -> None:  # fmt: skip
        self._clock = means.clock
        self._config = means.config
        self._committer = committer
        self._parking = parking
        self._large = large
        self._hooks = hooks
        self._begin = begin
        self._reclaim = reclaim

    def said(self, session: Session, request: w.Commit) -> None:
        """On its way as soon as it is known to be a commit, and this worker's."""
        try:
            if request.key.namespace != session.namespace:
                raise Rejected(f"the worker serves namespace {session.namespace!r}")
            now_ms = self._clock.now_ms()
            size = request.ByteSize()
            if check_commit(request, now_ms, size) or (size > PAYLOAD_INLINE_BYTES_MAX and holds_large(request)):
                self._begin(session, self._prepare(session, request, references(request)))
                return
        except Rejected as error:
            log.error("worker %s, saga %s: %s", session.name, request.key.saga, error, extra=about(request.key))
            self._refuse(session, request, w.CommitReply.FENCED, f"rejected: {error}")
            if run_of(request.key) in session.owned:
                self._begin(session, self._parking.set_aside(session, request, f"its worker's commit was rejected: {error}"))
            return
        run = run_of(request.key)
        owned = session.owned.get(run)
        is_known = owned is not None and owned.epoch == request.epoch and owned.incarnation == request.incarnation
        if is_known and request.status != h.CONTINUED:
            self._commit(session, request, run, now_ms)
        else:
            self._begin(session, self._prepare(session, request, []))

    def _refuse(self, session: Session, request: w.Commit, outcome: w.CommitReply.Outcome, reason: str) -> None:
        refused = w.CommitReply(
            request=request.request, outcome=outcome, reason=reason[:REASON_CHARACTERS_MAX], retry_after_ms=500
        )
        refused.key.CopyFrom(request.key)
        session.send(w.ServerItem(commit_reply=refused))

    def _commit(self, session: Session, request: w.Commit, run: Run, now_ms: int) -> None:
        def reply(outcome: w.CommitReply.Outcome, reason: str = "", retry_after_ms: int = 0) -> None:
            item = w.ServerItem()
            answer = item.commit_reply  # filled in place: a message that is given to another one is copied
            answer.request, answer.outcome = request.request, outcome
            answer.key.CopyFrom(request.key)
            if reason:
                answer.reason, answer.retry_after_ms = reason, retry_after_ms
            session.send(item)

        def done(answer: Answer) -> None:
            if isinstance(answer, Committed):
                reply(w.CommitReply.COMMITTED)
                if request.consumed:
                    session.consumed(run, request.consumed)
                self._parking.committed(session, run, request)
                if request.status not in (h.RUNNING, h.COMPENSATING):
                    self._hooks.notify(run, request.events[-1] if request.status == h.COMPLETED else None)
                if request.status == h.CONTINUED:
                    self._begin(session, self._hooks.follow(run))
                elif request.status not in OPEN:
                    self._hooks.ended(run, now_ms)
            elif isinstance(answer, Fenced):
                reply(w.CommitReply.FENCED, "someone else owns the saga")
                self._fenced(session, request)
            elif isinstance(answer, Unknown):
                reply(w.CommitReply.UNKNOWN, answer.reason, 500)
            else:
                if not answer.code:
                    log.warning("saga %s: a commit is refused: %s", run.saga, answer, extra=about(run))
                reply(w.CommitReply.REFUSED, str(answer), 500 if answer.code else REFUSED_AGAIN_MS)

        now_ms = max(request.events[-1].time_ms, now_ms)  # of the head: it never goes back
        self._committer.submit(
            Commit(
                run, request.incarnation, request.epoch, request.commit_id, request.events[0].seq, request.events,
                request.status, now_ms, wake_ms(request, now_ms), request.consumed, request.release, build=build_in(request),
                paused=request.paused if request.HasField("paused") else None, doing=doing_in(request),
            ),
            done,
        )  # fmt: skip

    def _fenced(self, session: Session, request: w.Commit) -> None:
        """The worker has lost the run, or this was an old copy of a commit and it goes on: the head tells."""
        if session.closed:
            session.owned.pop(run_of(request.key), None)
        else:
            owned = w.Owned(key=request.key, epoch=request.epoch, incarnation=request.incarnation)
            self._begin(session, self._reclaim(session, owned))

    async def _prepare(self, session: Session, request: w.Commit, referred: Sequence[tuple[bytes, int]]) -> None:
        """What must be known or durable before a commit: that the run is its worker's, what it refers to, its large payloads,
        and a hint for the run that follows this one."""
        run = run_of(request.key)
        if not await self._parking.owns(session, request):
            self._refuse(session, request, w.CommitReply.FENCED, "someone else owns the saga")
            self._fenced(session, request)
            return
        try:
            await self._large.check(run, referred)
            if request.status == h.CONTINUED:
                await self._hooks.hint(run, self._clock.now_ms() + self._config.message_hint_ms)
            detached = await self._large.detach(run, request)
            if detached is not request or referred:
                tell_large(detached)
            self._commit(session, detached, run, self._clock.now_ms())
        except (JournalError, ServiceError) as error:
            log.warning("saga %s: a commit can't be prepared: %s", run.saga, error, extra=about(run))
            outcome = w.CommitReply.FENCED if isinstance(error, ServiceError) else w.CommitReply.REFUSED
            self._refuse(session, request, outcome, str(error))
