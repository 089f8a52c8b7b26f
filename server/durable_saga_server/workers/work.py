"""The Work streams: what workers say, and what follows. One session a stream.

Hello -> session -> Commit, Release, Heartbeat, Drain … -> stream ends -> (grace) -> its runs go to others
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import CAPACITY_MAX
from durable_saga_server.access.caller import Caller
from durable_saga_server.failures import ServiceError
from durable_saga_server.history.appending import (
    OPEN,
    Rejected,
    check_hello,
    check_release,
)
from durable_saga_server.journal import JournalError, Run
from durable_saga_server.workers.commits import Commits
from durable_saga_server.workers.dispatch import key_of, run_of
from durable_saga_server.workers.parking import release
from durable_saga_server.workers.sessions import Ownership, Session

if TYPE_CHECKING:
    from durable_saga_server.service import HistoryService

log = logging.getLogger(__name__)
PROTOCOL = 1
HELLO_SECONDS_MAX = 10.0
UNHEARD_SECONDS = 0.02
BREAK_OFF_SECONDS = 2.0
"""A stream whose worker is taken for dead has so long to end by itself."""
UNDER_WAY_MAX = 1_000
"""Of what one worker said and is not done yet; then its stream is read no further."""


class WorkStreams:
    """Owns the sessions' lives."""

    def __init__(self, service: HistoryService) -> None:
        self._service = service
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._commits = Commits(service, self.begin, self.reclaim)

    async def close(self) -> None:
        for session in self._service.sessions:
            session.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def beat(self, request: w.BeatRequest) -> w.BeatReply:
        session = self._service.sessions.named(request.worker)
        if session is None or not hmac.compare_digest(session.secret, request.secret):
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

    async def serve(
        self,
        incoming: AsyncIterator[w.WorkerFrame],
        break_off: Callable[[], object] | None = None,
        caller: Caller | None = None,
    ) -> AsyncIterator[w.ServerFrame]:
        """One stream, until either side ends it, or its caller is no longer let in. `break_off` ends it where the other side
        takes nothing any more. Raises ServiceError for a wrong greeting."""
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX):
                first = await anext(aiter(incoming), None)
        except TimeoutError:
            raise ServiceError("DEADLINE_EXCEEDED", f"no Hello came within {HELLO_SECONDS_MAX:.0f} s") from None
        if first is None or not first.items or not first.items[0].HasField("hello"):
            raise ServiceError("INVALID_ARGUMENT", "the first item of a Work stream must be Hello")
        session = await self._greet(first.items[0].hello, caller)
        session.break_off = break_off
        session.on_room = lambda: self._catch_up_soon(session)
        reader = asyncio.create_task(self._read(session, incoming, list(first.items[1:])))
        watchdog = asyncio.create_task(self._watch(session))
        self._service.dispatcher.look_again()
        try:
            async for frame in session.frames():
                session.moved_ms = self._service.clock.now_ms()
                if frame.items[0].HasField("welcome"):
                    frame.items[0].welcome.now_ms = session.moved_ms
                yield frame
            if session.refusal is not None:
                raise session.refusal
        finally:
            session.close()
            reader.cancel()
            watchdog.cancel()
            self._over(session)

    def _later(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def _greet(self, hello: w.Hello, caller: Caller | None) -> Session:
        service = self._service
        if hello.protocol != PROTOCOL:
            raise ServiceError(
                "FAILED_PRECONDITION",
                f"the worker speaks protocol {hello.protocol}, but this server {PROTOCOL}: upgrade the older one",
            )
        try:
            check_hello(hello)
        except Rejected as error:
            raise ServiceError("INVALID_ARGUMENT", str(error)) from None
        if caller is not None:
            caller.check_hello(hello)
        secret = service.sessions.secret(hello.worker, hello.secret, service.ids.new())
        if (old := service.sessions.named(hello.worker)) is not None:
            old.close()
            old.owned.clear()  # the same worker says below what it still owns
        session = _begun(service, hello, secret, caller)
        service.sessions.add(session)
        try:
            for owned in hello.owned:
                await self.reclaim(session, owned)
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

    async def reclaim(self, session: Session, owned: w.Owned) -> None:
        """A worker came back: it keeps what the journal says is still its own."""
        run, dispatcher = run_of(owned.key), self._service.dispatcher
        if run.namespace != session.namespace:
            log.warning("worker %s of namespace %s claims a saga of another namespace", session.name, session.namespace)
            return
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
            if session.caller is not None and not session.caller.may_run(run.namespace, head.saga_type):
                log.warning("worker %s claims a saga of type %s, which it may not run", session.name, head.saga_type)
                return
            known = session.owned.get(run)
            sent = known.sent if known is not None and known.epoch == head.epoch else {}
            now_ms = self._service.clock.now_ms()
            session.owned[run] = Ownership(head.incarnation, head.epoch, head.saga_type, now_ms, sent)
            session.deliver(run, key_of(run), owned.epoch, unread)

    async def _read(self, session: Session, incoming: AsyncIterator[w.WorkerFrame], first: list[w.WorkerItem]) -> None:
        try:
            for item in first:
                self._item(session, item)
            async for frame in incoming:
                session.seen_ms = self._service.clock.now_ms()
                for item in frame.items:
                    self._item(session, item)
                await self._service.large.has_room()
                while (session.under_way > UNDER_WAY_MAX or session.is_crowded) and not session.closed:
                    session.seen_ms = self._service.clock.now_ms()  # it may say that it lives: nobody listens now
                    await self._service.clock.sleep(UNHEARD_SECONDS)
        except ServiceError as error:
            log.error("worker %s: %s", session.name, error)
            session.close(error)
        finally:
            session.close()

    async def _watch(self, session: Session) -> None:
        config, clock = self._service.config, self._service.clock
        why, stands_since_ms, moved_ms = f"sent nothing for {config.lease_ms} ms", 0, session.moved_ms
        while (now_ms := clock.now_ms()) < session.seen_ms + config.lease_ms:
            is_still = bool(session.outbox) and session.moved_ms == moved_ms
            stands_since_ms, moved_ms = (stands_since_ms or now_ms) if is_still else 0, session.moved_ms
            if stands_since_ms and now_ms - stands_since_ms > config.unread_ms_max:
                why = f"has read nothing for {config.unread_ms_max} ms"
                break
            await clock.sleep(max(session.seen_ms + config.lease_ms - now_ms, 10) / 1000)
        log.warning("worker %s %s: its sagas go to others", session.name, why)
        session.close()
        self._over(session)
        await clock.sleep(BREAK_OFF_SECONDS)
        if session.break_off is not None:
            session.break_off()  # it waits for the worker to read, which may never be

    def _over(self, session: Session) -> None:
        """Once, whoever notices first."""
        if not session.is_over:
            session.is_over = True
            self._service.sessions.remove(session)
            self._later(self._after(session))

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
        if session.caller is not None:
            session.caller.check_item(kind or "", item, session.namespace)
        if kind == "commit":
            self._commits.said(session, item.commit)
        elif kind == "release":
            try:
                check_release(item.release)
            except Rejected as error:
                raise ServiceError("INVALID_ARGUMENT", str(error)) from None
            self.begin(session, release(self._service, session, item.release))
        elif kind == "drain":
            session.draining = True
        elif kind == "owned":
            self.begin(session, self.reclaim(session, item.owned))
        elif kind == "capacity":
            session.capacity = _room(item.capacity.sagas)
            self._service.dispatcher.look_again()
        elif kind != "heartbeat":  # a heartbeat says no more than that the worker lives
            raise ServiceError("INVALID_ARGUMENT", f"a worker can't send {kind} here")

    def begin(self, session: Session, work: Coroutine[Any, Any, Any]) -> None:
        """Of a session, in a task: its stream is read no further while there are too many."""
        session.under_way += 1

        def over(_: object) -> None:
            session.under_way -= 1

        self._later(work).add_done_callback(over)

    def _catch_up_soon(self, session: Session) -> None:
        for run, behind in list(session.behind.items()):
            if behind.is_read:
                continue
            behind.is_read = True
            self.begin(session, self._catch_up(session, run, behind.epoch))

    async def _catch_up(self, session: Session, run: Run, epoch: int) -> None:
        try:
            if run in session.behind and not session.closed:
                await self._service.dispatcher.catch_up(session, run, epoch)
        except JournalError as error:
            log.warning("the inbox of saga %s can't be read: %s", run.saga, error)  # its hint brings it back


def _room(sagas: int) -> int:
    return min(max(sagas, 1), CAPACITY_MAX)


def _begun(service: HistoryService, hello: w.Hello, secret: bytes, caller: Caller | None) -> Session:
    """With its Welcome to be sent."""
    now_ms = service.clock.now_ms()
    session = Session(
        hello.worker, hello.namespace, frozenset(hello.saga_types), _room(hello.capacity), now_ms, secret=secret,
        moved_ms=now_ms, caller=caller,
    )  # fmt: skip
    welcome = w.Welcome(
        protocol=PROTOCOL, server=service.name, heartbeat_ms=service.config.heartbeat_ms,
        lease_ms=service.config.lease_ms, cell=service.cell.view(), secret=secret,
    )  # fmt: skip
    session.send(w.ServerItem(welcome=welcome))
    if caller is not None:
        caller.over = session.close
    return session
