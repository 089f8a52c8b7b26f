"""The Work streams: what workers say, and what follows. One session a stream.

Hello -> session -> Commit, Release, Heartbeat, Drain … -> stream ends -> (grace) -> its runs go to others
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.limits import CAPACITY_MAX
from durable_saga.pb.log_fields import about
from durable_saga.pb.versions import PROTOCOL
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.access.caller import Caller
from durable_saga_server.cell import Cell
from durable_saga_server.failures import ServiceError
from durable_saga_server.history.appending import Rejected, check_hello, check_release
from durable_saga_server.journal import JournalError, Run
from durable_saga_server.keys import key_of
from durable_saga_server.large import LargePayloads
from durable_saga_server.means import Means
from durable_saga_server.workers.blocked_runs import BlockedRuns
from durable_saga_server.workers.commits import Commits
from durable_saga_server.workers.committer import Committer
from durable_saga_server.workers.dispatch import Dispatcher
from durable_saga_server.workers.hooks import Hooks
from durable_saga_server.workers.parking import Parking
from durable_saga_server.workers.queries import Queries
from durable_saga_server.workers.reclaiming import Reclaiming
from durable_saga_server.workers.sessions import Session

log = logging.getLogger(__name__)
HELLO_SECONDS_MAX = 10.0
UNHEARD_SECONDS = 0.02
BREAK_OFF_SECONDS = 2.0
"""A stream whose worker is taken for dead has so long to end by itself."""
UNDER_WAY_MAX = 1_000
"""Of what one worker said and is not done yet; then its stream is read no further."""


class WorkStreams:
    """Owns the sessions' lives. `name` is what workers are told that this server is called."""

    def __init__(
        self, means: Means, name: str, cell: Cell, dispatcher: Dispatcher, committer: Committer, large: LargePayloads,
        hooks: Hooks,
    ) -> None:  # fmt: skip
        self._clock, self._ids, self._config = means.clock, means.ids, means.config
        self._name, self._cell, self._large = name, cell, large
        self._dispatcher, self._sessions = dispatcher, dispatcher.sessions
        self._blocked_runs = BlockedRuns(means.journal, means.clock, cell, dispatcher)
        self._parking = Parking(means, committer, dispatcher, hooks.hint)
        self._reclaiming = Reclaiming(means.journal, means.clock, dispatcher)
        self._commits = Commits(means, committer, self._parking, large, hooks, self.begin, self._reclaiming.reclaim)
        self.queries = Queries(self._sessions)
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def close(self) -> None:
        for session in self._sessions:
            session.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def beat(self, request: w.BeatRequest) -> w.BeatReply:
        session = self._sessions.named(request.worker)
        if session is None or not hmac.compare_digest(session.secret, request.secret):
            return w.BeatReply(known=False)
        session.beat(self._clock.now_ms(), request.blocked_at)
        if request.blocked_at:
            log.warning("worker %s: its event loop is blocked at %s", session.name, request.blocked_at)
        return w.BeatReply(known=True)

    def revoke(self, run: Run, reason: str) -> None:
        session = self._sessions.owner(run)
        if session is not None:
            epoch = session.owned[run].epoch
            session.send(w.ServerItem(revoke=w.Revoke(key=key_of(run), epoch=epoch, reason=reason)))
        self._dispatcher.ended(run)

    async def serve(
        self, incoming: AsyncIterator[w.WorkerFrame], break_off: Callable[[], object] | None = None,
        caller: Caller | None = None,
    ) -> AsyncIterator[w.ServerFrame]:  # fmt: skip
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
        self._dispatcher.look_again()
        try:
            async for frame in session.frames():
                session.moved_ms = self._clock.now_ms()
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
        secret = self._sessions.secret(hello.worker, hello.secret, self._ids.new())
        if (old := self._sessions.named(hello.worker)) is not None:
            old.close()
            old.owned.clear()  # the same worker says below what it still owns
        session = self._begun(hello, secret, caller)
        self._sessions.add(session)
        try:
            for owned in hello.owned:
                await self._reclaiming.reclaim(session, owned)
            session.greeted = True
            self._offer_refused(session)
            self._later(self._blocked_runs.offer(session))
            await self._tell_members()
        except BaseException:  # also when it is cancelled: nobody else removes it yet
            self._sessions.remove(session)
            raise
        return session

    def _offer_refused(self, session: Session) -> None:
        """What nobody could go on with, perhaps by other code."""
        for run, one in self._dispatcher.refusals.blocked_runs():
            if session.can_run(run.namespace, one.saga_type) and session.code not in one.builds:
                self._dispatcher.bring(run, one.saga_type, one.build)

    def _begun(self, hello: w.Hello, secret: bytes, caller: Caller | None) -> Session:
        """With its Welcome to be sent."""
        now_ms = self._clock.now_ms()
        session = Session(
            hello.worker, hello.namespace, frozenset(hello.saga_types), _room(hello.capacity), now_ms, secret=secret,
            moved_ms=now_ms, connected_ms=now_ms, caller=caller, build=hello.build, undoes_others=hello.undoes_others,
            answers_queries=hello.answers_queries,
            paused_types=self._sessions.paused.names(hello.namespace),
        )  # fmt: skip
        welcome = w.Welcome(
            protocol=PROTOCOL, server=self._name, heartbeat_ms=self._config.heartbeat_ms,
            lease_ms=self._config.lease_ms, cell=self._cell.view(), secret=secret,
            paused_types=sorted(session.paused_types),
        )  # fmt: skip
        session.send(w.ServerItem(welcome=welcome))
        if caller is not None:
            caller.over = session.close
        return session

    async def _tell_members(self) -> None:
        """An embedded engine tells others which workers only it can reach; a server's workers can be reached by all."""
        if not self._cell.is_embedded:
            return
        open_sessions = [one for one in self._sessions if not one.closed]
        types = {f"{one.namespace}/{saga_type}" for one in open_sessions for saga_type in one.saga_types}
        await self._cell.join(workers=tuple(one.name for one in open_sessions), saga_types=tuple(sorted(types)))

    def cell_changed(self) -> None:
        """Tell the workers; what has another home now is told there by its worker."""
        view = self._cell.view()
        for session in self._sessions:
            session.send(w.ServerItem(cell=view))
            for run in [run for run in session.owned if not self._cell.is_home(run)]:
                del session.owned[run]
        self._dispatcher.look_again()

    async def _read(self, session: Session, incoming: AsyncIterator[w.WorkerFrame], first: list[w.WorkerItem]) -> None:
        try:
            for item in first:
                self._item(session, item)
            async for frame in incoming:
                session.seen_ms = self._clock.now_ms()
                for item in frame.items:
                    self._item(session, item)
                await self._large.has_room()
                while (session.under_way > UNDER_WAY_MAX or session.is_crowded) and not session.closed:
                    session.seen_ms = self._clock.now_ms()  # it may say that it lives: nobody listens now
                    await self._clock.sleep(UNHEARD_SECONDS)
        except ServiceError as error:
            log.error("worker %s: %s", session.name, error)
            session.close(error)
        finally:
            session.close()

    async def _watch(self, session: Session) -> None:
        config, clock = self._config, self._clock
        why, reason = f"sent nothing for {config.lease_ms} ms", "silent"
        stands_since_ms, moved_ms = 0, session.moved_ms
        while (now_ms := clock.now_ms()) < session.seen_ms + config.lease_ms:
            is_still = bool(session.outbox) and session.moved_ms == moved_ms
            stands_since_ms, moved_ms = (stands_since_ms or now_ms) if is_still else 0, session.moved_ms
            if stands_since_ms and now_ms - stands_since_ms > config.unread_ms_max:
                why, reason = f"has read nothing for {config.unread_ms_max} ms", "unread"
                break
            await clock.sleep(max(session.seen_ms + config.lease_ms - now_ms, 10) / 1000)
        metrics.LEASES_LOST.add(1, reason)
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
            self._sessions.remove(session)
            self.queries.over(session)
            self._later(self._after(session))

    async def _after(self, session: Session) -> None:
        """The stream is gone. Its worker may come back within a grace and say what it owns."""
        await self._clock.sleep(self._config.reconnect_grace_ms / 1000)
        for run, owned in list(session.owned.items()):
            if self._sessions.owner(run) is None:
                self._dispatcher.wake(run, owned.saga_type, orphan=True, build=owned.build)
        session.owned.clear()
        await self._tell_members()

    def _item(self, session: Session, item: w.WorkerItem) -> None:
        kind = item.WhichOneof("kind")
        if session.caller is not None:
            session.caller.check_item(kind or "", item, session.namespace)
        if kind == "commit":
            self._commits.said(session, item.commit)
        elif kind == "release":
            self.begin(session, self._parking.release(session, _checked(item.release)))
        elif kind == "answer":
            self.queries.answered(session, item.answer)
        elif kind == "drain":
            session.draining = True
        elif kind == "owned":
            self.begin(session, self._reclaiming.reclaim(session, item.owned))
        elif kind == "capacity":
            session.capacity = _room(item.capacity.sagas)
            self._dispatcher.look_again()
        elif kind == "heartbeat":
            session.load = item.heartbeat
        else:
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
                await self._dispatcher.catch_up(session, run, epoch)
        except JournalError as error:
            log.warning("the inbox of saga %s can't be read: %s", run.saga, error, extra=about(run))  # its hint brings it back


def _checked(release: w.Release) -> w.Release:
    """Raises ServiceError."""
    try:
        check_release(release)
    except Rejected as error:
        raise ServiceError("INVALID_ARGUMENT", str(error)) from None
    return release


def _room(sagas: int) -> int:
    return min(max(sagas, 1), CAPACITY_MAX)
