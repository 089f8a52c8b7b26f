"""The client for code without asyncio: the same methods, blocking, safe to call from any thread.

One event loop in a thread of its own does the work. Nothing of the client is written twice: a method here is that of the async
class, run on the loop, with its parameters, types and words. What gives values one by one there, `watch()` and `list()`, gives
an iterator and a list here. Errors are the same.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextvars import ContextVar
from datetime import timedelta
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

from durable_saga.authoring.event_type import EventType
from durable_saga.authoring.saga import SagaFunction
from durable_saga.client.client import Client, Handle
from durable_saga.client.connect import connect
from durable_saga.client.querying import QUERY_SECONDS
from durable_saga.client.sending import SignalHandler
from durable_saga.client.starting import StartOptions
from durable_saga.codec import Converters
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga, Saga
from durable_saga.errors import UnsupportedOperation
from durable_saga.hooks import Hook
from durable_saga.redaction import Redact
from durable_saga.sealing.payload_codec import PayloadCodec
from durable_saga.transport.credentials import Token
from durable_saga.transport.grpc_guard import refuse_client_in_saga

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_HandleCall = Callable[Concatenate["SyncHandle[Any]", P], T]
_ClientCall = Callable[Concatenate["SyncClient", P], T]


def _of_handle(method: Callable[Concatenate[Handle[Any], P], Coroutine[Any, Any, T]]) -> _HandleCall[P, T]:
    @functools.wraps(method)
    def call(self: SyncHandle[Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._client.run(method(self._handle, *args, **kwargs))

    return call


def _iterated(method: Callable[Concatenate[Handle[Any], P], AsyncIterator[T]]) -> _HandleCall[P, Iterator[T]]:
    @functools.wraps(method)
    def call(self: SyncHandle[Any], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._client.iterate(method(self._handle, *args, **kwargs))

    return call


def _of_client(method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]]) -> _ClientCall[P, T]:
    @functools.wraps(method)
    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(method(self._client, *args, **kwargs))

    return call


def _collected(method: Callable[Concatenate[Client, P], AsyncIterator[T]]) -> _ClientCall[P, list[T]]:
    @functools.wraps(method)
    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> list[T]:
        return list(self.iterate(method(self._client, *args, **kwargs)))

    return call


def _words_of(method: Callable[..., Any]) -> Callable[[F], F]:
    """For what a checker has to see written out: generics and overloads."""

    def put(function: F) -> F:
        function.__doc__ = method.__doc__
        return function

    return put


async def _next(values: AsyncIterator[T]) -> T:
    return await anext(values)


class SyncHandle(Generic[R]):
    """A Handle whose methods block."""

    def __init__(self, client: SyncClient, handle: Handle[R]) -> None:
        self._client = client
        self._handle = handle
        self.id = handle.id
        self.already_started = handle.already_started
        self.waits_for = handle.waits_for
        self.starts_at = handle.starts_at

    @_words_of(Handle.result)
    def result(self, timeout: float | timedelta | None = None) -> R:
        return self._client.run(self._handle.result(timeout))

    describe = _of_handle(Handle.describe)
    overview = _of_handle(Handle.overview)
    watch = _iterated(Handle.watch)
    state = _of_handle(Handle.state)
    history = _of_handle(Handle.history)
    history_page = _of_handle(Handle.history_page)

    @overload
    def signal(self, signal: EventType[None], /, *, message_id: str | None = None) -> None: ...
    @overload
    def signal(self, signal: EventType[T], value: T, /, *, message_id: str | None = None) -> None: ...
    @overload
    def signal(self, signal: str | SignalHandler, /, *args: Any, message_id: str | None = None) -> None: ...
    @_words_of(Handle.signal)
    def signal(self, signal: Any, /, *args: Any, message_id: str | None = None) -> None:
        self._client.run(self._handle.signal(signal, *args, message_id=message_id))

    @overload
    def query(self, query: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def query(
        self, query: Callable[[Unpack[Ts]], T], /, *args: *Ts, timeout: float | timedelta = QUERY_SECONDS
    ) -> T: ...  # fmt: skip
    @overload
    def query(self, query: str, /, *args: Any, timeout: float | timedelta = QUERY_SECONDS, **kwargs: Any) -> Any: ...
    @_words_of(Handle.query)  # type: ignore[misc]  # as there
    def query(self, query: Any, /, *args: Any, timeout: float | timedelta = QUERY_SECONDS, **kwargs: Any) -> Any:
        return self._client.run(self._handle.query(query, *args, timeout=timeout, **kwargs))

    cancel = _of_handle(Handle.cancel)
    compensate = _of_handle(Handle.compensate)
    recover = _of_handle(Handle.recover)
    pause = _of_handle(Handle.pause)
    resume = _of_handle(Handle.resume)
    retry_now = _of_handle(Handle.retry_now)
    restart = _of_handle(Handle.restart)
    terminate = _of_handle(Handle.terminate)
    retry_compensation = _of_handle(Handle.retry_compensation)
    skip_compensation = _of_handle(Handle.skip_compensation)
    resolve_compensation = _of_handle(Handle.resolve_compensation)


class SyncClient:
    """`with SyncClient("localhost:7233") as client: client.start(place_order, order).result()`"""

    def __init__(
        self, url: str, *, namespace: str = "default", strict: bool = True, saga_timeout: float | timedelta | None = None,
        converters: Converters | None = None, ca: str | None = None, cert: str | None = None, key: str | None = None,
        token: Token | None = None, codec: PayloadCodec | None = None, redact: Redact | None = None,
        timeout: float | timedelta | None = None, hooks: Sequence[Hook] = (),
        carry: Sequence[ContextVar[Any]] = (),
    ) -> None:  # fmt: skip
        """Takes what `connect()` takes, and raises what it raises."""
        self._client: Client = connect(
            url, namespace=namespace, strict=strict, saga_timeout=saga_timeout, converters=converters, ca=ca, cert=cert,
            key=key, token=token, codec=codec, redact=redact, timeout=timeout, hooks=hooks, carry=carry,
        )  # fmt: skip
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="saga-client", daemon=True)
        self._is_closed, self._lock = False, threading.Lock()
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the client's loop and wait for it."""
        try:
            refuse_client_in_saga("SyncClient")
        except UnsupportedOperation:
            work.close()
            raise
        with self._lock:
            if self._is_closed:
                work.close()
                raise RuntimeError("this SyncClient is closed: make another one")
            if not self._thread.is_alive():
                work.close()
                raise RuntimeError("the thread of this SyncClient is gone, as after a fork: make one in each process")
            asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        return asked.result()

    def iterate(self, values: AsyncIterator[T]) -> Iterator[T]:
        """One value at a time; between two of them nothing runs."""
        while True:
            try:
                one = self.run(_next(values))
            except StopAsyncIteration:
                return
            yield one

    @overload
    def start(self, saga: SagaFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SyncHandle[R]: ...
    @overload
    def start(
        self, saga: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]], /, *args: *Ts, **options: Unpack[StartOptions]
    ) -> SyncHandle[R]: ...
    @overload
    def start(self, saga: str | Saga | type[Saga], /, *args: Any, **kwargs: Any) -> SyncHandle[Any]: ...
    @_words_of(Client.start)  # type: ignore[misc]  # as there
    def start(self, saga: Any, /, *args: Any, **kwargs: Any) -> SyncHandle[Any]:
        return SyncHandle(self, self.run(self._client.start(saga, *args, **kwargs)))

    @overload
    def handle(self, id: str, saga: None = None, *, run: int = 0) -> SyncHandle[Any]: ...
    @overload
    def handle(self, id: str, saga: SagaFunction[..., R], *, run: int = 0) -> SyncHandle[R]: ...
    @overload
    def handle(self, id: str, saga: Saga | type[Saga], *, run: int = 0) -> SyncHandle[Any]: ...
    @_words_of(Client.handle)
    def handle(self, id: str, saga: AnySaga | None = None, *, run: int = 0) -> SyncHandle[Any]:
        return SyncHandle(self, Handle(self._client, id, function_of(saga).definition if saga is not None else None, run))

    @overload
    def publish(
        self, event: EventType[None], /, *, saga: str | None = None, key: str | None = None, message_id: str | None = None
    ) -> int: ...
    @overload
    def publish(
        self, event: EventType[T], value: T, /, *, saga: str | None = None, key: str | None = None,
        message_id: str | None = None,
    ) -> int: ...  # fmt: skip
    @overload
    def publish(
        self, event: str, /, *args: Any, saga: str | None = None, key: str | None = None, message_id: str | None = None
    ) -> int: ...
    @_words_of(Client.publish)
    def publish(
        self, event: Any, /, *args: Any, saga: str | None = None, key: str | None = None, message_id: str | None = None
    ) -> int:
        return self.run(self._client.publish(event, *args, saga=saga, key=key, message_id=message_id))

    statistics = _of_client(Client.statistics)
    builds = _of_client(Client.builds)
    roll_out = _of_client(Client.roll_out)
    pause = _of_client(Client.pause)
    resume = _of_client(Client.resume)
    identify = _of_client(Client.identify)
    trouble = _of_client(Client.trouble)
    workers = _of_client(Client.workers)
    list_page = _of_client(Client.list_page)
    list = _collected(Client.list)

    def close(self) -> None:
        """Close the connection and end the thread."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _shut(self) -> None:
        """What other threads still wait for is cancelled: they get CancelledError."""
        await self._client.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
