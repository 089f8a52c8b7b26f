"""The Calls streams of clients: each call is answered as the unary one of its name is, in a task of its own.

A stream ends when its client ends it, once what was called is answered; when it breaks, and then nobody waits any more; and
when the server stops: calls that only wait are sent away, the others are finished.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from durable_saga.pb import client_pb2 as c
from durable_saga.pb.calls import REQUESTS, STREAMED_CALLS_MAX
from durable_saga.pb.outbox import Outbox
from durable_saga_server.failures import BUSY_RETRY_MS, ServiceError

log = logging.getLogger(__name__)
Calls = Mapping[str, Callable[[Any], Awaitable[Any]]]
FINISH_SECONDS_MAX = 5.0
"""What is under way when the server stops has so long."""
_STOPPING = ServiceError("UNAVAILABLE", "this server is stopping: ask another one, or this one again in a moment")


class CallStreams:
    """All of a server. `calls` are the service's, by name."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._streams: dict[_CallStream, None] = {}
        self._stopping = False

    async def serve(self, incoming: AsyncIterator[c.CallFrame]) -> AsyncIterator[c.ReplyFrame]:
        """One stream, until either side ends it."""
        stream = _CallStream(self._calls)
        self._streams[stream] = None
        if self._stopping:
            stream.outbox.close()
        reader = asyncio.create_task(stream.read(incoming))
        try:
            async for replies in stream.outbox.frames():
                yield c.ReplyFrame(replies=replies)
        finally:
            reader.cancel()
            stream.cancel()
            del self._streams[stream]

    def under_way(self) -> list[int]:
        """Of each stream that is open, how many calls."""
        return [stream.under_way for stream in self._streams]

    async def close(self) -> None:
        """New calls are refused; returns when the others are answered."""
        self._stopping = True
        await asyncio.gather(*(stream.stop() for stream in self._streams))


class _CallStream:
    def __init__(self, calls: Calls) -> None:
        self.outbox: Outbox[c.Reply] = Outbox()
        self._is_stopping = False
        self._calls = calls
        self._tasks: dict[int, tuple[str, asyncio.Task[None]]] = {}

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    async def read(self, incoming: AsyncIterator[c.CallFrame]) -> None:
        try:
            async for frame in incoming:
                for call in frame.calls:
                    if call.cancel:
                        self._cancel(call.number)
                    else:
                        self._begin(call)
            await self._finish()
        finally:
            self.outbox.close()

    def _begin(self, call: c.Call) -> None:
        if self._is_stopping:
            self._refuse(call.number, _STOPPING)
        elif self.under_way >= STREAMED_CALLS_MAX:
            text = f"{STREAMED_CALLS_MAX} calls are under way on this connection: wait for some of them, or take another one"
            self._refuse(call.number, ServiceError("RESOURCE_EXHAUSTED", text, retry_after_ms=BUSY_RETRY_MS))
        elif call.method not in self._calls or call.method not in REQUESTS:
            self._refuse(call.number, ServiceError("UNIMPLEMENTED", f"there is no call {call.method!r} in this server"))
        else:
            self._tasks[call.number] = call.method, asyncio.create_task(self._answer(call))

    async def _answer(self, call: c.Call) -> None:
        try:
            reply = await self._calls[call.method](REQUESTS[call.method].FromString(call.request))
            self.outbox.put(c.Reply(number=call.number, reply=reply.SerializeToString()))
        except ServiceError as error:
            self._refuse(call.number, error)
        except DecodeError as error:
            self._refuse(call.number, ServiceError("INVALID_ARGUMENT", f"this is no request of {call.method}: {error}"))
        except Exception as error:
            log.exception("%s failed", call.method)
            self._refuse(call.number, ServiceError("UNKNOWN", f"{call.method} failed in the server: {error!r}"))
        finally:
            self._tasks.pop(call.number, None)

    def _refuse(self, number: int, error: ServiceError) -> None:
        self.outbox.put(c.Reply(
            number=number, code=error.code, message=error.message, retry_after_ms=error.retry_after_ms
        ))  # fmt: skip

    def _cancel(self, number: int) -> None:
        if number in self._tasks:
            self._tasks[number][1].cancel()

    def cancel(self) -> None:
        for _, task in list(self._tasks.values()):
            task.cancel()

    async def stop(self) -> None:
        self._is_stopping = True
        for number, (method, task) in list(self._tasks.items()):
            if method == "Wait":
                task.cancel()
                self._refuse(number, _STOPPING)
        await self._finish()
        self.outbox.close()

    async def _finish(self) -> None:
        if tasks := [task for _, task in self._tasks.values()]:
            await asyncio.wait(tasks, timeout=FINISH_SECONDS_MAX)
