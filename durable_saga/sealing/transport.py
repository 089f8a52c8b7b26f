"""A transport whose calls are sealed on the way out and opened on the way back. A worker's stream passes through: its runs seal
and open what is theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from durable_saga.pb import worker_pb2 as w
from durable_saga.sealing.messages import Sealing
from durable_saga.sealing.payload_codec import Subject
from durable_saga.transport.transport import Transport

_SEALED = ("start", "signal", "publish", "query")
_NOWHERE = Subject("", "")


class SealingTransport:
    """What can't be opened here stays sealed: who needs it raises MissingKey."""

    def __init__(self, inner: Transport, sealing: Sealing) -> None:
        self._inner = inner
        self._sealing = sealing
        self.routes = inner.routes
        self.needs_heartbeats = inner.needs_heartbeats

    async def call(self, method: str, request: Any) -> Any:
        """Raises as the other one does, and MissingKey where there is no key to seal with: nothing was sent."""
        subject = _subject_of(method, request)
        if method in _SEALED:
            asked, request = request, type(request)()
            request.CopyFrom(asked)
            self._sealing.seal(request, subject)
        reply = await self._inner.call(method, request)
        self._sealing.open(reply, subject, strict=False)
        return reply

    def work(self, outgoing: AsyncIterator[w.WorkerFrame], target: str) -> AsyncIterator[w.ServerFrame]:
        return self._inner.work(outgoing, target)

    async def ready(self) -> None:
        await self._inner.ready()

    def check_hints_every(self, interval: float | timedelta) -> None:
        self._inner.check_hints_every(interval)

    async def close(self) -> None:
        await self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _subject_of(method: str, request: Any) -> Subject:
    if method in ("start", "publish"):
        if request.saga:
            return Subject(request.namespace, request.saga)
        return Subject(request.namespace, "", request.correlation_key, request.event)
    key = getattr(request, "key", None)
    return Subject(key.namespace, key.saga) if key is not None and hasattr(key, "saga") else _NOWHERE
