"""The connections to the page: who sends no request is let go, and one address does not take the place of all.

Both are looked at before a login, so that nobody needs a token to be kept out, or to come in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)
HEAD_SECONDS_MAX = 10.0
"""From a connection, or the first byte of a later request, to the end of that request's head. A TLS handshake before it has as
long."""
CONNECTIONS_PER_ADDRESS_MAX = 100
CONNECTIONS_MAX = 1_000


class Bounded(H11Protocol):
    """One connection; the counts are those of the process."""

    connected: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._head: asyncio.TimerHandle | None = None
        self._answered: Any = None
        self.connected[self._address] += 1
        super().connection_made(transport)
        if self.connected[self._address] > CONNECTIONS_PER_ADDRESS_MAX:
            transport.close()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.connected[self._address] -= 1
        if self.connected[self._address] <= 0:
            del self.connected[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()
        super().data_received(data)
        if self.cycle is not self._answered:  # a request has come whole as far as its head goes
            self._answered = self.cycle
            self._stop_waiting()

    def _await_head(self) -> None:
        self._head = asyncio.get_running_loop().call_later(HEAD_SECONDS_MAX, self._too_late)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _too_late(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self.transport.close()
