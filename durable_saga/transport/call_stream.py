"""A client's calls to one server on one stream, Sagas.Calls: a call is a part of a frame, not a request of HTTP/2 of its own.

A stream breaks as a whole. Every call that waits then fails as a unary call would whose connection broke: whether it took
effect is unknown, and it may be sent again, here or to another server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from durable_saga.pb import client_pb2 as c
from durable_saga.pb.calls import STREAMED_CALLS_MAX
from durable_saga.pb.outbox import Outbox

Open = Callable[[AsyncIterator[c.CallFrame]], Any]


class Broken(Exception):
    """The stream is gone, or was never there. `code`: a gRPC status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class CallStream:
    """Open from the start; not to be used again once it is no longer `is_open`. Lives on the loop on which it was made."""

    def __init__(self, open: Open) -> None:
        """`open` is the stub's method."""
        self.is_open = True
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._outbox: Outbox[c.Call] = Outbox()
        self._connected = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[c.Reply]] = {}
        self._reader = asyncio.create_task(self._read(open), name="calls")

    @property
    def is_full(self) -> bool:
        """The server would refuse another call."""
        return len(self._waiting) >= STREAMED_CALLS_MAX

    async def call(self, method: str, request: Any) -> c.Reply:
        """Raises Broken, and RuntimeError on another loop. When its task is cancelled, the call is not sent any more, or the
        server is told that nobody waits for it."""
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("a client belongs to the event loop on which it was first used: make one for each loop")
        if not self.is_open:
            raise Broken(grpc.StatusCode.UNAVAILABLE, "the stream has ended")
        self._number = number = self._number + 1
        reply: asyncio.Future[c.Reply] = self._loop.create_future()
        self._waiting[number] = reply
        self._outbox.put(c.Call(number=number, method=method, request=request.SerializeToString()))
        try:
            return await reply
        except asyncio.CancelledError:
            if self._waiting.pop(number, None) is not None:
                self._outbox.put(c.Call(number=number, cancel=True))
            raise

    def end(self) -> None:
        """No more calls; those under way are finished first."""
        self._outbox.close()
        self.is_open = False

    async def close(self) -> None:
        """At once: what waits fails."""
        self._over(Broken(grpc.StatusCode.CANCELLED, "the client was closed"))
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _frames(self) -> AsyncIterator[c.CallFrame]:
        """Not before the connection stands: a call that was given up until then is not sent."""
        await self._connected.wait()
        async for items in self._outbox.frames():
            if calls := [one for one in items if one.cancel or one.number in self._waiting]:
                yield c.CallFrame(calls=calls)

    async def _read(self, open: Open) -> None:
        error: Exception = Broken(grpc.StatusCode.UNAVAILABLE, "the server ended the stream")
        try:
            stream = open(self._frames())
            await stream.wait_for_connection()
            self._connected.set()
            async for frame in stream:
                for reply in frame.replies:
                    if (waiting := self._waiting.pop(reply.number, None)) is not None and not waiting.done():
                        waiting.set_result(reply)
        except grpc.aio.AioRpcError as broken:
            error = Broken(broken.code(), broken.details() or broken.code().name)
        except Exception as mistake:
            error = mistake  # no matter of the connection: who waits is told as it is
        finally:
            self._over(error)

    def _over(self, error: Exception) -> None:
        self.end()
        self._connected.set()
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            if not one.done():
                one.set_exception(error)
