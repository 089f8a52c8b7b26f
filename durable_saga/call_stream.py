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
from durable_saga.pb.outbox import Outbox

Open = Callable[[AsyncIterator[c.CallFrame]], Any]


class Broken(Exception):
    """The stream is gone, or was never there. `code`: a gRPC status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class CallStream:
    """Open from the start; not to be used again once it is no longer `is_open`."""

    def __init__(self, open: Open) -> None:
        """`open` is the stub's method."""
        self.is_open = True
        self._number = 0
        self._outbox: Outbox[c.Call] = Outbox()
        self._waiting: dict[int, asyncio.Future[c.Reply]] = {}
        self._reader = asyncio.create_task(self._read(open), name="calls")

    async def call(self, method: str, request: Any) -> c.Reply:
        """Raises Broken. When its task is cancelled, the server is told that nobody waits for it any more."""
        if not self.is_open:
            raise Broken(grpc.StatusCode.UNAVAILABLE, "the stream has ended")
        self._number = number = self._number + 1
        reply: asyncio.Future[c.Reply] = asyncio.get_running_loop().create_future()
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
        self._over(grpc.StatusCode.CANCELLED, "the client was closed")
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _frames(self) -> AsyncIterator[c.CallFrame]:
        async for calls in self._outbox.frames():
            yield c.CallFrame(calls=calls)

    async def _read(self, open: Open) -> None:
        code, message = grpc.StatusCode.UNAVAILABLE, "the server ended the stream"
        try:
            async for frame in open(self._frames()):
                for reply in frame.replies:
                    if (waiting := self._waiting.pop(reply.number, None)) is not None and not waiting.done():
                        waiting.set_result(reply)
        except grpc.aio.AioRpcError as error:
            code, message = error.code(), error.details() or error.code().name
        finally:
            self._over(code, message)

    def _over(self, code: grpc.StatusCode, message: str) -> None:
        self.end()
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            if not one.done():
                one.set_exception(Broken(code, message))
