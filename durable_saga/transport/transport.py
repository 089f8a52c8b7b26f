"""How client and worker reach a history service: over gRPC, or as an object in this very process. One interface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import grpc
import grpc.aio

from durable_saga import errors
from durable_saga.definition.retry import to_ms
from durable_saga.pb import access_pb2 as a
from durable_saga.pb import access_pb2_grpc, cell_pb2, client_pb2_grpc, worker_pb2_grpc
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.calls import ACCESS_REQUESTS, REPLIES, STREAMED, STREAMED_BYTES_MAX, name_of
from durable_saga.transport.call_stream import Broken, CallStream
from durable_saga.transport.credentials import Credentials, Metadata
from durable_saga.transport.grpc_guard import refuse_client_in_saga
from durable_saga.transport.handshake import Reasons
from durable_saga.transport.routes import Routes
from durable_saga.transport.statuses import error_for

log = logging.getLogger(__name__)
RETRY_SECONDS_MAX = 30.0
SAY_AGAIN_SECONDS = 5.0
SOON_SECONDS = 0.5
RETRY_AFTER = "retry-after-ms"
"""Trailing metadata of a status that is worth a second call."""
WATCH_AGAIN_SECONDS = 1.0
UNARY_SECONDS = 60.0
"""A server that has no stream of calls, as earlier versions, is asked for one again after this."""
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_NOBODY = ("failed to connect", "Connection refused", "DNS resolution failed", "Domain name not found")
"""In what gRPC says where there is no server."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FINAL = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
"""A stream of calls that ended so is not worth a second one. By CANCELLED the client itself ended it."""
_OPTIONS = [
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),  # the longer of the two counts; its default is a minute
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
]


class Unreached(errors.Unavailable):
    """This server did not answer, or can't write: another one, or the same one later, may."""


class Lasting(Unreached):
    """Waiting does not mend it: TLS is at fault, and nothing was ever reached."""


class Transport(Protocol):
    """`call` is one request; `work` one stream of a worker to one target. Both raise ClientErrors. Requests may be sent more
    than once: each carries the id that makes it take effect once."""

    routes: Routes
    credentials: Credentials
    needs_heartbeats: bool
    """Of a thread of their own: the other side is another process, and can't see that a blocked loop still lives."""

    async def call(self, method: str, request: Any) -> Any: ...

    def work(self, outgoing: AsyncIterator[w.WorkerFrame], target: str) -> AsyncIterator[w.ServerFrame]: ...

    async def ready(self) -> None:
        """The tables are there and calls are taken. Raises Unavailable, and what a journal raises that waiting won't mend."""

    def check_hints_every(self, interval: float | timedelta) -> None:
        """For an engine in this process; a server has its own setting."""

    async def close(self) -> None: ...


async def call_any(
    routes: Routes, request: Any, ask: Callable[[str], Awaitable[Any]], waits: Callable[[Unreached], None] | None = None,
    seconds: float | None = None,
) -> Any:  # fmt: skip
    """Ask the servers in the order of `routes`, again and again with back-off for up to `seconds`, by default
    RETRY_SECONDS_MAX, until one answers. `ask` raises Unreached for what another may answer, Lasting where the same one won't;
    Exhausted that is over within SOON_SECONDS is waited for. `waits` is told when nobody answered."""
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + (RETRY_SECONDS_MAX if seconds is None else seconds), 0.1
    while True:
        failed: errors.ClientError = Unreached("no server is known")
        at_least, lasting = 0.0, True
        for target in routes.order(request):
            try:
                return await ask(target)
            except errors.Exhausted as error:
                failed, at_least = error, error.retry_after or RETRY_SECONDS_MAX
                if at_least > SOON_SECONDS:
                    raise
                break
            except Unreached as error:
                failed = error
                lasting = lasting and isinstance(error, Lasting)
            if loop.time() > until:
                raise failed
        if loop.time() + max(pause, at_least) > until or (lasting and isinstance(failed, Lasting)):
            raise failed
        if waits is not None and isinstance(failed, Unreached):
            waits(failed)
        await asyncio.sleep(max(pause, at_least))
        pause = min(pause * 2, 5.0)


def nobody_there(error: Unreached, servers: Sequence[str]) -> Unreached:
    """What a person can do where nobody listens; else the error as it is."""
    if not any(words in str(error) for words in _NOBODY):
        return error
    here = all(server.rpartition(":")[0].strip("[]") in _LOOPBACK for server in servers)
    start = "`durable-saga dev` starts one with the web page" if here else "start one there with `durable-saga server`"
    return Unreached(f"no server answers at {' or '.join(servers)}: {start} ({error})")


async def within(seconds: float, method: str, request: Any, work: Awaitable[Any]) -> Any:
    """Raises Unavailable when it takes longer; what a request itself asks to wait for is not counted."""
    waits_ms = request.wait_ms if isinstance(request, c.WaitRequest) else 0
    limit = asyncio.timeout(seconds + waits_ms / 1000)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        raise errors.Unavailable(
            f"{method}() was not answered within {seconds:g} s, the timeout= of connect(). The call may have taken effect; you"
            " can make the same call again"
        ) from None


class _Channel:
    """A connection to one target, with its stubs."""

    def __init__(self, target: str, credentials: Credentials) -> None:
        self._target = target
        self._credentials = credentials
        self._channel = credentials.channel(target, _OPTIONS)
        self.sagas: Any = client_pb2_grpc.SagasStub(self._channel)
        self.access: Any = access_pb2_grpc.AccessStub(self._channel)
        self.work: Any = worker_pb2_grpc.WorkStub(self._channel)
        self._calls: CallStream | None = None
        self._unary_until = 0.0

    async def call(self, name: str, request: Any) -> Any:
        """On the stream of calls if it is one for it. Raises ClientError; Unreached when another server may answer."""
        if name in STREAMED and request.ByteSize() <= STREAMED_BYTES_MAX and (stream := self._stream()) is not None:
            try:
                reply = await stream.call(name, request)
            except Broken as error:
                if error.code is not grpc.StatusCode.UNIMPLEMENTED:
                    code = error.code.name if error.code in _FINAL else "UNAVAILABLE"
                    raise _failed(code, str(error)) from None
                self._unary_until = asyncio.get_running_loop().time() + UNARY_SECONDS
            else:
                if not reply.code:
                    return REPLIES[name].FromString(reply.reply)
                if reply.code != "UNIMPLEMENTED":
                    raise _failed(reply.code, reply.message, reply.retry_after_ms)
        try:
            stub = self.access if name in ACCESS_REQUESTS else self.sagas
            return await getattr(stub, name)(request, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            raise _told(error) from None

    @property
    def metadata(self) -> Metadata | None:
        """Anew for each call and stream: a token may have been renewed. Raises NotAllowed where it can't be read."""
        try:
            return self._credentials.metadata(self._target)
        except Exception as error:  # the file can't be read, or what the user's function raises
            raise errors.NotAllowed(f"there is no token to send: {error}") from error

    def _stream(self) -> CallStream | None:
        """None: calls are unary for now."""
        if self._calls is None or not self._calls.is_open:
            if self._unary_until > asyncio.get_running_loop().time():
                return None
            self._calls = CallStream(partial(self.sagas.Calls, metadata=self.metadata))
        return None if self._calls.is_full else self._calls

    async def end(self) -> None:
        """What is under way has RETRY_SECONDS_MAX."""
        if self._calls is not None:
            self._calls.end()
        await self._channel.close(RETRY_SECONDS_MAX)

    async def close(self) -> None:
        if self._calls is not None:
            await self._calls.close()
        await self._channel.close(None)


class GrpcTransport:
    """Talks to the servers of a cell, of which `seeds` (host:port) name one or more; those tell of the others. A call goes to
    the home of its saga; while that can't be reached, to another server. When none answers, that is logged."""

    needs_heartbeats = True

    def __init__(self, *seeds: str, credentials: Credentials | None = None, timeout: float | None = None) -> None:
        self.routes = Routes(seeds)
        self._timeout = timeout
        self.credentials = credentials or Credentials()
        self._version = self.credentials.version()
        self._channels: dict[str, _Channel] = {}
        self._watch: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._said = float("-inf")
        self._reasons = Reasons(self.credentials)
        self._was_reached = False

    def _open(self, target: str) -> _Channel:
        if (version := self.credentials.version()) != self._version:
            self._version = version
            self._forget_channels([])
        if target not in self._channels:
            try:
                self._channels[target] = _Channel(target, self.credentials)
            except OSError as error:
                raise Unreached(f"a file of the connection can't be read: {error}") from error
        return self._channels[target]

    async def ready(self) -> None:
        try:
            await self.call("list", c.ListRequest(namespace="default", started_before_ms=1))  # finds nothing, at no cost
        except errors.NotAllowed:
            await self.call("identify", a.IdentifyRequest())  # whoever is known there may ask that

    def check_hints_every(self, interval: float | timedelta) -> None: ...

    async def call(self, method: str, request: Any) -> Any:
        refuse_client_in_saga(f"a client's {method}()")
        name = name_of(method)

        async def ask(target: str) -> Any:
            try:
                reply = await self._open(target).call(name, request)
            except Unreached as error:
                raise await self._explained(target, error) from None
            self._was_reached = True
            return reply

        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_cell(), name="watch-cell")
        try:
            work = call_any(self.routes, request, ask, self._say, self._timeout)
            return await (work if self._timeout is None else within(self._timeout, method, request, work))
        except Unreached as error:
            raise nobody_there(error, self.routes.servers()) from None

    def _say(self, error: Unreached) -> None:
        """Once for all calls that wait, and again after a while."""
        now = asyncio.get_running_loop().time()
        if now - self._said > SAY_AGAIN_SECONDS:
            self._said, servers = now, " and ".join(self.routes.servers())
            seconds = self._timeout or RETRY_SECONDS_MAX
            log.warning("%s does not answer (%s); trying again for up to %g s", servers, error, seconds)

    async def _explained(self, target: str, error: errors.ClientError) -> errors.ClientError:
        """Where TLS is at fault, that: gRPC tells little of it."""
        if not isinstance(error, Unreached) or not (reason := await self._reasons.of(target, str(error))):
            return error
        return Lasting(reason.text) if reason.is_lasting and not self._was_reached else Unreached(reason.text)

    async def _watch_cell(self) -> None:
        """Learn of the servers that come and go, from one of them."""
        while True:
            for target in list(dict.fromkeys([*self.routes.targets(), *self.routes.seeds])):
                try:
                    channel = self._open(target)
                    async for cell in channel.sagas.WatchCell(cell_pb2.CellRequest(), metadata=channel.metadata):
                        self.routes.learn(cell, target)
                        self._forget_channels([*self.routes.targets(), *self.routes.seeds])
                except (grpc.aio.AioRpcError, errors.ClientError):
                    continue  # the calls tell what is wrong
            await asyncio.sleep(WATCH_AGAIN_SECONDS)

    def _forget_channels(self, used: Sequence[str]) -> None:
        """All but these."""
        for target in [target for target in self._channels if target not in used]:
            gone = self._channels.pop(target)
            self._closing.add(task := asyncio.create_task(gone.end()))
            task.add_done_callback(self._closing.discard)

    async def work(self, outgoing: AsyncIterator[w.WorkerFrame], target: str) -> AsyncIterator[w.ServerFrame]:
        try:
            channel = self._open(target)
            async for frame in channel.work.Work(outgoing, metadata=channel.metadata):
                self._was_reached = True
                yield frame
        except grpc.aio.AioRpcError as error:
            raise await self._explained(target, _told(error)) from None

    async def close(self) -> None:
        watch, self._watch = self._watch, None
        tasks = [*self._closing, *self._reasons.under_way(), *([watch] if watch is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(one.close() for one in channels.values()))


class LocalTransport:
    """Calls a service object in this process, with the same messages. Owns it: `close()` shuts it down."""

    needs_heartbeats = False

    def __init__(self, service: Any, *, timeout: float | None = None) -> None:
        self.routes = Routes([""])
        self._timeout = timeout
        self.credentials = Credentials()
        self._service = service
        self._started: asyncio.Future[None] | None = None

    def check_hints_every(self, interval: float | timedelta) -> None:
        self._service.waker.sweep_ms = to_ms(interval, name="state_check_interval")

    async def ready(self) -> None:
        await self._ready()

    async def _ready(self) -> None:
        if self._started is None:
            self._started = asyncio.ensure_future(self._service.start_up())
        try:
            await asyncio.shield(self._started)
        except Exception as error:
            self._started = None  # the next call tries again
            raise _translated(error) from error

    async def call(self, method: str, request: Any) -> Any:
        refuse_client_in_saga(f"a client's {method}()")
        await self._ready()

        async def ask(_: str) -> Any:
            try:
                return await self._service.calls[name_of(method)](request)
            except Exception as error:
                raise _translated(error) from error

        work = call_any(self.routes, request, ask, seconds=self._timeout)
        return await (work if self._timeout is None else within(self._timeout, method, request, work))

    async def work(self, outgoing: AsyncIterator[w.WorkerFrame], target: str) -> AsyncIterator[w.ServerFrame]:
        await self._ready()
        try:
            async for frame in self._service.work(outgoing):
                yield frame
        except Exception as error:
            raise _translated(error) from error

    async def close(self) -> None:
        if self._started is not None:
            await self._started
            self._started = None
            await self._service.shut_down()


def _told(error: grpc.aio.AioRpcError) -> errors.ClientError:
    told: Any = error.trailing_metadata() or ()  # pairs, whatever its annotation says
    retry_after_ms = next((int(value) for key, value in told if key == RETRY_AFTER), 0)
    return _failed(error.code().name, error.details() or error.code().name, retry_after_ms)


def _failed(code: str, message: str, retry_after_ms: int = 0) -> errors.ClientError:
    return Unreached(message) if code == "UNAVAILABLE" else error_for(code, message, retry_after_ms)


def _translated(error: Exception) -> Exception:
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    if not (isinstance(code, str) and code and isinstance(message, str)):
        return error
    return error_for(code, message, getattr(error, "retry_after_ms", 0))
