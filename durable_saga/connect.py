"""A client from a URL: `host:port` of history servers, or a journal, whose engine then runs inside this process."""

from __future__ import annotations

from datetime import timedelta

from durable_saga.client import Client
from durable_saga.codec import Converters
from durable_saga.transport import GrpcTransport, LocalTransport


def connect(
    url: str, *, namespace: str = "default", strict: bool = True, saga_timeout: float | timedelta | None = None,
    converters: Converters | None = None,
) -> Client:  # fmt: skip
    """`localhost:7233`, `a:7233,b:7233` (some servers of one cell; they tell of the others), `sqlite:///orders.db`,
    `cassandra://host1,host2/keyspace`, `memory:`. Nothing is contacted before the first call. `saga_timeout`
    (seconds or a timedelta) is for sagas that declare none. `converters` are those of `Client`. Raises ValueError for another
    URL."""
    if "://" not in url and url != "memory:":
        seeds = [seed.strip() for seed in url.split(",")]
        for seed in seeds:
            host, _, port = seed.rpartition(":")
            if not host or not port.isdigit():
                raise ValueError(
                    f"{seed!r}: give host:port of one or more servers, or the URL of a journal such as sqlite:///orders.db"
                )
        return Client(GrpcTransport(*seeds), namespace=namespace, saga_timeout=saga_timeout, converters=converters)
    from durable_saga_server.journal.open import open_journal  # the engine in this process; a client alone needs none
    from durable_saga_server.service import HistoryService

    engine = HistoryService(open_journal(url, strict=strict), name="embedded")
    return Client(LocalTransport(engine), namespace=namespace, saga_timeout=saga_timeout, converters=converters)
