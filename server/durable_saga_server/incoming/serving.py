"""A history server as a process: journal, service and gRPC, from start to a graceful end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable

from durable_saga.pb.listening import check_listening
from durable_saga.pb.process_names import new_name
from durable_saga.pb.tls_files import TlsFiles
from durable_saga_server.access.auditing import AUDIT_KEPT_MS
from durable_saga_server.access.guard import Guard
from durable_saga_server.access.policy import Policy
from durable_saga_server.config import Config
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.incoming.telling import telling
from durable_saga_server.journal import JournalUnavailable
from durable_saga_server.journal.measured import measured
from durable_saga_server.journal.open import open_journal
from durable_saga_server.service import HistoryService

log = logging.getLogger(__name__)
JOURNAL_RETRY_SECONDS_MAX = 15.0
STOP_GRACE_SECONDS = 5.0
WANTS = (
    "--tls-cert server.pem --tls-key server-key.pem",
    "--tokens (then: durable-saga token create NAME --role admin --url JOURNAL), or --access access.toml",
)
"""Of a server that others can reach."""


async def serve(
    journal_url: str,
    listen: str,
    *,
    strict: bool = True,
    advertise: str = "",
    config: Config | None = None,
    tls: TlsFiles | None = None,
    policy: Policy | None = None,
    tokens: bool = False,
    audit_kept_ms: int = AUDIT_KEPT_MS,
    insecure: bool = False,
    ready: Callable[[str], None] = print,
    before_stop: Callable[[], Awaitable[None]] | None = None,
    metrics: str = "",
) -> None:
    """Run until SIGTERM or SIGINT. `advertise` is the host:port at which workers, clients and other servers find this one.
    Beyond loopback it wants `tls` and identity (`policy` or `tokens`), or the word that it is `insecure`. `ready` is told the
    address once requests are taken; `before_stop` is awaited while they still are. `metrics` is the host:port of metrics and
    probes. Waits for an unreachable journal and says so; raises ValueError, SchemaTooNew and WeakSettings, which waiting does
    not mend, ImportError without an extra, and RuntimeError and OSError for a taken address."""
    has_identity = tokens or policy is not None
    check_listening(listen, is_closed=has_identity and tls is not None, insecure=insecure, wants=WANTS)
    if policy is not None and policy.has_names and not (tls is not None and tls.wants_client_certificate):
        raise ValueError("the access file has grants for a san, which need client certificates: give --client-ca")
    journal = measured(open_journal(journal_url, strict=strict), bool(metrics))
    service = HistoryService(journal, config=config, name=listen, member=new_name(os.urandom(4)))
    guard = Guard(service.journal.ledger, service.clock, policy=policy, tokens=tokens) if has_identity else None
    server = GrpcServer(service, listen, tls, guard, audit_kept_ms=audit_kept_ms)
    stop = asyncio.Event()
    async with telling(service, server, metrics, journal_url, stop.is_set) as told:
        told.say()
        await start_when_reachable(service, journal_url)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await server.start()
            host = listen.rpartition(":")[0]
            await service.join(advertise or f"{_reachable(host)}:{server.port}")
            ready(f"listening on {host}:{server.port}")
            await stop.wait()
            if before_stop is not None:
                await before_stop()
            log.info("stopping: no new calls are accepted, and those under way have up to %s s", STOP_GRACE_SECONDS)
            await service.drain()
        finally:
            stopping = asyncio.create_task(server.stop(STOP_GRACE_SECONDS))
            await service.shut_down()
            await stopping


async def start_when_reachable(service: HistoryService, journal_url: str) -> None:
    """Start, again and again with a growing pause while the journal can't be reached."""
    pause = 0.5
    while True:
        try:
            await service.start_up()
            return
        except JournalUnavailable as error:
            log.warning("the journal %s can't be reached (%s); trying again in %.1f s", journal_url, error, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, JOURNAL_RETRY_SECONDS_MAX)


def _reachable(host: str) -> str:
    """A server that listens everywhere is found under its machine's name."""
    return socket.gethostname() if host in ("", "0.0.0.0", "[::]", "::") else host
