"""The Calls streams of clients: each call is answered as the unary one of its name is, in a task of its own.

A stream ends when its client ends it, once what was called is answered; when it breaks, and then nobody waits any more; and
when the server stops: calls that only wait are sent away, the others are finished.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from durable_saga.pb import client_pb2 as c
from durable_saga.pb.calls import REQUESTS, STREAMED, STREAMED_CALLS_MAX
from durable_saga.pb.outbox import Outbox
from durable_saga.pb.payloads import FRAME_ITEMS_MAX
from durable_saga_server.access.caller import Caller, Unasked
from durable_saga_server.failures import BUSY_RETRY_MS, MESSAGE_CHARACTERS_MAX, ServiceError

log = logging.getLogger(__name__)
Calls = Mapping[str, Callable[[Any], Awaitable[Any]]]
FINISH_SECONDS_MAX = 4.0
"""What is under way when the server stops has so long; less than STOP_GRACE_SECONDS, so that its outcome still arrives."""
WAITS_PER_CONNECTION_MAX = 20_000
WAITS_MAX = 50_000
"""At a server."""
WAIT_RETRY_MS = 1_000
REPLIES_UNREAD_BYTES_MAX = 64 * 1024 * 1024
REPLIES_UNREAD_MAX = 4 * FRAME_ITEMS_MAX
"""Of a client that reads no replies no more calls are read."""
_STOPPING = ServiceError("UNAVAILABLE", "this server is stopping: ask another one, or ask this one again in a moment")


class CallStreams:
    """All of a server. `calls` are the service's, by name; `reply_bytes_max` is what a client takes."""

    def __init__(self, calls: Calls, reply_bytes_max: int) -> None:
        self._calls = calls
        self._reply_bytes_max = reply_bytes_max
        self._streams: dict[_CallStream, None] = {}
        self._waits = _Count()
        self._stopping = False

    async def serve(
        self, incoming: AsyncIterator[c.CallFrame], caller: Caller | Unasked | None = None
    ) -> AsyncIterator[c.ReplyFrame]:
        """One stream, until either side ends it, or its caller is no longer let in."""
        calls = self._calls if caller is None else caller.calls(self._calls)
        stream = _CallStream(calls, self._reply_bytes_max, self._waits)
        if caller is not None:
            caller.over = stream.end
        self._streams[stream] = None
        if self._stopping:
            stream.outbox.close()
        reader = asyncio.create_task(stream.read(incoming))
        try:
            async for replies in stream.outbox.frames():
                yield c.ReplyFrame(replies=replies)
            if stream.refusal is not None:
                raise stream.refusal
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


@dataclass(slots=True)
class _Count:
    count: int = 0


class _CallStream:
    def __init__(self, calls: Calls, reply_bytes_max: int, waits: _Count) -> None:
        self.outbox: Outbox[c.Reply] = Outbox()
        self.refusal: ServiceError | None = None
        self._all_waits = waits
        self._waits = 0
        self._is_stopping = False
        self._calls = calls
        self._reply_bytes_max = reply_bytes_max
        self._tasks: dict[int, tuple[str, asyncio.Task[None]]] = {}
        """Those whose caller waits."""

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    async def read(self, incoming: AsyncIterator[c.CallFrame]) -> None:
        try:
            async for frame in incoming:
                for call in frame.calls:
                    if call.cancel:
                        self._give_up(call.number)
                    else:
                        self._begin(call)
                await self.outbox.room(REPLIES_UNREAD_MAX)
                while self.outbox.unread_bytes > REPLIES_UNREAD_BYTES_MAX and not self.outbox.is_closed:
                    await self.outbox.room(0)
            await self._finish(None)
        except ServiceError as error:
            self.refusal = error
        finally:
            self.outbox.close()

    def _begin(self, call: c.Call) -> None:
        if self._is_stopping:
            self._refuse(call.number, _STOPPING)
        elif call.number in self._tasks:
            text = f"call {call.number} is already under way on this stream: give each call its own number"
            self.end(ServiceError("INVALID_ARGUMENT", text))
        elif call.method == "Wait" and (text := self._too_many_waits()):
            self._refuse(call.number, ServiceError("RESOURCE_EXHAUSTED", text, retry_after_ms=WAIT_RETRY_MS))
        elif self.under_way >= STREAMED_CALLS_MAX:
            text = (
                f"{STREAMED_CALLS_MAX} calls are under way on this connection: wait for some of them, or use another connection"
            )
            self._refuse(call.number, ServiceError("RESOURCE_EXHAUSTED", text, retry_after_ms=BUSY_RETRY_MS))
        elif call.method not in STREAMED:
            text = f"{call.method!r} can't be called on a stream, only {', '.join(sorted(STREAMED))} can"
            self._refuse(call.number, ServiceError("UNIMPLEMENTED", text))
        else:
            self._count(call.method, 1)
            task = asyncio.create_task(self._answer(call))
            self._tasks[call.number] = call.method, task
            task.add_done_callback(lambda _: self._count(call.method, -1))
            task.add_done_callback(partial(self._ended, call.number))

    def end(self, refusal: ServiceError) -> None:
        """At once: whether what is under way took effect is unknown to the client, which may send it again."""
        self.refusal = refusal
        self.cancel()
        self.outbox.close()

    def _count(self, method: str, more: int) -> None:
        if method == "Wait":
            self._waits += more
            self._all_waits.count += more

    def _too_many_waits(self) -> str:
        if self._waits >= WAITS_PER_CONNECTION_MAX:
            return f"{WAITS_PER_CONNECTION_MAX} waits are open on this connection, the most allowed (WAITS_PER_CONNECTION_MAX)"
        if self._all_waits.count >= WAITS_MAX:
            return f"{WAITS_MAX} waits are open at this server, the most allowed (WAITS_MAX)"
        return ""

    async def _answer(self, call: c.Call) -> None:
        try:
            request = REQUESTS[call.method].FromString(call.request)
        except DecodeError as error:
            self._refuse(call.number, ServiceError("INVALID_ARGUMENT", f"this isn't a request of {call.method}: {error}"))
            return
        try:
            reply = (await self._calls[call.method](request)).SerializeToString()
        except ServiceError as error:
            self._refuse(call.number, error)
        except Exception as error:
            log.exception("%s failed", call.method)
            self._refuse(call.number, ServiceError("UNKNOWN", f"{call.method} failed in the server: {error!r}"))
        else:
            if len(reply) > self._reply_bytes_max:
                text = f"the reply to {call.method} has {len(reply)} bytes, but a client takes at most {self._reply_bytes_max}"
                self._refuse(call.number, ServiceError("RESOURCE_EXHAUSTED", text))
            else:
                self.outbox.put(c.Reply(number=call.number, reply=reply))

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        if number in self._tasks and self._tasks[number][1] is task:
            del self._tasks[number]
            if task.cancelled():
                self._refuse(number, ServiceError("UNAVAILABLE", "the call was cut off in the server"))

    def _refuse(self, number: int, error: ServiceError) -> None:
        text = error.message.encode(errors="backslashreplace").decode()[:MESSAGE_CHARACTERS_MAX]
        self.outbox.put(c.Reply(number=number, code=error.code, message=text, retry_after_ms=error.retry_after_ms))

    def _give_up(self, number: int) -> None:
        """Nobody waits for it any more."""
        if number in self._tasks:
            self._tasks.pop(number)[1].cancel()

    def cancel(self) -> None:
        for number in list(self._tasks):
            self._give_up(number)

    async def stop(self) -> None:
        self._is_stopping = True
        for number in [number for number, (method, _) in self._tasks.items() if method == "Wait"]:
            self._give_up(number)
            self._refuse(number, _STOPPING)
        await self._finish(FINISH_SECONDS_MAX)
        self.outbox.close()

    async def _finish(self, seconds_max: float | None) -> None:
        if tasks := [task for _, task in self._tasks.values()]:
            await asyncio.wait(tasks, timeout=seconds_max)
