"""What one process of ours tells: its health, and over HTTP its metrics, where an address is given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import TracebackType

from durable_saga.telemetry.catalogue import INFO
from durable_saga.telemetry.endpoint import Endpoint, Exposition
from durable_saga.telemetry.grpc_health import GrpcHealth
from durable_saga.telemetry.health import Health
from durable_saga.telemetry.instruments import Observed, Watching

log = logging.getLogger(__name__)
NEEDS = "--metrics needs a package: `pip install 'durable-saga[metrics]'`"


class Telling:
    """Use it with `async with` on the loop of the process. `listen` "" is for no address: then only `health` is there;
    `health_listen` is the same for checks by gRPC. `versions` are labels of the metric `durable_saga.process`, and stand in the
    log. Raises ImportError without an extra, ValueError and OSError for an address that can't be had."""

    def __init__(
        self, listen: str, role: str, now: Callable[[], float], versions: Mapping[str, str], health_listen: str = ""
    ) -> None:  # fmt: skip
        self._role, self._versions = role, versions
        self.health = Health(now)
        self._endpoint = Endpoint(listen, self.health, _exposition()) if listen else None
        self._grpc_health = GrpcHealth(health_listen, self.health)
        self._watching = Watching((INFO, self._info))

    @property
    def address(self) -> str:
        """Where it is listened on, or ""."""
        return self._endpoint.address if self._endpoint is not None else ""

    def say(self) -> None:
        """What it is, and where it can be asked, for the log."""
        told = dict(self._versions)
        words = ", ".join(f"{name} {value}" for name, value in told.items() if value and name != "version")
        log.info("durable-saga %s, a %s: %s", told.get("version", ""), self._role, words)
        if self.address:
            log.info("metrics on %s/metrics, probes on /livez and /readyz", self.address)
        if self._grpc_health.address:
            log.info("gRPC health checks on %s", self._grpc_health.address)

    def _info(self) -> Observed:
        return [(1.0, (self._role, *(self._versions.get(name, "") for name in INFO.labels[1:])))]

    async def __aenter__(self) -> Telling:
        self.health.start()
        self._watching.start()
        if self._endpoint is not None:
            self._endpoint.start()
        self._grpc_health.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._grpc_health.stop()
        if self._endpoint is not None:
            self._endpoint.stop()
        self._watching.stop()
        await self.health.stop()


def _exposition() -> Exposition:
    try:
        from durable_saga.telemetry.prometheus import exposition
    except ImportError as error:
        raise ImportError(f"{error}: {NEEDS}") from error
    return exposition()
