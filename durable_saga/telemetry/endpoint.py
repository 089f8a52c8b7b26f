"""`/metrics`, `/livez` and `/readyz` of a process over plain HTTP, from threads of their own: they answer while
its loop stands still.
Nothing there tells ids, values or data of sagas. A request is bounded in time and in number: more than REQUESTS_AT_ONCE_MAX are
turned away.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from durable_saga.telemetry.health import Health

REQUESTS_AT_ONCE_MAX = 16
PORT_MAX = 65_535
REQUEST_SECONDS_MAX = 5.0
"""For a request to arrive."""
Exposition = Callable[[str], tuple[bytes, str]]


class Endpoint:
    """Listens from `start()` to `stop()`; `address` is the real one. Raises ValueError and OSError for an address that can't be
    had."""

    def __init__(self, listen: str, health: Health, metrics: Exposition | None) -> None:
        host, port = host_and_port(listen)
        handler = type("Handler", (_Handler,), {"health": health, "metrics": staticmethod(metrics) if metrics else None})
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            server = type("Server", (_Server,), {"address_family": family})
            self._server: _Server = server((host, port), handler)
        except OSError as error:
            raise OSError(f"{listen} can't be listened on for metrics: {error.strerror}; give another --metrics") from None
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="saga-metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def host_and_port(listen: str, option: str = "--metrics") -> tuple[str, int]:
    """Raises ValueError."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ValueError(f"{option} is {listen!r}: give HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)


class _Server(HTTPServer):
    """A thread for each request, so many at once."""

    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._room = threading.BoundedSemaphore(REQUESTS_AT_ONCE_MAX)

    def server_bind(self) -> None:
        """Without a look-up of the machine's name, which HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        threading.Thread(target=self._serve, args=(request, client_address), name="saga-metrics-call", daemon=True).start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # who asks went away, or said nothing in time
            pass
        finally:
            self._room.release()
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nobody is to be told of a caller that went away."""


class _Handler(BaseHTTPRequestHandler):
    health: Health
    metrics: Exposition | None
    timeout = REQUEST_SECONDS_MAX
    server_version, sys_version = "durable-saga", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/livez":
            self._tell(self.health.not_alive())
        elif path == "/readyz":
            self._tell(self.health.not_ready())
        elif path == "/metrics" and self.metrics is not None:
            self._send(200, *self.metrics(self.headers.get("Accept", "")))
        else:
            self._send(404, b"there are /metrics, /livez and /readyz\n", "text/plain; charset=utf-8")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _tell(self, reason: str) -> None:
        self._send(503 if reason else 200, f"{reason or 'ok'}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A probe every second is no news."""
