"""The health of a process by gRPC's health checking protocol, for workers, which have no gRPC port of their own. Answered by
threads, so that a loop that stands still is told and not waited for. Needs grpcio-health-checking.

The services are "" and "readiness", which say what `/readyz` says, and "liveness", which says what `/livez` says. `Check` and
`Watch` follow within LOOK_SECONDS. It is in the clear: it tells nothing but that.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from durable_saga.telemetry.endpoint import host_and_port
from durable_saga.telemetry.health import Health

LOOK_SECONDS = 0.5
CALLS_AT_ONCE_MAX = 64
"""Checks and watches; further ones are refused."""
NEEDS = "--health-grpc needs a package: `pip install 'durable-saga[health]'`"


class GrpcHealth:
    """Listens from `start()` to `stop()`; `address` is the real one, or "" for `listen` "", where nothing listens. Raises
    ImportError without the package, ValueError and OSError for an address that can't be had."""

    def __init__(self, listen: str, health: Health) -> None:
        self.address, self._health = "", health
        self._stopping = threading.Event()
        self._shown: dict[str, bool] = {}
        self._server: grpc.Server | None = None
        if listen:
            self._server = self._listening(listen)

    def _listening(self, listen: str) -> grpc.Server:
        try:
            from grpc_health.v1 import health, health_pb2_grpc
        except ImportError as error:
            raise ImportError(f"{error}: {NEEDS}") from error
        host, port = host_and_port(listen, "--health-grpc")
        pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="saga-health")
        options = [("grpc.so_reuseport", 0)]
        server = grpc.server(pool, options=options, maximum_concurrent_rpcs=CALLS_AT_ONCE_MAX)
        self._servicer: Any = health.HealthServicer(experimental_non_blocking=True, experimental_thread_pool=pool)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        shown = f"[{host}]" if ":" in host else host
        try:
            bound = server.add_insecure_port(f"{shown}:{port}")
        except RuntimeError as error:
            raise OSError(f"{listen} can't be listened on for health checks: {error}; give another --health-grpc") from None
        self.address = f"{shown}:{bound}"
        return server

    def start(self) -> None:
        if self._server is not None:
            self._look()
            self._server.start()
            threading.Thread(target=self._follow, name="saga-health-look", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        if self._server is not None:
            self._server.stop(0)

    def _follow(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        from grpc_health.v1.health_pb2 import HealthCheckResponse

        ready, alive = not self._health.not_ready(), not self._health.not_alive()
        for service, is_well in (("", ready), ("readiness", ready), ("liveness", alive)):
            if self._shown.get(service) != is_well:  # each set() is told to those who watch
                self._shown[service] = is_well
                self._servicer.set(service, HealthCheckResponse.SERVING if is_well else HealthCheckResponse.NOT_SERVING)
