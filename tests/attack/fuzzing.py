"""Nonsense against a server, by every call and every frame, while honest people use it.

One seed decides what is sent. The hostile ones keep to a namespace of their own where they ask for what anybody may ask for
(there is no login yet), and name the honest ones' runs and workers where they must not get at them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from durable_saga import Client, Worker, codec, connect, saga, signal, step
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.calls import ACCESS_REQUESTS, REQUESTS, STREAMED
from tests.attack.nonsense import Nonsense

HOSTILE, HONEST = "hostile", "honest"
HONEST_WORKER = "honest-worker"
TYPES = ("t", "u", "long")
CALL_SECONDS = 0.5
AT_ONCE = 48
ITEMS_PER_STREAM = 60
HONEST_SECONDS_MAX = 30.0
FAULTS = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
WROTE_TOO_LATE = "Internal error from Core"
"""What gRPC says on this side when the other has ended the stream already."""
_SAGAS, _WORK, _ACCESS = (f"/durable_saga.v1.{name}/" for name in ("Sagas", "Work", "Access"))


@step
async def reserve(order: str) -> str:
    return f"reserved {order}"


@step
async def charge(order: str, amount: int) -> int:
    return amount + len(order)


@saga
async def order(number: str) -> str:
    reserved = await reserve(number)
    amount = await signal("pay")
    return f"{reserved}, {await charge(number, amount)}"


@dataclass
class Told:
    """What came of it. `codes`: of the answers to hostile calls."""

    inputs: int = 0
    honest: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Answers that say that the server met something which it did not foresee."""


class Fuzzer:
    """Sends `inputs` of them to the server at `address`, where it asks for tokens with that of `hostile`; the honest ones show
    theirs."""

    def __init__(self, address: str, seed: int, inputs: int, *, hostile: str = "", honest: str = "") -> None:
        self._shown = (("authorization", f"Bearer {hostile}"),) if hostile else None
        self._honest_token = honest
        self.told = Told()
        self._address = address
        self._dice = random.Random(seed)
        self._inputs = inputs
        sagas = [f"s{number}" for number in range(20)]
        words = {
            "namespace": [HOSTILE], "saga": [*sagas, "order-1"], "saga_type": TYPES, "message_id": ["m1", "m2", "m3"],
            "worker": ["evil-1", "evil-2", HONEST_WORKER], "saga_types": TYPES, "call": ["1", "1.1"], "name": ["pay", "go"],
            "correlation_key": ["k"], "keys": ["k", "k2"], "method": sorted(STREAMED), "group": ["g"], "item": ["i"],
        }  # fmt: skip
        self._nonsense = Nonsense(self._dice, words)
        self._calls = itertools.count(1)
        self._assigned: deque[w.Assign] = deque(maxlen=50)

    async def run(self) -> Told:
        """Until all is sent, and the honest ones have got what they were after. Raises AssertionError."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self._address, options=options) as channel:
            self._channel: Any = channel  # calls without serializers take and give bytes
            done = asyncio.Event()
            honest = asyncio.create_task(self._honest(done))
            try:
                while self.told.inputs < self._inputs and not honest.done():
                    await asyncio.gather(self._unary_calls(), self._call_stream(), self._work_stream())
            finally:
                done.set()
                await honest
        return self.told

    # --- the honest ones -------------------------------------------------------------------------------------------------

    async def _honest(self, done: asyncio.Event) -> None:
        async with (
            connect(self._address, namespace=HONEST, token=self._honest_token) as client,
            Worker(client, sagas=[order], name=HONEST_WORKER),
        ):
            while not done.is_set():
                await asyncio.gather(*(self._order(client, f"order-{self.told.honest + n}") for n in range(4)))
                self.told.honest += 4
                await asyncio.sleep(0.02)

    async def _order(self, client: Client, number: str) -> None:
        async with asyncio.timeout(HONEST_SECONDS_MAX):
            handle = await client.start(order, number, id=number)
            await handle.signal("pay", 7)
            assert await handle.result() == f"reserved {number}, {7 + len(number)}"

    # --- hostile clients -------------------------------------------------------------------------------------------------

    def _bytes(self, message: Any, damage: float = 0.2) -> bytes:
        data: bytes = message.SerializeToString()
        return self._nonsense.damaged(data) if self._dice.random() < damage else data

    def _request(self, method: str) -> Any:
        made = self._nonsense.message(REQUESTS[method])
        if method == "Start" and self._dice.random() < 0.5:
            made.ClearField("attributes")
            made.namespace, made.saga_type = HOSTILE, self._dice.choice(TYPES)
            made.saga = f"s{self._dice.randrange(20)}"
            made.input.data = codec.encode_call([], {}, where="an attack")
        return made

    async def _unary_calls(self) -> None:
        methods = [*REQUESTS, "WatchCell"]
        chosen = [self._dice.choice(methods) for _ in range(AT_ONCE)]
        data = [self._bytes(self._request(one)) if one in REQUESTS else self._dice.randbytes(3) for one in chosen]
        await asyncio.gather(*(self._unary(_SAGAS + method, one) for method, one in zip(chosen, data, strict=True)))
        await self._unary(_WORK + "Beat", self._bytes(self._nonsense.message(w.BeatRequest)))
        method, kind = self._dice.choice(list(ACCESS_REQUESTS.items()))
        await self._unary(_ACCESS + method, self._bytes(self._nonsense.message(kind)))
        self.told.inputs += AT_ONCE + 2

    async def _unary(self, path: str, data: bytes) -> None:
        try:
            if path.endswith("WatchCell"):
                async for _ in self._channel.unary_stream(path)(data, timeout=0.05, metadata=self._shown):
                    pass
            else:
                await self._channel.unary_unary(path)(data, timeout=CALL_SECONDS, metadata=self._shown)
            self.told.codes["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.told.codes[error.code().name] += 1
            if error.code() in FAULTS:
                self.told.faults.append(f"{path}: {error.details()}: {data[:200]!r}")

    async def _call_stream(self) -> None:
        frames = [self._call_frame() for _ in range(ITEMS_PER_STREAM // 4)]
        await self._stream(_SAGAS + "Calls", frames)
        self.told.inputs += ITEMS_PER_STREAM

    def _call_frame(self) -> bytes:
        frame = c.CallFrame()
        for _ in range(4):
            method = self._dice.choice(sorted(STREAMED))
            call = frame.calls.add(number=next(self._calls), method=method, request=self._bytes(self._request(method)))
            if self._dice.random() < 0.1:
                call.CopyFrom(self._nonsense.message(c.Call))
        return self._bytes(frame, 0.05)

    # --- hostile workers -------------------------------------------------------------------------------------------------

    async def _work_stream(self) -> None:
        frames = [] if self._dice.random() < 0.1 else [self._hello()]
        frames += [self._work_frame() for _ in range(ITEMS_PER_STREAM // 4)]
        await self._stream(_WORK + "Work", frames)
        self.told.inputs += ITEMS_PER_STREAM

    def _hello(self) -> bytes:
        hello = self._nonsense.message(w.Hello)
        if self._dice.random() < 0.8:
            hello.protocol, hello.namespace, hello.worker = 1, HOSTILE, f"evil-{self._dice.randrange(5)}"
            del hello.saga_types[:]
            hello.saga_types.extend(TYPES)
        hello.namespace = "" if hello.namespace == HONEST else hello.namespace
        return self._bytes(w.WorkerFrame(items=[w.WorkerItem(hello=hello)]), 0.05)

    def _work_frame(self) -> bytes:
        frame = w.WorkerFrame()
        for _ in range(4):
            item = self._nonsense.message(w.WorkerItem)
            if self._dice.random() < 0.6:
                item = self._nearly_right()
            frame.items.append(item)
        return self._bytes(frame, 0.05)

    def _nearly_right(self) -> w.WorkerItem:
        """A commit or a release that is right but for one thing or two, of any run, also of the honest ones."""
        namespace = self._dice.choice((HOSTILE, HONEST))
        name = f"order-{self._dice.randrange(50)}" if namespace == HONEST else f"s{self._dice.randrange(20)}"
        key = h.RunKey(namespace=namespace, saga=name, run=1)
        epoch, incarnation, seq = self._dice.choice((1, 2, 3)), self._dice.randbytes(16), 1
        if self._assigned and self._dice.random() < 0.7:
            given = self._dice.choice(self._assigned)
            key, epoch, incarnation, seq = given.key, given.epoch, given.incarnation, len(given.events)
        if self._dice.random() < 0.5:
            release = self._nonsense.message(w.Release)
            release.key.CopyFrom(key)
            release.epoch, release.incarnation, release.status, release.next_seq = epoch, incarnation, h.RUNNING, seq
            return w.WorkerItem(release=release)
        commit = self._nonsense.message(w.Commit)
        commit.key.CopyFrom(key)
        commit.epoch, commit.incarnation, commit.commit_id, commit.status = epoch, incarnation, os.urandom(16), h.RUNNING
        for place, event in enumerate(commit.events):
            event.seq, event.time_ms = seq + place, 1
        return w.WorkerItem(commit=commit)

    # --- streams ---------------------------------------------------------------------------------------------------------

    async def _stream(self, path: str, frames: list[bytes]) -> None:
        """Send them, read what comes back for a moment, or nothing of it, and break off."""
        reads = self._dice.random() < 0.8

        async def outgoing() -> AsyncIterator[bytes]:
            for frame in frames:
                yield frame
                await asyncio.sleep(0)
            await asyncio.sleep(CALL_SECONDS)

        call = self._channel.stream_stream(path)(outgoing(), timeout=CALL_SECONDS, metadata=self._shown)
        try:
            if reads:
                async for data in call:
                    if path.startswith(_WORK):
                        self._assigned += [one.assign for one in w.ServerFrame.FromString(data).items if one.HasField("assign")]
            else:
                await asyncio.sleep(0.05)
            self.told.codes["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.told.codes[error.code().name] += 1
            if error.code() in FAULTS and error.details() != WROTE_TOO_LATE:
                self.told.faults.append(f"{path}: {error.details()}")
        finally:
            call.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await call.code()
