"""The Work streams: what workers say, and what follows. One session a stream.

Hello -> session -> Commit, Release, Heartbeat, Drain … -> stream ends -> (grace) -> its runs go to others
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.payloads import holds_large
from durable_saga_server.committer import Answer
from durable_saga_server.dispatch import key_of, run_of
from durable_saga_server.failures import ServiceError
from durable_saga_server.history.appending import OPEN, Rejected, check_commit
from durable_saga_server.journal import Commit, Committed, Fenced, JournalError, Run, Unknown
from durable_saga_server.parking import release
from durable_saga_server.sessions import Ownership, Session

if TYPE_CHECKING:
    from durable_saga_server.service import HistoryService

log = logging.getLogger(__name__)
PROTOCOL = 1
REFUSED_AGAIN_MS = 5_000
"""When a worker tries a commit again that the journal refuses until somebody has acted."""


class WorkStreams:
    """Owns the sessions' lives."""

    def __init__(self, service: HistoryService) -> None:
        self._service = service
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def close(self) -> None:
        for session in self._service.sessions:
            session.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def beat(self, request: w.BeatRequest) -> w.BeatReply:
        session = self._service.sessions.named(request.worker)
        if session is None:
            return w.BeatReply(known=False)
        session.seen_ms = self._service.clock.now_ms()
        if request.blocked_at:
            log.warning("worker %s: its event loop is blocked at %s", session.name, request.blocked_at)
        return w.BeatReply(known=True)

    def revoke(self, run: Run, reason: str) -> None:
        session = self._service.sessions.owner(run)
        if session is not None:
            epoch = session.owned[run].epoch
            session.send(w.ServerItem(revoke=w.Revoke(key=key_of(run), epoch=epoch, reason=reason)))
        self._service.dispatcher.ended(run)

    async def serve(self, incoming: AsyncIterator[w.WorkerFrame]) -> AsyncIterator[w.ServerFrame]:
        """One stream, until either side ends it. Raises ServiceError for a wrong greeting."""
        first = await anext(aiter(incoming), None)
        if first is None or not first.items or not first.items[0].HasField("hello"):
            raise ServiceError("INVALID_ARGUMENT", "the first item of a Work stream is Hello")
        session = await self._greet(first.items[0].hello)
        reader = asyncio.create_task(self._read(session, incoming, list(first.items[1:])))
        watchdog = asyncio.create_task(self._watch(session))
        self._service.dispatcher.look_again()
        try:
            async for frame in session.frames():
                yield frame
        finally:
            session.close()
            reader.cancel()
            watchdog.cancel()
            self._service.sessions.remove(session)
            self._later(self._after(session))

    def _later(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _greet(self, hello: w.Hello) -> Session:
        service = self._service
        if hello.protocol != PROTOCOL:
            raise ServiceError(
                "FAILED_PRECONDITION",
                f"the worker speaks protocol {hello.protocol}, this server {PROTOCOL}: upgrade one",
            )
        if (old := service.sessions.named(hello.worker)) is not None:
            old.close()
            old.owned.clear()  # the same worker says below what it still owns
        session = Session(
            hello.worker, hello.namespace, frozenset(hello.saga_types), max(hello.capacity, 1), service.clock.now_ms()
        )
        welcome = w.Welcome(
            protocol=PROTOCOL, server=service.name, heartbeat_ms=service.config.heartbeat_ms,
            lease_ms=service.config.lease_ms, cell=service.cell.view(),
        )  # fmt: skip
        session.send(w.ServerItem(welcome=welcome))
        service.sessions.add(session)
        try:
            for owned in hello.owned:
                await self._reclaim(session, owned)
            session.greeted = True
            service.blocked.offer(session)
            await self._tell_members()
        except BaseException:  # also when it is cancelled: nobody else removes it yet
            service.sessions.remove(session)
            raise
        return session

    async def _tell_members(self) -> None:
        """An embedded engine tells others which workers only it can reach; a server's workers can be reached by all."""
        service = self._service
        if not service.cell.is_embedded:
            return
        open_sessions = [one for one in service.sessions if not one.closed]
        types = {f"{one.namespace}/{saga_type}" for one in open_sessions for saga_type in one.saga_types}
        await service.cell.join(workers=tuple(one.name for one in open_sessions), saga_types=tuple(sorted(types)))

    def cell_changed(self) -> None:
        """Tell the workers; what has another home now is told there by its worker."""
        view = self._service.cell.view()
        for session in self._service.sessions:
            session.send(w.ServerItem(cell=view))
            for run in [run for run in session.owned if not self._service.cell.is_home(run)]:
                del session.owned[run]
        self._service.dispatcher.look_again()

    async def _reclaim(self, session: Session, owned: w.Owned) -> None:
        """A worker came back: it keeps what the journal says is still its own."""
        run, dispatcher = run_of(owned.key), self._service.dispatcher
        with dispatcher.handing(run, look=True) as handing:
            try:
                head = await self._service.journal.head(run)
                unread = await dispatcher.unread(run, handing)
            except JournalError:
                return  # its next commit tells
            is_owner = head is not None and head.owner == session.name and head.epoch == owned.epoch > handing.gone
            if head is None or not is_owner or head.incarnation != owned.incarnation or head.status not in OPEN:
                if (known := session.owned.get(run)) is not None and known.epoch <= owned.epoch:
                    del session.owned[run]
                    dispatcher.look_again()
                session.send(w.ServerItem(revoke=w.Revoke(key=owned.key, epoch=owned.epoch, reason="taken over")))
                return
            session.owned[run] = Ownership(head.incarnation, head.epoch, head.saga_type, self._service.clock.now_ms())
            for message in unread:
                session.send(w.ServerItem(deliver=w.Deliver(key=owned.key, epoch=owned.epoch, message=message)))

    async def _read(self, session: Session, incoming: AsyncIterator[w.WorkerFrame], first: list[w.WorkerItem]) -> None:
        try:
            for item in first:
                self._item(session, item)
            async for frame in incoming:
                session.seen_ms = self._service.clock.now_ms()
                for item in frame.items:
                    self._item(session, item)
                await self._service.large.has_room()
        except ServiceError as error:
            log.error("worker %s: %s", session.name, error)
        finally:
            session.close()

    async def _watch(self, session: Session) -> None:
        config, clock = self._service.config, self._service.clock
        while clock.now_ms() < session.seen_ms + config.lease_ms:
            await clock.sleep(max(session.seen_ms + config.lease_ms - clock.now_ms(), 10) / 1000)
        log.warning("worker %s was not heard of for %s ms: its sagas go to others", session.name, config.lease_ms)
        session.close()

    async def _after(self, session: Session) -> None:
        """The stream is gone. Its worker may come back within a grace and say what it owns."""
        await self._service.clock.sleep(self._service.config.reconnect_grace_ms / 1000)
        for run, owned in list(session.owned.items()):
            if self._service.sessions.owner(run) is None:
                self._service.dispatcher.wake(run, owned.saga_type, orphan=True)
        session.owned.clear()
        await self._tell_members()

    # --- items -----------------------------------------------------------------------------------------------------------

    def _item(self, session: Session, item: w.WorkerItem) -> None:
        kind = item.WhichOneof("kind")
        if kind == "commit":
            if item.commit.status == h.CONTINUED or holds_large(item.commit):
                self._later(self._prepare(session, item.commit))
            else:
                self._commit(session, item.commit)
        elif kind == "release":
            self._later(release(self._service, session, item.release))
        elif kind == "drain":
            session.draining = True
        elif kind == "owned":
            self._later(self._reclaim(session, item.owned))
        elif kind == "capacity":
            session.capacity = max(item.capacity.sagas, 1)
            self._service.dispatcher.look_again()
        elif kind != "heartbeat":  # a heartbeat says no more than that the worker lives
            raise ServiceError("INVALID_ARGUMENT", f"a worker can't send {kind} here")

    def _commit(self, session: Session, request: w.Commit) -> None:
        run, dispatcher = run_of(request.key), self._service.dispatcher

        def reply(outcome: w.CommitReply.Outcome, reason: str = "", retry_after_ms: int = 0) -> None:
            answer = w.CommitReply(
                request=request.request,
                outcome=outcome,
                reason=reason,
                retry_after_ms=retry_after_ms,
                key=request.key,
            )
            session.send(w.ServerItem(commit_reply=answer))

        try:
            check_commit(request)
        except Rejected as error:
            log.error("worker %s, saga %s: %s", session.name, run.saga, error)
            reply(w.CommitReply.FENCED, f"rejected: {error}")
            return

        def done(answer: Answer) -> None:
            if isinstance(answer, Committed):
                reply(w.CommitReply.COMMITTED)
                self._service.blocked.goes_on(run)
                if request.status not in OPEN or request.release:
                    dispatcher.given_up(session, run, request.epoch)
                    dispatcher.look_again()
                if request.status not in (h.RUNNING, h.COMPENSATING):
                    self._service.notify(run, request.events[-1] if request.status == h.COMPLETED else None)
                if request.status == h.CONTINUED:
                    self._later(self._service.chains.follow(run))
            elif isinstance(answer, Fenced):
                reply(w.CommitReply.FENCED, "someone else owns the saga")
                self._fenced(session, request)
            elif isinstance(answer, Unknown):
                reply(w.CommitReply.UNKNOWN, answer.reason, 500)
            else:
                if not answer.code:
                    log.warning("saga %s: a commit is refused: %s", run.saga, answer)
                reply(w.CommitReply.REFUSED, str(answer), 500 if answer.code else REFUSED_AGAIN_MS)

        now_ms = max(request.events[-1].time_ms, self._service.clock.now_ms())  # of the head: it never goes back
        self._service.committer.submit(
            Commit(
                run, request.incarnation, request.epoch, request.commit_id, request.events[0].seq, request.events,
                request.status, now_ms, request.wake_at_ms, request.consumed, request.release,
            ),
            done,
        )  # fmt: skip

    def _fenced(self, session: Session, request: w.Commit) -> None:
        """The worker has lost the run, or this was an old copy of a commit and it goes on: the head tells."""
        if session.closed:
            session.owned.pop(run_of(request.key), None)
        else:
            owned = w.Owned(key=request.key, epoch=request.epoch, incarnation=request.incarnation)
            self._later(self._reclaim(session, owned))

    async def _prepare(self, session: Session, request: w.Commit) -> None:
        """What must be durable before a commit: its large payloads, and a hint for the run that follows this one."""
        run = run_of(request.key)
        try:
            if request.status == h.CONTINUED:
                await self._service.waker.hint(run, self._service.clock.now_ms() + self._service.config.message_hint_ms)
            self._commit(session, await self._service.large.detach(run, request))
        except (JournalError, ServiceError) as error:
            log.warning("saga %s: a commit can't be prepared: %s", run.saga, error)
            outcome = w.CommitReply.FENCED if isinstance(error, ServiceError) else w.CommitReply.REFUSED
            refused = w.CommitReply(request=request.request, outcome=outcome, reason=str(error), retry_after_ms=500)
            refused.key.CopyFrom(request.key)
            session.send(w.ServerItem(commit_reply=refused))
