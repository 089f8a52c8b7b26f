"""A sign of life that is sent arrives, also when nobody keeps what the call gave and the collector is at work."""

from __future__ import annotations

import asyncio
import gc
from concurrent import futures
from typing import Any

import grpc
import pytest

from durable_saga.pb import worker_pb2 as w
from durable_saga.pb import worker_pb2_grpc
from durable_saga.transport.credentials import Metadata
from durable_saga.transport.routes import Routes
from durable_saga.worker import heartbeat
from durable_saga.worker.heartbeat import Heartbeat

BEATS = 60
UNDER_WAY_MAX = 2
"""When it stops, the last ones are cut off."""


class Counting(worker_pb2_grpc.WorkServicer):
    def __init__(self) -> None:
        self.beats = 0

    def Beat(self, request: w.BeatRequest, context: Any) -> w.BeatReply:  # noqa: N802  # gRPC's name
        self.beats += 1
        return w.BeatReply(known=True)


def test_all_heartbeats_arrive_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    counting = Counting()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    worker_pb2_grpc.add_WorkServicer_to_server(counting, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sent = 0
    real = Heartbeat._beat

    def counted(self: Heartbeat, channel: grpc.Channel, request: w.BeatRequest, metadata: Metadata | None) -> None:
        nonlocal sent
        sent += 1
        real(self, channel, request, metadata)

    monkeypatch.setattr(Heartbeat, "_beat", counted)

    async def play() -> None:
        one = Heartbeat(Routes([f"127.0.0.1:{port}"]), "worker")
        one.start()
        while sent < BEATS:
            gc.collect()
            await asyncio.sleep(0.002)
        await asyncio.sleep(1)  # what is on its way arrives
        await one.stop()

    gc.freeze()  # what other tests have left would take most of the time
    try:
        asyncio.run(asyncio.wait_for(play(), 60))
    finally:
        gc.unfreeze()
        server.stop(0).wait()
    assert counting.beats >= sent - UNDER_WAY_MAX
