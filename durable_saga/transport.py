"""How client and worker reach a history service: over gRPC, or as an object in this very process. One interface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Protocol

import grpc
import grpc.aio

from durable_saga import errors
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import client_pb2_grpc, worker_pb2_grpc
from durable_saga.pb import worker_pb2 as w
from durable_saga.retry import to_ms

log = logging.getLogger(__name__)
RETRY_SECONDS_MAX = 30.0
SAY_AGAIN_SECONDS = 5.0
RETRY_AFTER = "retry-after-ms"
"""Trailing metadata of a status that is worth a second call."""
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_OPTIONS = [
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
]
_ERRORS: dict[str, type[errors.ClientError]] = {
    "NOT_FOUND": errors.NotFound,
    "INVALID_ARGUMENT": errors.InvalidArgument,
    "FAILED_PRECONDITION": errors.AlreadyEnded,
    "ALREADY_EXISTS": errors.AlreadyStarted,
}


def error_for(code: str, message: str, retry_after_ms: int = 0) -> errors.ClientError:
    """The error that a status of the service means to a caller."""
    if code == "RESOURCE_EXHAUSTED":
        return errors.Exhausted(message, retry_after_ms / 1000 or None)
    return _ERRORS.get(code, errors.Unavailable)(message)


class Transport(Protocol):
    """`call` is one request; `work` one stream of a worker. Both raise ClientErrors. Requests may be sent more than once:
    each carries the id that makes it take effect once."""

    async def call(self, method: str, request: Any) -> Any: ...

    def work(self, outgoing: AsyncIterator[w.WorkerFrame]) -> AsyncIterator[w.ServerFrame]: ...

    def address(self) -> str:
        """Where heartbeats of a thread go, "" when none are needed."""

    async def ready(self) -> None:
        """The tables are there and calls are taken. Raises Unavailable, and what a journal raises that waiting won't mend."""

    def check_hints_every(self, interval: float | timedelta) -> None:
        """For an engine in this process; a server has its own setting."""

    async def close(self) -> None: ...


class GrpcTransport:
    """Talks to `host:port`. While the server can't be reached, a call is tried again with back-off for up to
    RETRY_SECONDS_MAX, and that is logged."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._channel: grpc.aio.Channel | None = None
        self._said = float("-inf")

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
            self._sagas = client_pb2_grpc.SagasStub(self._channel)
            self._work = worker_pb2_grpc.WorkStub(self._channel)
        return self._channel

    def address(self) -> str:
        return self._target

    async def ready(self) -> None:
        await self.call("statistics", c.StatisticsRequest(namespace="default"))

    def check_hints_every(self, interval: float | timedelta) -> None: ...

    async def call(self, method: str, request: Any) -> Any:
        self._open()
        stub = getattr(self._sagas, method.capitalize())
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + RETRY_SECONDS_MAX, 0.1
        while True:
            try:
                return await stub(request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or loop.time() + pause > until:
                    raise _told(error) from None
                self._say(loop.time(), error.details() or "no details")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _say(self, now: float, reason: str) -> None:
        """Once for all calls that wait, and again after a while."""
        if now - self._said > SAY_AGAIN_SECONDS:
            self._said = now
            log.warning("%s does not answer (%s); trying again for up to %.0f s", self._target, reason, RETRY_SECONDS_MAX)

    async def work(self, outgoing: AsyncIterator[w.WorkerFrame]) -> AsyncIterator[w.ServerFrame]:
        self._open()
        try:
            async for frame in self._work.Work(outgoing):
                yield frame
        except grpc.aio.AioRpcError as error:
            raise _told(error) from None

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None


class LocalTransport:
    """Calls a service object in this process, with the same messages. Owns it: `close()` shuts it down."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self._started: asyncio.Future[None] | None = None

    def address(self) -> str:
        return ""

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
        await self._ready()
        try:
            return await self._service.calls[method.capitalize()](request)
        except Exception as error:
            raise _translated(error) from error

    async def work(self, outgoing: AsyncIterator[w.WorkerFrame]) -> AsyncIterator[w.ServerFrame]:
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
    return error_for(error.code().name, error.details() or error.code().name, retry_after_ms)


def _translated(error: Exception) -> Exception:
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    if not (isinstance(code, str) and code and isinstance(message, str)):
        return error
    return error_for(code, message, getattr(error, "retry_after_ms", 0))
