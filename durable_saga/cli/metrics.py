"""`--metrics` and `--otel` of the commands that run, and what makes a worker process not ready."""

from __future__ import annotations

from collections.abc import Callable

import click

from durable_saga.telemetry import otel
from durable_saga.telemetry.catalogue import LINKS
from durable_saga.telemetry.endpoint import PORT_MAX, host_and_port

metrics_option = click.option(
    "--metrics", default="", envvar="DURABLE_SAGA_METRICS",
    help="HOST:PORT for /metrics (Prometheus), /livez and /readyz; default: none. Port 0 picks a free one.",
)  # fmt: skip

health_grpc_option = click.option(
    "--health-grpc", default="", envvar="DURABLE_SAGA_HEALTH_GRPC",
    help="HOST:PORT for health checks by gRPC's own protocol; default: none. Port 0 picks a free one.",
)  # fmt: skip
otel_option = click.option(
    "--otel", is_flag=True, envvar="DURABLE_SAGA_OTEL",
    help="Report traces and metrics by OpenTelemetry, as its OTEL_… variables say.",
)  # fmt: skip


def begin_otel(wanted: bool) -> None:
    """Raises ClickException without the extra."""
    if not wanted:
        return
    try:
        otel.begin()
    except ImportError as error:
        raise click.ClickException(str(error)) from error


def of_process(listen: str, number: int, option: str = "--metrics") -> str:
    """The address of one of several processes: each has a port of its own, one after the other. Raises ValueError."""
    if not listen or not number:
        return listen
    host, port = host_and_port(listen, option)
    if not port:
        return listen
    if port + number > PORT_MAX:
        raise ValueError(f"{option} is {listen!r}: process {number + 1} would need port {port + number}, which is none")
    return f"[{host}]:{port + number}" if ":" in host else f"{host}:{port + number}"


def worker_readiness(is_stopping: Callable[[], bool]) -> Callable[[], str]:
    """A check of a worker process: why it gets no work, or ""."""

    def check() -> str:
        if is_stopping():
            return "it is stopping"
        return "" if sum(value for value, _ in LINKS.read()) else "no server has welcomed this worker, or none is connected now"

    return check
