"""A client from a URL: `host:port` of a history server, or a journal, whose engine then runs inside this process."""

from __future__ import annotations

from datetime import timedelta

from durable_saga.client import Client
from durable_saga.transport import GrpcTransport, LocalTransport


def connect(
    url: str, *, namespace: str = "default", strict: bool = True, saga_timeout: float | timedelta | None = None
) -> Client:
    """`localhost:7233`, `sqlite:///orders.db`, `cassandra://host1,host2/keyspace`, `memory:`. Nothing is contacted before
    the first call. `saga_timeout` (seconds or a timedelta) is for sagas that declare none. Raises ValueError for other URLs."""
    if "://" not in url and url != "memory:":
        host, _, port = url.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{url!r}: give host:port of a server, or the URL of a journal such as sqlite:///orders.db")
        return Client(GrpcTransport(url), namespace=namespace, saga_timeout=saga_timeout)
    from durable_saga_server.journal.open import open_journal  # the engine in this process; a client alone needs none
    from durable_saga_server.service import HistoryService

    engine = HistoryService(open_journal(url, strict=strict), name="embedded")
    return Client(LocalTransport(engine), namespace=namespace, saga_timeout=saga_timeout)
