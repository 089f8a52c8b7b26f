"""A worker gives a run up: it only waits, nobody can go on with it, or the worker drains. From then on hints look after it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import BLOCKED_CHARACTERS_MAX
from durable_saga.pb.log_fields import about
from durable_saga_server.history.appending import OPEN, wake_ms
from durable_saga_server.journal import Commit, Committed, JournalError, Run, Unknown
from durable_saga_server.keys import run_of
from durable_saga_server.means import Means
from durable_saga_server.workers.committer import Committer
from durable_saga_server.workers.dispatch import Dispatcher
from durable_saga_server.workers.doing import doing_in
from durable_saga_server.workers.sessions import Session

log = logging.getLogger(__name__)
SAID_RETRY_MS_MAX = 86_400_000
"""What a worker asks for."""
REJECTED_RETRY_MS = 60_000


class Parking:
    """`hint` makes sure that somebody looks at a run at a time, in Unix milliseconds; it raises JournalError."""

    def __init__(
        self, means: Means, committer: Committer, dispatcher: Dispatcher, hint: Callable[[Run, int], Awaitable[None]]
    ) -> None:  # fmt: skip
        self._journal = means.journal
        self._clock = means.clock
        self._ids = means.ids
        self._committer = committer
        self._dispatcher = dispatcher
        self._refusals = dispatcher.refusals
        self._hint = hint

    async def release(self, session: Session, request: w.Release) -> None:
        """Park, or give back what can't go on. The hint is written before the truth; a message that came meanwhile is found
        after it."""
        run = run_of(request.key)
        owned = session.owned.get(run)
        saga_type, build = (owned.saga_type, owned.build) if owned else (request.saga_type, "")
        if not await self.owns(session, request):
            log.info("worker %s gives back saga %s, which it does not own", session.name, run.saga, extra=about(run))
            return
        self._dispatcher.given_up(session, run, request.epoch)
        now_ms = self._clock.now_ms()
        wake_at_ms, blocked = wake_ms(request, now_ms), ""
        if request.blocked:
            again_ms, blocked = self._refused(session, request, saga_type, build, now_ms)
            wake_at_ms = min(again_ms, wake_at_ms or again_ms)  # at its time-out, however long it would wait
        commit = Commit(
            run, request.incarnation, request.epoch, self._ids.new(), request.next_seq, [], request.status, now_ms,
            wake_at_ms, request.consumed, release=True, blocked=blocked, doing=doing_in(request),
        )  # fmt: skip
        while True:
            try:
                if wake_at_ms:
                    await self._hint(run, wake_at_ms)
                outcome = await self._committer.commit(commit)
                if isinstance(outcome, Unknown):
                    continue
                self._dispatcher.given_up(session, run, request.epoch)
                if isinstance(outcome, Committed) and request.blocked:
                    self._go_elsewhere(run, saga_type, build, is_blocked=bool(blocked))
                elif isinstance(outcome, Committed) and await self._is_due(run, wake_at_ms):
                    self._dispatcher.wake(run, saga_type, build=build)
                break
            except JournalError as error:
                log.warning("saga %s can't be parked now: %s", run.saga, error, extra=about(run))
                await self._clock.sleep(1)
        self._dispatcher.look_again()

    def _refused(self, session: Session, said: w.Release, saga_type: str, build: str, now_ms: int) -> tuple[int, str]:
        """When the run is to be looked at, and why it is blocked, unless other code is there for it."""
        run = run_of(said.key)
        refused = self._refusals.add(run, saga_type, build, session.code)
        if self._dispatcher.sessions.fits(run.namespace, saga_type, refused):
            text = "build %s can't continue saga %s, which goes to another: %s"
            log.info(text, session.build, run.saga, said.blocked, extra=about(run))
            return now_ms, ""
        reason = said.blocked[:BLOCKED_CHARACTERS_MAX]
        retry_ms = self._refusals.blocked(run, reason, now_ms)
        return now_ms + max(retry_ms, min(said.retry_after_ms, SAID_RETRY_MS_MAX)), reason

    def _go_elsewhere(self, run: Run, saga_type: str, build: str, *, is_blocked: bool) -> None:
        """A worker with other code may have come meanwhile."""
        if is_blocked:
            self._refusals.stands(run)
        if not is_blocked or self._dispatcher.sessions.fits(run.namespace, saga_type, self._refusals.of(run)):
            self._dispatcher.bring(run, saga_type, build)

    async def set_aside(self, session: Session, said: w.Commit, reason: str) -> None:
        """What its worker wants to write can't be written: nobody goes on with the run for a while, and it shows why."""
        try:
            head = await self._journal.runs.head(run_of(said.key))
        except JournalError as error:
            log.warning("saga %s can't be set aside now: %s", said.key.saga, error, extra=about(said.key))
            return
        if head is not None and head.status in OPEN and head.incarnation == said.incarnation and head.epoch == said.epoch:
            request = w.Release(
                key=said.key, incarnation=said.incarnation, epoch=said.epoch, next_seq=head.next_seq,
                status=h.Status.Name(head.status), saga_type=head.saga_type, blocked=reason, retry_after_ms=REJECTED_RETRY_MS,
            )  # fmt: skip
            await self.release(session, request)

    async def owns(self, session: Session, said: w.Commit | w.Release) -> bool:
        """Whether the run is this worker's under that epoch: from what this server gave it, else from the head. A journal that
        does not answer leaves it to the fence."""
        run = run_of(said.key)
        owned = session.owned.get(run)
        if owned is not None and owned.epoch == said.epoch and owned.incarnation == said.incarnation:
            return True
        try:
            head = await self._journal.runs.head(run)
        except JournalError:
            return True
        if head is None or head.incarnation != said.incarnation or run.namespace != session.namespace:
            return False
        is_repeated = isinstance(said, w.Commit) and head.last_commit == said.commit_id
        return is_repeated or (head.epoch == said.epoch and head.owner == session.name)

    def committed(self, session: Session, run: Run, said: w.Commit) -> None:
        """The run went on; what has ended, or was released with the commit, its worker has no more."""
        self._refusals.goes_on(run)
        owned = session.owned.get(run)
        if owned is not None and owned.epoch == said.epoch and owned.status != said.status:
            session.owned[run] = replace(owned, status=said.status)
        if said.status not in OPEN:
            self._refusals.forget(run)
        if said.status not in OPEN or said.release:
            self._dispatcher.given_up(session, run, said.epoch)
            self._dispatcher.look_again()

    async def _is_due(self, run: Run, wake_at_ms: int) -> bool:
        """Its time came, or a message, while it was being parked: then its hint may have been looked at too early. Raises
        JournalError."""
        return 0 < wake_at_ms <= self._clock.now_ms() or bool(await self._journal.inbox.unread(run))
