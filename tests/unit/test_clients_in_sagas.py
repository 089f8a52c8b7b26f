"""A client, a worker or gRPC in saga code is one sentence, before gRPC is touched."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from durable_saga import SagaFunction, Worker, connect, saga
from durable_saga.client.sync import SyncClient
from durable_saga.errors import SagaFailed
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb import worker_pb2_grpc

NOBODY = "127.0.0.1:9"
outside: dict[str, Any] = {}


@saga
async def starts_another() -> None:
    await outside["client"].start("starts_another", id="other")


@saga
async def connects_and_starts() -> None:
    async with connect(NOBODY) as client:
        await client.start("starts_another", id="other")


@saga
async def uses_the_sync_client() -> None:
    outside["sync"].start("starts_another", id="other")


@saga
async def runs_a_worker() -> None:
    await Worker(outside["client"], sagas=[]).run()


@saga
async def makes_a_channel() -> None:
    grpc.insecure_channel(NOBODY)


@saga
async def makes_an_aio_channel() -> None:
    grpc.aio.insecure_channel(NOBODY)


@saga
async def calls_a_stub() -> None:
    outside["stub"].Beat(w.BeatRequest())


@saga
async def calls_a_stub_later() -> None:
    outside["stub"].Beat.future(w.BeatRequest())


@saga
async def awaits_a_stub() -> None:
    await outside["aio_stub"].Beat(w.BeatRequest())


CLIENTS = [starts_another, connects_and_starts, uses_the_sync_client, runs_a_worker]
GRPC = [makes_a_channel, makes_an_aio_channel, calls_a_stub, calls_a_stub_later, awaits_a_stub]


@pytest.mark.parametrize("one", [*CLIENTS, *GRPC], ids=lambda one: one.definition.name)
def test_it_is_told_in_one_sentence(one: SagaFunction[..., Any]) -> None:
    async def play() -> None:
        aio = grpc.aio.insecure_channel(NOBODY)
        with grpc.insecure_channel(NOBODY) as channel, SyncClient("memory:") as sync:
            outside["stub"] = worker_pb2_grpc.WorkStub(channel)  # type: ignore[no-untyped-call]  # generated
            outside["aio_stub"] = worker_pb2_grpc.WorkStub(aio)  # type: ignore[no-untyped-call]  # generated
            async with connect("memory:") as client, Worker(client, sagas=[one]):
                outside["client"], outside["sync"] = client, sync
                with pytest.raises(SagaFailed, match=r"can't be (called|made) in saga code, which is replayed: .* in a @step"):
                    await (await client.start(one, id="one")).result(20)
        await aio.close(None)

    asyncio.run(play())
