"""The service behind gRPC: one server, with health and reflection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from durable_saga.pb import client_pb2, client_pb2_grpc, worker_pb2, worker_pb2_grpc
from durable_saga_server.failures import ServiceError
from durable_saga_server.handlers import Registering, abort
from durable_saga_server.service import HistoryService

log = logging.getLogger(__name__)
CALLS_PER_CONNECTION_MAX = 2_000
"""Unary calls and streams at once; a client holds back what is more."""
_OPTIONS = [
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),  # the longer of the two counts; its default is a minute
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION_MAX),
]


def _unary(method: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, Any, Any], Awaitable[Any]]:
    async def call(_: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await method(request)
        except ServiceError as error:
            await abort(context, error)
        except Exception as error:
            name = type(request).__name__.removesuffix("Request")
            log.exception("%s failed", name)
            await abort(context, ServiceError("UNKNOWN", f"{name} failed in the server: {error!r}"))

    return call


class GrpcServer:
    """Listens from `start()` to `stop()`. `port` is the real one, also when port 0 was asked for."""

    def __init__(self, service: HistoryService, listen: str) -> None:
        self._service = service
        self._listen = listen
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # set at run time by the package
        size = service.config.message_bytes_max
        self._server = grpc.aio.server(
            options=[*_OPTIONS, ("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]
        )
        self.port = 0

    async def start(self) -> None:
        """Raises RuntimeError when the address can't be had."""
        service = self._service
        calls: dict[str, Any] = {name: _unary(call) for name, call in service.calls.items() if name != "Beat"}
        calls["WatchCell"], calls["Calls"] = self._watch_cell, self._call_stream
        sagas = type("Sagas", (client_pb2_grpc.SagasServicer,), calls)()
        server = Registering(self._server)
        client_pb2_grpc.add_SagasServicer_to_server(sagas, server)
        work = type("Work", (worker_pb2_grpc.WorkServicer,), {"Work": self._work, "Beat": _unary(service.calls["Beat"])})()
        worker_pb2_grpc.add_WorkServicer_to_server(work, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        described = [client_pb2.DESCRIPTOR.services_by_name["Sagas"], worker_pb2.DESCRIPTOR.services_by_name["Work"]]
        names_served = [one.full_name for one in described]
        names = [*names_served, reflection.SERVICE_NAME]
        reflecting = reflection.aio.ReflectionServicer(service_names=names)  # type: ignore[attr-defined]  # set at run time
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflecting, server)
        try:
            self.port = self._server.add_insecure_port(self._listen)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise RuntimeError(f"{self._listen} can't be listened on: is another server running there? HOST:PORT is due")
        await self._server.start()
        for name in ("", *names_served):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    @property
    def _watch_cell(self) -> Any:
        service = self._service

        async def watch(_: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async for view in service.watch_cell(request):
                yield view

        return watch

    @property
    def _call_stream(self) -> Any:
        streams = self._service.call_streams

        async def calls(
            _: Any, incoming: AsyncIterator[client_pb2.CallFrame], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[client_pb2.ReplyFrame]:
            async for frame in streams.serve(incoming):
                yield frame

        return calls

    @property
    def _work(self) -> Any:
        service = self._service

        async def work(
            _: Any, incoming: AsyncIterator[worker_pb2.WorkerFrame], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[worker_pb2.ServerFrame]:
            task = asyncio.current_task()
            async for frame in service.work(incoming, task.cancel if task is not None else None):
                yield frame

        return work

    async def stop(self, grace_seconds: float) -> None:
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)
