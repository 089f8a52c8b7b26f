"""A client from a URL: `host:port` of history servers, or a journal, whose engine then runs inside this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from durable_saga.client.client import Client
from durable_saga.codec import Converters
from durable_saga.definition.retry import to_ms
from durable_saga.hooks import Hook
from durable_saga.pb.process_names import new_name
from durable_saga.pb.redaction import redact as without_secrets
from durable_saga.redaction import Redact
from durable_saga.sealing.payload_codec import PayloadCodec
from durable_saga.transport.credentials import SCHEME, Token, credentials_of
from durable_saga.transport.transport import GrpcTransport, LocalTransport, Transport

PORT_MAX = 65_535
_WEB = ("http://", "https://")


def connect(
    url: str, *, namespace: str = "default", strict: bool = True, saga_timeout: float | timedelta | None = None,
    converters: Converters | None = None, ca: str | None = None, cert: str | None = None, key: str | None = None,
    token: Token | None = None, codec: PayloadCodec | None = None, redact: Redact | None = None,
    timeout: float | timedelta | None = None, hooks: Sequence[Hook] = (), carry: Sequence[ContextVar[Any]] = (),
) -> Client:  # fmt: skip
    """A client for servers or a journal. Nothing is contacted before the first call.

    - `url`: `localhost:7233`, `a:7233,b:7233` (some servers of one cell, which name the others), or `grpcs://a:7233,b:7233`
      for TLS. For a journal: `sqlite:///orders.db`, `cassandra://host1,host2/keyspace` or `memory:`.
    - `namespace`: the namespace of the sagas that this client starts and sees.
    - `strict`: refuse a Cassandra whose settings are too weak for the promises.
    - `saga_timeout` (seconds or a timedelta): for sagas that declare none.
    - `ca`, `cert`, `key`: PEM files. `token`: a text, or a function that returns the current token (docs/identity.md). If
      None, they come from DURABLE_SAGA_CA, _CERT, _KEY, _TOKEN or _TOKEN_FILE. A journal needs none of these.
    - `timeout` (seconds or a timedelta): the time in which each call must be answered. After it the call raises Unavailable;
      it may have taken effect, and you can make it again. Without it a call is tried again for up to 30 s while no server
      answers. It does not apply to waiting for a saga's end, nor to the streams of workers.
    - `codec`: seals values before they leave this process, and opens them (docs/encryption.md).
    - `converters`, `redact`, `hooks`, `carry`: those of `Client`.

    Raises ValueError for any other URL and for arguments that don't fit together, and OSError for a file that can't be read."""

    within = to_ms(timeout, name="timeout") / 1000 if timeout is not None else None
    if within == 0:
        raise ValueError(f"timeout is {timeout!r}, which is too short for any call: leave it out for the default")
    if url.startswith(_WEB):
        raise ValueError(
            f"{without_secrets(url)!r} is the URL of a web page: give host:port of a server, such as localhost:7233, or"
            " grpcs://host:port for TLS"
        )

    def client(transport: Transport) -> Client:
        return Client(
            transport, namespace=namespace, saga_timeout=saga_timeout, converters=converters, payload_codec=codec,
            redact=redact, hooks=hooks, carry=carry,
        )  # fmt: skip

    if url.startswith(SCHEME) or ("://" not in url and url != "memory:"):
        seeds = _seeds(url.removeprefix(SCHEME))
        credentials = credentials_of(tls=url.startswith(SCHEME), ca=ca, cert=cert, key=key, token=token)
        return client(GrpcTransport(*seeds, credentials=credentials, timeout=within))
    if ca or cert or key or token:
        raise ValueError("ca, cert, key and token are for servers; a journal is opened in this process")
    from durable_saga_server.journal.open import open_journal  # the engine in this process; a client alone needs none
    from durable_saga_server.service import HistoryService

    engine = HistoryService(open_journal(url, strict=strict), name="embedded", member=new_name(os.urandom(4)))
    return client(LocalTransport(engine, timeout=within))


def _seeds(servers: str) -> list[str]:
    """Raises ValueError."""
    seeds = [seed.strip() for seed in servers.split(",")]
    for seed in seeds:
        if "@" in seed:
            raise ValueError(
                f"{without_secrets(SCHEME + seed)!r} holds a user or a password, and URLs end up in logs and process lists. Set"
                " DURABLE_SAGA_TOKEN or DURABLE_SAGA_TOKEN_FILE instead"
            )
        host, _, port = seed.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()):
            raise ValueError(
                f"{seed!r} isn't an address: give host:port of one or more servers, or the URL of a journal such as sqlite:///orders.db"
            )
        if not 0 < int(port) <= PORT_MAX:
            raise ValueError(f"{seed!r} isn't an address: a port is a number from 1 to {PORT_MAX}")
    return seeds
