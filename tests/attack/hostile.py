"""A server in this process, and a worker that says what it is told to say."""

from __future__ import annotations

import asyncio
import os
import pathlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from durable_saga_server.config import Config
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.service import HistoryService

from durable_saga import codec
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import client_pb2_grpc, worker_pb2_grpc
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb import worker_pb2 as w

SECONDS = 10.0


class Raw:
    """The stubs of one connection; errors of a call are its code and words."""

    def __init__(self, service: HistoryService, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        self.service = service
        self.server = server
        self.sagas: Any = client_pb2_grpc.SagasStub(channel)  # type: ignore[no-untyped-call]
        self.work: Any = worker_pb2_grpc.WorkStub(channel)  # type: ignore[no-untyped-call]

    async def ask(self, method: str, request: Any) -> Any:
        try:
            return await getattr(self.sagas, method)(request, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details()

    async def start(self, saga: str, namespace: str = "n") -> None:
        data = codec.encode_call([], {}, where="a test")
        request = c.StartRequest(namespace=namespace, saga=saga, saga_type="t", input=p.Payload(data=data))
        assert isinstance(await self.ask("Start", request), c.StartReply)

    async def describe(self, saga: str, namespace: str = "n") -> c.Description:
        found = await self.ask("Describe", c.DescribeRequest(key=h.RunKey(namespace=namespace, saga=saga)))
        assert isinstance(found, c.Description), found
        return found

    async def signal(self, saga: str, message_id: str, size: int = 1) -> Any:
        key = h.RunKey(namespace="n", saga=saga)
        payload = p.Payload(data=b"\xc4\x00" + b"x" * size)
        return await self.ask("Signal", c.SignalRequest(key=key, message_id=message_id, name="go", input=payload))


@asynccontextmanager
async def standing(folder: pathlib.Path, config: Config | None = None) -> AsyncIterator[Raw]:
    service = HistoryService(SqliteJournal(folder / "j.db"), config=config)
    await service.start_up()
    server = GrpcServer(service, "127.0.0.1:0")
    await server.start()
    await service.join(f"127.0.0.1:{server.port}")
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 80 << 20)]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            yield Raw(service, server, channel)
    finally:
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping


class Hostile:
    """One Work stream. `items` is what came; `ended` the code and words with which it ended."""

    def __init__(self, raw: Raw, name: str = "evil", namespace: str = "n", *, reads: bool = True, **hello: Any) -> None:
        self.items: list[w.ServerItem] = []
        self.ended: tuple[str, str] | None = None
        self._frames: asyncio.Queue[w.WorkerFrame] = asyncio.Queue()
        self._came = asyncio.Event()
        greeting = w.Hello(worker=name, protocol=1, namespace=namespace, saga_types=["t"], capacity=100, **hello)
        self.say(w.WorkerItem(hello=greeting))
        self.call = raw.work.Work(self._outgoing())
        self._task = asyncio.create_task(self._read()) if reads else None

    async def _outgoing(self) -> AsyncIterator[w.WorkerFrame]:
        while True:
            yield await self._frames.get()

    async def _read(self) -> None:
        try:
            async for frame in self.call:
                self.items += frame.items
                self._came.set()
            self.ended = ("OK", "")
        except grpc.aio.AioRpcError as error:
            self.ended = (error.code().name, error.details() or "")
        self._came.set()

    def say(self, *items: w.WorkerItem) -> None:
        self._frames.put_nowait(w.WorkerFrame(items=items))

    async def until(self, wanted: Callable[[w.ServerItem], bool]) -> w.ServerItem:
        async with asyncio.timeout(SECONDS):
            while True:
                if found := next((item for item in self.items if wanted(item)), None):
                    return found
                assert self.ended is None, self.ended
                self._came.clear()
                await self._came.wait()

    async def until_ended(self) -> tuple[str, str]:
        async with asyncio.timeout(SECONDS):
            while self.ended is None:
                self._came.clear()
                await self._came.wait()
        return self.ended

    async def welcome(self) -> w.Welcome:
        return (await self.until(lambda item: item.HasField("welcome"))).welcome

    async def assign(self, saga: str) -> w.Assign:
        return (await self.until(lambda item: item.assign.key.saga == saga)).assign

    async def commit(self, given: w.Assign, status: int, *events: h.Event, **more: Any) -> w.CommitReply:
        request = len(self.items) + 1_000
        commit = w.Commit(
            request=request, key=given.key, incarnation=given.incarnation, epoch=given.epoch, commit_id=os.urandom(16),
            events=events,
        )  # fmt: skip
        commit.status = status  # type: ignore[assignment]  # any number at all
        for name, value in more.items():
            setattr(commit, name, value)
        self.say(w.WorkerItem(commit=commit))
        return (await self.until(lambda item: item.commit_reply.request == request)).commit_reply

    def release(self, given: w.Assign, status: int = h.RUNNING, **more: Any) -> None:
        release = w.Release(key=given.key, incarnation=given.incarnation, epoch=given.epoch, next_seq=1, saga_type="t")
        release.status = status  # type: ignore[assignment]
        for name, value in more.items():
            setattr(release, name, value)
        self.say(w.WorkerItem(release=release))

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.call.cancel()
