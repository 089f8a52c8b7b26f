"""The page as a process: a socket, a client, uvicorn, from start to a graceful end."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Generator, Sequence

import uvicorn

from durable_saga.client import Client
from durable_saga.connect import connect
from durable_saga.page.application import application
from durable_saga.page.connections import CONNECTIONS_MAX, Bounded
from durable_saga.page.guarding import LOOPBACK, TOKEN_CHARACTERS_MIN

log = logging.getLogger(__name__)
STOP_GRACE_SECONDS = 3


class _Server(uvicorn.Server):
    """Leaves signals to who runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class PageServer:
    """Made by `bind()`; `address` is where a browser finds it."""

    def __init__(self, url: str, client: Client, bound: socket.socket, host: str, *, token: str, hosts: Sequence[str]) -> None:
        self._url = url
        self._client = client
        self._socket = bound
        self._token = token
        self._hosts = hosts
        self._server: _Server | None = None
        self._stopping = False
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{bound.getsockname()[1]}"

    async def run(self) -> None:
        """Until `stop()`, or until it is cancelled."""
        async with self._client as client:
            app = application(client, url=self._url, token=self._token, hosts=self._hosts)
            config = uvicorn.Config(
                app, log_config=None, access_log=False, proxy_headers=False, server_header=False, lifespan="off", ws="none",
                timeout_graceful_shutdown=STOP_GRACE_SECONDS, limit_concurrency=CONNECTIONS_MAX, http=Bounded,
            )  # fmt: skip
            self._server = _Server(config)
            self._server.should_exit = self._stopping
            await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        self._stopping = True
        if self._server is not None:
            self._server.should_exit = True


def bind(
    url: str, listen: str, *, namespace: str = "default", token: str = "", hosts: Sequence[str] = (),
    warn: Callable[[str], None] = log.warning,
) -> PageServer:  # fmt: skip
    """Take the address. Raises ValueError for one that can't be meant, or that is open to others without a token, and for a
    `url` that is none; OSError for an address that is taken."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{listen!r}: give HOST:PORT for the page, such as 127.0.0.1:8233")
    if token and len(token) < TOKEN_CHARACTERS_MIN:
        raise ValueError(f"the page's token has {len(token)} characters; at least {TOKEN_CHARACTERS_MIN} are needed")
    if not _is_loopback(host):
        if not token:
            raise ValueError(
                f"{listen} can be reached from other machines: give the page a --token (or DURABLE_SAGA_PAGE_TOKEN), or listen"
                " on 127.0.0.1"
            )
        warn(f"the page on {listen} can be reached from other machines, in clear text: put it behind a proxy that speaks TLS")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        raise OSError(f"the page can't listen on {listen}: {error.strerror}") from None
    try:
        bound.bind(address)
        bound.listen()  # who comes before the first page is made waits, and is not turned away
        client = connect(url, namespace=namespace)
    except ValueError:
        bound.close()
        raise
    except OSError as error:
        bound.close()
        raise OSError(f"the page can't listen on {listen}: {error.strerror}; --listen takes another address") from None
    return PageServer(url, client, bound, host, token=token, hosts=(*LOOPBACK, host, *hosts))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
