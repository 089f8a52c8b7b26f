"""The client for code without asyncio: the same methods, blocking, safe to call from any thread.

One event loop in a thread of its own does the work; nothing of the client is written twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, TypeVar

from durable_saga.client import Client, Handle
from durable_saga.codec import Converters
from durable_saga.connect import connect
from durable_saga.credentials import Token
from durable_saga.errors import UnsupportedOperation
from durable_saga.grpc_guard import refuse_client_in_saga
from durable_saga.overview import Overview
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.saga import SagaFunction
from durable_saga.sealing.payload_codec import PayloadCodec
from durable_saga.watching import WATCH_SECONDS

R = TypeVar("R")
T = TypeVar("T")


async def _next(values: AsyncIterator[T]) -> T:
    return await anext(values)


class SyncHandle(Generic[R]):
    """A Handle whose methods block; the same arguments and errors."""

    def __init__(self, client: SyncClient, handle: Handle[R]) -> None:
        self._client = client
        self._handle = handle
        self.id = handle.id
        self.already_started = handle.already_started

    def result(self, timeout: float | timedelta | None = None) -> R:
        return self._client.run(self._handle.result(timeout))

    def describe(self) -> c.Description:
        return self._client.run(self._handle.describe())

    def history(self) -> list[h.Event]:
        return self._client.run(self._handle.history())

    def watch(self, *, interval: float | timedelta = WATCH_SECONDS) -> Iterator[Overview]:
        return self._client.iterate(self._handle.watch(interval=interval))

    def signal(self, signal: str | Callable[..., Any], *args: Any, message_id: str | None = None) -> None:
        self._client.run(self._handle.signal(signal, *args, message_id=message_id))

    def cancel(self, reason: str = "") -> str:
        return self._client.run(self._handle.cancel(reason))

    def terminate(self, reason: str = "") -> None:
        self._client.run(self._handle.terminate(reason))


class SyncClient:
    """`with SyncClient("localhost:7233") as client: client.start(place_order, order).result()`"""

    def __init__(
        self, url: str, *, namespace: str = "default", strict: bool = True, converters: Converters | None = None,
        ca: str | None = None, cert: str | None = None, key: str | None = None, token: Token | None = None,
        codec: PayloadCodec | None = None,
    ) -> None:  # fmt: skip
        """As `connect()`."""
        self._client: Client = connect(
            url, namespace=namespace, strict=strict, converters=converters, ca=ca, cert=cert, key=key, token=token, codec=codec
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="saga-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the client's loop and wait for it."""
        try:
            refuse_client_in_saga("SyncClient")
        except UnsupportedOperation:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def iterate(self, values: AsyncIterator[T]) -> Iterator[T]:
        """One value at a time; between two of them nothing runs."""
        while True:
            try:
                yield self.run(_next(values))
            except StopAsyncIteration:
                return

    def start(self, saga: SagaFunction[..., R] | str, *args: Any, **kwargs: Any) -> SyncHandle[R]:
        """As Client.start()."""
        return SyncHandle(self, self.run(self._client.start(saga, *args, **kwargs)))

    def handle(self, saga_id: str) -> SyncHandle[Any]:
        return SyncHandle(self, self._client.handle(saga_id))

    def list(self, **filters: Any) -> list[c.Description]:
        """As Client.list(), all at once."""

        async def collect() -> list[c.Description]:
            return [one async for one in self._client.list(**filters)]

        return self.run(collect())

    def close(self) -> None:
        """Close the connection and end the thread."""
        if self._thread.is_alive():
            self.run(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
