"""The page as a process: a socket, a client, uvicorn, from start to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvicorn

from durable_saga.client.client import Client
from durable_saga.client.connect import connect
from durable_saga.clock import SystemClock
from durable_saga.page import connections
from durable_saga.page.application import application
from durable_saga.page.connections import CONNECTIONS_MAX, Bounded
from durable_saga.page.entrance import TOKEN_CHARACTERS_MIN
from durable_saga.page.guarding import LOOPBACK
from durable_saga.page.oidc import Oidc, OidcSettings
from durable_saga.page.sessions import Sessions
from durable_saga.pb.listening import check_listening
from durable_saga.pb.redaction import redact
from durable_saga.pb.tls_files import RenewedContext, TlsFiles
from durable_saga.sealing.payload_codec import PayloadCodec
from durable_saga.transport.credentials import SCHEME

log = logging.getLogger(__name__)
STOP_GRACE_SECONDS = 3
_NAME = re.compile(r"[\w.-]+|\[?[0-9A-Fa-f:.]+\]?")
WANTS = (
    "--tls-cert page.pem --tls-key page-key.pem, or --behind-tls where a proxy in front of the page speaks TLS",
    "--sign-in (with a token of the server), --oidc-issuer and --oidc-client-id, or DURABLE_SAGA_PAGE_TOKEN=… for everybody",
)
"""Of a page that others can reach."""


class _Server(uvicorn.Server):
    """Leaves signals to who runs it, and lets go who does not finish a TLS handshake, which uvicorn has no setting for."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        config, loop = self.config, asyncio.get_running_loop()

        def protocol() -> Bounded:
            return Bounded(config, self.server_state, self.lifespan.state)

        seconds = connections.HEAD_SECONDS_MAX if config.ssl is not None else None
        self.servers = [
            await loop.create_server(
                protocol, sock=one, ssl=config.ssl, ssl_handshake_timeout=seconds, backlog=config.backlog
            )
            for one in sockets or ()
        ]  # fmt: skip
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How the page is reached and by whom. `token`: one for all. `sign_in`: each with a token of the server, or by `oidc`.
    `behind_tls`: a proxy before it speaks TLS."""

    token: str = field(default="", repr=False)
    sign_in: bool = False
    oidc: OidcSettings | None = None
    tls: TlsFiles | None = None
    behind_tls: bool = False
    insecure: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.token and self.is_personal:
            raise ValueError("either everybody shares one token of the page, or each person logs in: give only one of the two")
        if not self.token.isprintable() or self.token != self.token.strip():
            raise ValueError("the page's token can't be typed: give one line of printable characters, without spaces around it")
        if self.oidc is not None and self.oidc.public_url and not _is_web(self.oidc.public_url):
            raise ValueError(
                f"--public-url is {self.oidc.public_url!r}: give what browsers open, such as https://saga.example.org"
            )
        if self.token and len(self.token) < TOKEN_CHARACTERS_MIN:
            raise ValueError(f"the page's token has {len(self.token)} characters; at least {TOKEN_CHARACTERS_MIN} are needed")

    @property
    def is_personal(self) -> bool:
        return self.sign_in or self.oidc is not None

    @property
    def is_secure(self) -> bool:
        return self.tls is not None or self.behind_tls

    @property
    def is_closed(self) -> bool:
        return self.is_secure and (bool(self.token) or self.is_personal)


class PageServer:
    """Made by `bind()`; `address` is where a browser finds it."""

    def __init__(
        self, url: str, client: Client, bound: socket.socket, host: str, *, door: Door, hosts: Sequence[str], oidc: Oidc | None,
        codec: PayloadCodec | None = None,
    ) -> None:  # fmt: skip
        self._url = url
        self._client = client
        self._socket = bound
        self._door = door
        self._hosts = hosts
        self._oidc = oidc
        self._codec = codec
        self._server: _Server | None = None
        self._stopping = False
        self.address = _address(door, host, bound)

    async def run(self) -> None:
        """Until `stop()`, or until it is cancelled."""
        door, sessions = self._door, Sessions(SystemClock())
        async with self._client as client:
            app = application(
                client, url=self._url, token=door.token, hosts=self._hosts, is_secure=door.is_secure, sessions=sessions,
                of_server=self._of_server if door.is_personal else None, oidc=self._oidc, behind_proxy=door.behind_tls,
            )  # fmt: skip
            config = uvicorn.Config(
                app, log_config=None, access_log=False, proxy_headers=False, server_header=False, lifespan="off", ws="none",
                timeout_graceful_shutdown=STOP_GRACE_SECONDS, limit_concurrency=CONNECTIONS_MAX, http=Bounded,
            )  # fmt: skip
            if door.tls is not None:
                config.load()
                config.ssl = RenewedContext.of(door.tls)
            self._server = _Server(config)
            self._server.should_exit = self._stopping
            await self._server.serve(sockets=[self._socket])
            await sessions.close()

    def _of_server(self, bearer: str) -> Client:
        return connect(self._url, namespace=self._client.namespace, token=bearer, codec=self._codec)

    def stop(self) -> None:
        self._stopping = True
        if self._server is not None:
            self._server.should_exit = True


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _address(door: Door, host: str, bound: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if door.tls else 'http'}://{shown}:{bound.getsockname()[1]}"


def bind(
    url: str, listen: str, *, namespace: str = "default", hosts: Sequence[str] = (), door: Door | None = None,
    codec: PayloadCodec | None = None,
) -> PageServer:  # fmt: skip
    """Take the address. Raises ValueError for an address that can't be meant, or that is open to others without TLS and a login
    (unless it is `insecure`), for `hosts` that are no names, and for a `url` that is none; OSError for an address that is
    taken; ImportError without the extra `oidc` where that is wanted."""
    door = door or Door()
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{listen!r}: give HOST:PORT for the page, such as 127.0.0.1:8233")
    check_listening(listen, is_closed=door.is_closed, insecure=door.insecure, wants=WANTS)
    if door.is_personal and "://" in url.removeprefix(SCHEME):
        raise ValueError(
            f"{redact(url)!r} is a journal, but a login needs a server that knows the people: give host:port of one"
        )
    for name in hosts:
        if not _NAME.fullmatch(name):
            raise ValueError(f"--host is {name!r}: give a name alone, such as saga.example.org, without scheme, port or *")
    client = connect(url, namespace=namespace, token="" if door.is_personal else None, codec=codec)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        raise OSError(f"the page can't listen on {listen}: {error.strerror}") from None
    try:
        bound.bind(address)
        bound.listen()  # who comes before the first page is made waits, and is not turned away
    except OSError as error:
        bound.close()
        raise OSError(f"the page can't listen on {listen}: {error.strerror}; give another address with --listen") from None
    oidc = Oidc(door.oidc, _address(door, host, bound)) if door.oidc is not None else None
    names = [*LOOPBACK, host, *hosts]
    if door.oidc is not None and (public := urlsplit(door.oidc.public_url).hostname):
        names.append(public)
    return PageServer(url, client, bound, host, door=door, hosts=names, oidc=oidc, codec=codec)
