"""The service behind gRPC: one server, with health and reflection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from durable_saga.pb import access_pb2, access_pb2_grpc, client_pb2, client_pb2_grpc, worker_pb2, worker_pb2_grpc
from durable_saga.pb.calls import ACCESS_REQUESTS, REQUESTS
from durable_saga.pb.poller import keep_poller
from durable_saga.pb.tls_files import TlsFiles
from durable_saga_server.access.auditing import AUDIT_KEPT_MS, RECORDED_UNASKED, Auditor
from durable_saga_server.access.caller import Caller, Unasked
from durable_saga_server.access.guard import Guard, origin_of
from durable_saga_server.access.tls import port_credentials
from durable_saga_server.failures import ServiceError
from durable_saga_server.incoming.handlers import Registering, abort
from durable_saga_server.service import HistoryService

log = logging.getLogger(__name__)
HANDSHAKE_SECONDS_MAX = 20.0
"""From a connection to the end of its handshake, of TLS and HTTP/2: who says nothing is let go."""
CALLS_PER_CONNECTION_MAX = 2_000
"""Unary calls and streams at once; a client holds back what is more."""
_OPTIONS = [
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),  # the longer of the two counts; its default is a minute
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
    ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_SECONDS_MAX * 1000)),
    ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION_MAX),
]


Method = Callable[[Any], Awaitable[Any]]


class GrpcServer:
    """Listens from `start()` to `stop()`. `port` is the real one, also when port 0 was asked for."""

    def __init__(
        self, service: HistoryService, listen: str, tls: TlsFiles | None = None, guard: Guard | None = None, *,
        audit_kept_ms: int = AUDIT_KEPT_MS,
    ) -> None:  # fmt: skip
        """In the clear without `tls`; without a `guard` nobody is asked who they are."""
        self._auditor = Auditor(service.journal.ledger, service.clock, service.ids, kept_ms=audit_kept_ms)
        self._service = service
        self._listen = listen
        self._tls = tls
        self._guard = guard
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # set at run time by the package
        keep_poller()
        size = service.config.message_bytes_max
        self._server = grpc.aio.server(
            options=[*_OPTIONS, ("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]
        )
        self.port = 0
        self._checked: Sequence[str] = ()

    async def start(self) -> None:
        """Raises RuntimeError when the address can't be had, JournalError."""
        described = [client_pb2.DESCRIPTOR.services_by_name["Sagas"], worker_pb2.DESCRIPTOR.services_by_name["Work"]]
        described.append(access_pb2.DESCRIPTOR.services_by_name["Access"])
        self._register()
        if self._guard is None:  # who is not known need not be told what there is
            names = [*(one.full_name for one in described), reflection.SERVICE_NAME]
            reflecting = reflection.aio.ReflectionServicer(service_names=names)  # type: ignore[attr-defined]  # at run time
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflecting, Registering(self._server))
        try:
            self.port = self._open_port()
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise RuntimeError(f"{self._listen} can't be listened on: give HOST:PORT, and a port that no other server uses")
        if self._guard is not None:
            await self._guard.start()
            self._service.before_close.append(self._guard.stop)
        self._auditor.start()
        self._service.before_close.append(self._auditor.stop)
        await self._server.start()
        self._checked = ("", *(one.full_name for one in described))
        await self.show_readiness(True)

    def _register(self) -> None:
        server, calls = Registering(self._server), self._service.calls
        unary = {name: self._unary(name, calls[name]) for name in calls}
        streams = {"WatchCell": self._watch_cell, "Calls": self._call_stream}
        sagas = type("Sagas", (client_pb2_grpc.SagasServicer,), {**{name: unary[name] for name in REQUESTS}, **streams})()
        client_pb2_grpc.add_SagasServicer_to_server(sagas, server)
        work = type("Work", (worker_pb2_grpc.WorkServicer,), {"Work": self._work, "Beat": unary["Beat"]})()
        worker_pb2_grpc.add_WorkServicer_to_server(work, server)
        access = type("Access", (access_pb2_grpc.AccessServicer,), {name: unary[name] for name in ACCESS_REQUESTS})()
        access_pb2_grpc.add_AccessServicer_to_server(access, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)

    def _open_port(self) -> int:
        if self._tls is None:
            return int(self._server.add_insecure_port(self._listen))
        return int(self._server.add_secure_port(self._listen, port_credentials(self._tls)))

    def _unary(self, name: str, method: Method) -> Callable[[Any, Any, Any], Awaitable[Any]]:
        guard = self._guard

        async def call(_: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                if guard is None:
                    if name not in RECORDED_UNASKED:
                        return await method(request)
                    return await Unasked(origin_of(context), self._auditor).call(name, method, request)
                caller = await guard.caller(context, self._auditor)
                if name == "Beat":  # a sign of life is taken from whom the worker's stream is
                    caller.check_same(self._service.sessions.named(request.worker))
                reply = await caller.call(name, method, request)
                if name == "Revoke":  # at this server it is over at once
                    await guard.look_again()
                return reply
            except ServiceError as error:
                await abort(context, error)
            except Exception as error:
                log.exception("%s failed", name)
                await abort(context, ServiceError("UNKNOWN", f"{name} failed in the server: {error!r}"))

        return call

    @asynccontextmanager
    async def _known(self, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Caller | None]:
        """Who opened a stream, for as long as it is open. Raises ServiceError."""
        if self._guard is None:
            yield None
            return
        caller = await self._guard.caller(context, self._auditor)
        with self._guard.watching(caller):
            yield caller

    @property
    def _watch_cell(self) -> Any:
        async def watch(_: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            try:
                async with self._known(context) as caller:
                    async for view in self._service.watch_cell(caller):
                        yield view
            except ServiceError as error:
                await abort(context, error)

        return watch

    @property
    def _call_stream(self) -> Any:
        streams = self._service.call_streams

        async def calls(
            _: Any, incoming: AsyncIterator[client_pb2.CallFrame], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[client_pb2.ReplyFrame]:
            async with self._known(context) as caller:
                async for frame in streams.serve(incoming, caller or Unasked(origin_of(context), self._auditor)):
                    yield frame

        return calls

    @property
    def _work(self) -> Any:
        service = self._service

        async def work(
            _: Any, incoming: AsyncIterator[worker_pb2.WorkerFrame], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[worker_pb2.ServerFrame]:
            async with self._known(context) as caller:
                task = asyncio.current_task()
                if caller is not None:
                    caller.check("Work", None)
                async for frame in service.work(incoming, task.cancel if task is not None else None, caller):
                    yield frame

        return work

    async def show_readiness(self, is_ready: bool) -> None:
        """What health checks are told, from the start on until the stop."""
        status = health_pb2.HealthCheckResponse.SERVING if is_ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._checked:
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)
