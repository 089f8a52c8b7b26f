"""Clients' calls on one stream (Sagas.Calls): what a call tells is what the unary one tells, and one that fails fails alone."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal as signals
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from durable_saga_server.calls import streams as call_streams
from durable_saga_server.config import Config
from durable_saga_server.failures import BUSY_RETRY_MS, ServiceError
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal import Journal, Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService
from google.protobuf.message import DecodeError

from durable_saga import Handle, Worker, connect, saga, signal, step
from durable_saga.errors import AlreadyEnded, InvalidArgument, NotFound, SagaTerminated, Unavailable
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import client_pb2_grpc
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.calls import REQUESTS, STREAMED, STREAMED_BYTES_MAX
from durable_saga.transport.transport import GrpcTransport, Unreached
from examples.demo.processes import Process, free_address
from tests.chaos.links import Link


@step
async def double(number: int) -> int:
    return 2 * number


@saga
async def doubles(number: int) -> int:
    return await double(number)


@saga
async def waits() -> str:
    return str(await signal("go"))


@saga
async def takes(data: bytes) -> int:
    return len(data)


SAGAS: list[Any] = [doubles, waits, takes]


class Held(WrappedJournal):
    """Starts whose ids begin with "held" are written when it is said so."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == "runs.create" and args[0].run.saga.startswith("held"):
            self.began.set()
            await self.go.wait()
        return await call(*args)


@asynccontextmanager
async def standing(
    config: Config | None = None, journal: Journal | None = None
) -> AsyncIterator[tuple[HistoryService, GrpcServer]]:
    service = HistoryService(journal or MemoryJournal(), config=config)
    await service.start_up()
    server = GrpcServer(service, "127.0.0.1:0")
    await server.start()
    try:
        yield service, server
    finally:
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping


@asynccontextmanager
async def calls(server: GrpcServer) -> AsyncIterator[Callable[..., Awaitable[list[c.Reply]]]]:
    """Sends what it is given in one frame, and gives as many replies, by number."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stream = client_pb2_grpc.SagasStub(channel).Calls()  # type: ignore[no-untyped-call]  # generated

        async def send(*sent: c.Call, replies: int) -> list[c.Reply]:
            await stream.write(c.CallFrame(calls=sent))
            found: list[c.Reply] = []
            while len(found) < replies:
                found += (await stream.read()).replies
            return sorted(found, key=lambda one: one.number)

        yield send
        stream.cancel()


def start(number: int, saga: str) -> c.Call:
    request = c.StartRequest(namespace="default", saga=saga, saga_type="waits")
    return c.Call(number=number, method="Start", request=request.SerializeToString())


def wait(number: int, saga: str) -> c.Call:
    request = c.WaitRequest(key=h.RunKey(namespace="default", saga=saga), wait_ms=20_000)
    return c.Call(number=number, method="Wait", request=request.SerializeToString())


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


def test_all_calls_of_a_client_share_one_stream_and_each_gets_its_own_answer() -> None:
    async def scenario() -> None:
        async with standing() as (service, server), connect(f"127.0.0.1:{server.port}") as client:
            handles: list[Handle[int]] = await asyncio.gather(*(client.start(doubles, n, id=f"s{n}") for n in range(200)))
            waiting = asyncio.gather(*(handle.result(timeout=60) for handle in handles))
            await until(lambda: service.call_streams.under_way() == [200])
            async with Worker(client, sagas=SAGAS):
                assert await waiting == [2 * n for n in range(200)]
            assert service.call_streams.under_way() == [0]

    asyncio.run(scenario())


def test_what_is_large_is_a_call_of_its_own() -> None:
    async def scenario() -> None:
        async with standing() as (service, server), connect(f"127.0.0.1:{server.port}") as client:
            handle = await client.start(takes, bytes(STREAMED_BYTES_MAX))
            assert service.call_streams.under_way() == []
            async with Worker(client, sagas=SAGAS):
                assert await handle.result(timeout=60) == STREAMED_BYTES_MAX
            assert service.call_streams.under_way() == [0]

    asyncio.run(scenario())


def test_a_refusal_keeps_its_kind_its_words_and_its_time() -> None:
    async def scenario() -> None:
        journal = Held()
        async with (
            standing(Config(calls_at_once_max=1), journal) as (_, server),
            connect(f"127.0.0.1:{server.port}") as client,
            calls(server) as send,
        ):
            handle = await client.start(waits, id="s")
            with pytest.raises(InvalidArgument, match="saga id"):
                await client.start(waits, id="x" * 300)
            with pytest.raises(NotFound, match="there is no saga 'nobody'"):
                await client.handle("nobody").result()
            await handle.terminate("enough")
            with pytest.raises(AlreadyEnded, match="TERMINATED"):
                await handle.signal("go", "now")
            (busy,) = await send(start(1, "held"), start(2, "b"), replies=1)
            assert (busy.number, busy.code, busy.retry_after_ms) == (2, "RESOURCE_EXHAUSTED", BUSY_RETRY_MS)
            assert "calls_at_once_max (1)" in busy.message
            waiting = asyncio.create_task(client.start(waits, id="c"))  # it comes again by itself
            await asyncio.sleep(0.05)
            journal.go.set()
            await waiting

    asyncio.run(scenario())


def test_a_call_that_nobody_waits_for_any_more_ends_in_the_server() -> None:
    async def scenario() -> None:
        async with standing() as (service, server), connect(f"127.0.0.1:{server.port}") as client:
            handle = await client.start(waits, id="s")
            with pytest.raises(TimeoutError):
                await handle.result(timeout=0.1)
            await until(lambda: service.call_streams.under_way() == [0])
            waiting = asyncio.create_task(handle.result())
            await until(lambda: service.call_streams.under_way() == [1])
            async with connect(f"127.0.0.1:{server.port}") as other:
                given_up: asyncio.Task[Any] = asyncio.create_task(other.handle("s").result())
                await until(lambda: service.call_streams.under_way() == [1, 1])
            with pytest.raises(Unavailable, match="the client was closed"):
                await given_up
            await until(lambda: service.call_streams.under_way() == [1])
            async with Worker(client, sagas=SAGAS):
                await handle.signal("go", "now")
                assert await waiting == "now"

    asyncio.run(scenario())


def test_a_call_that_makes_no_sense_fails_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: c.ClaimRequest) -> c.ClaimReply:
        match request.item:
            case "bug":
                raise ZeroDivisionError("oh")
            case "cut":
                raise asyncio.CancelledError
            case "text":
                raise ServiceError("UNAVAILABLE", "no file \udcff")
            case "large":
                return c.Description(saga_type="x" * 70_000_000)  # type: ignore[return-value]  # larger than any
            case _:
                raise DecodeError("a row of the journal")

    def claim(number: int, item: str) -> c.Call:
        return c.Call(number=number, method="Claim", request=c.ClaimRequest(item=item).SerializeToString())

    async def scenario() -> None:
        async with standing() as (service, server), calls(server) as send:
            monkeypatch.setitem(service.calls, "Claim", broken)
            first, *wrong, last = await send(
                start(1, "a"), c.Call(number=2, method="Strat"), c.Call(number=3, method="Fetch"),
                c.Call(number=4, method="Signal", request=b"\xff\xff"), claim(5, "bug"), claim(6, "cut"), claim(7, "text"),
                claim(8, "large"), claim(9, "row"), c.Call(number=99, cancel=True), start(10, "a"), replies=10,
            )  # fmt: skip
            assert not c.StartReply.FromString(first.reply).already_started
            assert c.StartReply.FromString(last.reply).already_started
            assert [(one.code, text) for one, text in zip(wrong, SAID, strict=True) if text not in one.message] == []
            assert [one.code for one in wrong] == [
                "UNIMPLEMENTED", "UNIMPLEMENTED", "INVALID_ARGUMENT", "UNKNOWN", "UNAVAILABLE", "UNAVAILABLE",
                "RESOURCE_EXHAUSTED", "UNKNOWN",
            ]  # fmt: skip
            assert "test_call_streams.py" in caplog.text
            assert service.call_streams.under_way() == [0]

    asyncio.run(scenario())


SAID = [
    "'Strat'",
    "'Fetch'",
    "Signal",
    "ZeroDivisionError('oh')",
    "cut off",
    "\\udcff",
    "bytes, but a client takes",
    "a row of the journal",
]


def test_calls_under_way_on_a_stream_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_streams, "STREAMED_CALLS_MAX", 2)

    async def scenario() -> None:
        async with standing() as (_, server), calls(server) as send:
            await send(start(1, "a"), replies=1)
            (refused,) = await send(wait(2, "a"), wait(3, "a"), wait(4, "a"), replies=1)
            assert (refused.number, refused.code, refused.retry_after_ms) == (4, "RESOURCE_EXHAUSTED", BUSY_RETRY_MS)
            (then,) = await send(c.Call(number=2, cancel=True), start(5, "a"), replies=1)
            assert not then.code

    asyncio.run(scenario())


def test_a_call_that_was_given_up_before_it_began_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with standing() as (service, server), calls(server) as send:
            await send(start(1, "a"), wait(2, "a"), c.Call(number=2, cancel=True), start(3, "b"), replies=2)
            assert service.call_streams.under_way() == [0]
            async with connect(f"127.0.0.1:{server.port}") as client:
                for _ in range(20):
                    with pytest.raises(TimeoutError):
                        await client.handle("a").result(timeout=0)
                await client.start(waits, id="c")
                assert service.call_streams.under_way() == [0, 0]

    asyncio.run(scenario())


def test_a_start_that_was_given_up_before_there_was_a_connection_is_not_sent() -> None:
    async def scenario() -> None:
        async with (
            standing() as (_, server),
            silent_at_first(server.port) as link,
            connect(link.address) as client,
        ):
            for n in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.start(waits, id=f"never{n}"), 0.05)
            late = asyncio.create_task(client.start(waits, id="late"))
            await asyncio.sleep(0)
            link.mend()
            await late
            assert [one.id async for one in client.list()] == ["late"]

    asyncio.run(scenario())


@asynccontextmanager
async def silent_at_first(to_port: int) -> AsyncIterator[Link]:
    """A link that takes connections, and passes on nothing until it is mended."""
    link = Link(f"127.0.0.1:{to_port}")
    await link.open()
    link.silence()
    yield link
    await link.close()
    await asyncio.sleep(0)  # what was cut off is closed in the next turn of the loop


def test_a_client_belongs_to_the_loop_on_which_it_was_used_first() -> None:
    async def scenario() -> None:
        async with standing() as (_, server), connect(f"127.0.0.1:{server.port}") as client:
            await client.start(waits, id="s")

            def elsewhere() -> None:
                with pytest.raises(RuntimeError, match="event loop"):
                    asyncio.run(asyncio.wait_for(client.start(waits, id="t"), 10))

            await asyncio.to_thread(elsewhere)

    asyncio.run(scenario())


def test_a_client_that_reads_no_replies_is_not_read_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_streams, "REPLIES_UNREAD_MAX", 4)

    async def scenario() -> None:
        stream = aiter(call_streams.CallStreams({"Start": answer}, 1000).serve(frames()))
        assert (await anext(stream)).replies
        await asyncio.sleep(0.1)
        assert (before := len(asked)) < 100
        for _ in range(10):
            assert (await anext(stream)).replies
        await asyncio.sleep(0.1)
        assert before < len(asked) < 400
        await stream.aclose()  # type: ignore[attr-defined]  # a generator

    async def answer(_: c.StartRequest) -> c.StartReply:
        return c.StartReply()

    async def frames() -> AsyncIterator[c.CallFrame]:
        for first in range(0, 800, 8):
            asked.extend(range(first, first + 8))
            yield c.CallFrame(calls=[start(number, "s") for number in asked[first:]])
            await asyncio.sleep(0)

    asked: list[int] = []
    asyncio.run(scenario())


def test_a_server_that_stops_sends_away_who_only_waits_and_finishes_the_rest() -> None:
    async def scenario() -> None:
        journal = Held()
        async with standing(journal=journal) as (service, server), calls(server) as send:
            await send(start(1, "a"), replies=1)
            asking = asyncio.ensure_future(send(wait(2, "a"), start(3, "held"), replies=2))
            await journal.began.wait()
            stopping = asyncio.create_task(service.call_streams.close())
            await asyncio.sleep(0.05)
            assert not stopping.done()
            journal.go.set()
            sent_away, started = await asking
            await stopping
            assert (sent_away.code, started.code) == ("UNAVAILABLE", "")
            assert await journal.runs.head(Run("default", "held")) is not None

    asyncio.run(scenario())


def test_calls_outlive_a_server_that_is_killed_and_one_that_stops(tmp_path: pathlib.Path) -> None:
    address = free_address()
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", address]
    server = Process("server", command, tmp_path, "listening on")

    async def begun_again(end: Callable[[], object]) -> None:
        await asyncio.to_thread(end)
        await asyncio.to_thread(server.start, {})

    async def scenario() -> None:
        async with connect(address) as client:
            handles = [await client.start(waits, id=f"s{n}") for n in range(20)]
            results = asyncio.gather(*(handle.result(timeout=60) for handle in handles))
            starting = asyncio.gather(*(client.start(doubles, n, id=f"d{n}") for n in range(100)))
            await begun_again(server.kill)
            await starting
            await begun_again(server.stop)
            async with Worker(client, sagas=SAGAS):
                for handle in handles:
                    await handle.signal("go", "now")
                assert await results == ["now"] * 20
                assert [await client.handle(f"d{n}", doubles).result(timeout=60) for n in range(100)] == [*range(0, 200, 2)]

    server.start({})
    try:
        asyncio.run(scenario())
    finally:
        server.kill()


def test_a_server_that_hangs_is_taken_for_gone_within_seconds(tmp_path: pathlib.Path) -> None:
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", "127.0.0.1:0"]
    server = Process("server", command, tmp_path, "listening on")

    async def scenario() -> None:
        address = server.start({})
        async with connect(address) as client:
            await client.start(waits, id="a")
            assert isinstance(client.transport, GrpcTransport)
            channel = client.transport._open(address)
            os.kill(server.pid, signals.SIGSTOP)
            request = c.StartRequest(namespace="default", saga="b", saga_type="waits")
            with pytest.raises(Unreached):
                await asyncio.wait_for(channel.call("Start", request), 20)
            os.kill(server.pid, signals.SIGCONT)
            await client.start(waits, id="c")

    try:
        asyncio.run(scenario())
    finally:
        server.kill()


def test_a_server_of_an_earlier_version_is_called_as_it_knows_it() -> None:
    async def scenario() -> None:
        service = HistoryService(MemoryJournal())
        await service.start_up()
        server = grpc.aio.server()
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                answering(service, name), REQUESTS[name].FromString, lambda reply: reply.SerializeToString()
            )
            for name in STREAMED
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("durable_saga.v1.Sagas", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with connect(f"127.0.0.1:{port}") as client:
            handles = await asyncio.gather(*(client.start(waits, id=f"s{n}") for n in range(5)))
            for handle in handles:
                await handle.terminate("enough")
                with pytest.raises(SagaTerminated):
                    await handle.result()
        await server.stop(0)
        await service.shut_down()

    asyncio.run(scenario())


def answering(service: HistoryService, name: str) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, _: Any) -> Any:
        return await service.calls[name](request)

    return answer
