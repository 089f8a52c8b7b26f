"""Traces of a real client, server and worker: from who starts a saga through its steps to what they call. A replay has none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import httpx
import pytest
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_saga import Client, Retry, Worker, connect, continue_as_new, saga, signal, step
from durable_saga.errors import InvalidArgument, SagaCompensated
from durable_saga.pb import client_pb2 as c
from durable_saga.telemetry import tracing

HEADERS: list[str] = []


class Down(Exception):
    pass


tries: list[str] = []


@step(retry=Retry(max_attempts=2, initial=0.01))
async def charge(name: str) -> str:
    tries.append(name)
    if name == "broke" or len(tries) == 1:
        raise Down("the account of Ann")
    return name


@step
def book(name: str) -> str:
    HEADERS.append(current())
    return name


@book.compensation
def unbook(name: str) -> None: ...


@step
async def ask_http() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        HEADERS.append(request.headers.get("traceparent", ""))
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        HTTPXClientInstrumentor.instrument_client(http)
        await http.get("http://bank.example")


@step
async def ask_grpc(target: str) -> None:
    from opentelemetry.instrumentation.grpc import aio_client_interceptors

    async with grpc.aio.insecure_channel(target, interceptors=aio_client_interceptors()) as channel:  # type: ignore[no-untyped-call]
        await channel.unary_unary("/bank.Bank/Charge", bytes, bytes)(b"")


@saga
async def order(name: str) -> str:
    await book(name)
    return await charge(name)


@saga
async def asks(target: str) -> None:
    await ask_http()
    await ask_grpc(target)


@saga
async def waits() -> str:
    return str(await signal("go"))


@saga
async def books_and_waits() -> str:
    await book("Ann")
    return str(await signal("go"))


@step
async def look() -> None: ...


@saga
async def goes_on(left: int) -> str:
    await look()
    return "done" if not left else await continue_as_new(left - 1)


SAGAS: list[Any] = [order, asks, waits, books_and_waits, goes_on]


def current() -> str:
    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def name_of(span: ReadableSpan) -> str:
    return str(span.name)


class Spans:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def clear(self) -> None:
        self._exporter.clear()


def trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def header_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


@pytest.fixture(scope="module")
def provider() -> Spans:
    """A process has one."""
    spans = Spans()
    trace.set_tracer_provider(spans.provider)
    return spans


@pytest.fixture
def spans(provider: Spans) -> Iterator[Spans]:
    tracing.switch_on()
    provider.clear()
    tries.clear()
    HEADERS.clear()
    yield provider
    tracing.switch_off()


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    service = HistoryService(MemoryJournal())
    await service.start_up()
    server = GrpcServer(service, "127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        stopping = asyncio.create_task(server.stop(1))
        await service.shut_down()
        await stopping


def play(scenario: Callable[[Client], Awaitable[None]], sagas: Sequence[Any] = SAGAS) -> None:
    async def run() -> None:
        async with served() as url, connect(url) as client, Worker(client, sagas=sagas):
            await asyncio.wait_for(scenario(client), 30)

    asyncio.run(run())


def test_a_trace_leads_from_who_starts_a_saga_into_its_steps(spans: Spans) -> None:
    async def scenario(client: Client) -> None:
        with trace.get_tracer("shop").start_as_current_span("request"):
            handle = await client.start(order, "Ann", id="o-1")
        await handle.result()

    play(scenario)
    (request,), (start,) = spans.named("request"), spans.named("start order")
    assert start.parent is not None
    assert header_of(request).split("-")[2] == f"{start.parent.span_id:016x}"
    of_run = [span for span in spans.all() if (span.attributes or {}).get("durable_saga.run") == 1]
    assert {name_of(span) for span in of_run} == {"saga order", "step book", "step charge"}
    for span in of_run:
        assert trace_of(span) == trace_of(request)
        assert span.parent is not None
        assert f"{span.parent.span_id:016x}" == header_of(start).split("-")[2]
        assert (span.attributes or {})["durable_saga.saga"] == "o-1"
    assert [(span.attributes or {})["durable_saga.attempt"] for span in spans.named("step charge")] == [1, 2]
    failed, ended = spans.named("step charge")
    assert (failed.status.is_ok, (failed.attributes or {})["error.type"]) == (False, f"{__name__}.Down")
    assert "Ann" not in failed.to_json()
    assert ended.status.is_unset
    assert [header_of(spans.named("step book")[0])] == HEADERS, "the span is current in the thread of a step"
    facts = [(span.attributes or {})["durable_saga.fact"] for span in spans.named("saga order")]
    assert facts == ["saga_started", "step_completed", "step_attempt_failed", "step_completed"]


def test_compensations_have_spans_and_a_saga_without_a_starters_trace_too(spans: Spans) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(SagaCompensated):
            await (await client.start(order, "broke", id="o-2")).result()

    play(scenario)
    assert len(spans.named("compensation unbook")) == 1
    assert {trace_of(span) for span in spans.all()} == {trace_of(spans.named("start order")[0])}


def test_what_a_step_calls_by_httpx_and_grpc_goes_on_with_its_trace(spans: Spans) -> None:
    async def answer(_: bytes, context: Any) -> bytes:
        HEADERS.append(dict(context.invocation_metadata()).get("traceparent", ""))
        return b""

    async def scenario(client: Client) -> None:
        bank = grpc.aio.server()
        handlers = {"Charge": grpc.unary_unary_rpc_method_handler(answer)}
        bank.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bank.Bank", handlers),))
        port = bank.add_insecure_port("127.0.0.1:0")
        await bank.start()
        try:
            await (await client.start(asks, f"127.0.0.1:{port}", id="a-1")).result()
        finally:
            await bank.stop(0)

    play(scenario)
    trace_id = f"{trace_of(spans.named('start asks')[0]):032x}"
    assert [header.split("-")[1] for header in HEADERS] == [trace_id, trace_id]


def test_a_signal_is_linked_from_the_stretch_that_reads_it(spans: Spans) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(waits, id="w-1")
        await handle.signal("go", 7)
        assert await handle.result() == "7"

    play(scenario)
    (sent,) = spans.named("signal go")
    linked = [link.context.span_id for span in spans.named("saga waits") for link in span.links]
    assert [f"{one:016x}" for one in linked] == [header_of(sent).split("-")[2]]


def test_the_next_run_of_a_saga_goes_on_with_its_trace(spans: Spans) -> None:
    async def scenario(client: Client) -> None:
        assert await (await client.start(goes_on, 1, id="g-1")).result() == "done"

    play(scenario)
    first, second = spans.named("step look")
    assert [(span.attributes or {})["durable_saga.run"] for span in (first, second)] == [1, 2]
    assert trace_of(first) == trace_of(second) == trace_of(spans.named("start goes_on")[0])


def test_a_replay_makes_no_span(spans: Spans) -> None:
    async def scenario(url: str) -> None:
        async with connect(url) as client:
            async with Worker(client, sagas=SAGAS):
                handle = await client.start(books_and_waits, id="w-2")
                while len(spans.named("saga books_and_waits")) < 2:
                    await asyncio.sleep(0.05)
            spans.clear()
            async with Worker(client, sagas=SAGAS):  # replays it, to take the signal
                await handle.signal("go", 1)
                await handle.result()
        (read,) = spans.named("saga books_and_waits")
        assert (read.attributes or {})["durable_saga.fact"] == "signal_received"

    async def run() -> None:
        async with served() as url:
            await asyncio.wait_for(scenario(url), 30)

    asyncio.run(run())


def test_nothing_is_carried_and_no_span_is_made_while_it_is_off(spans: Spans) -> None:
    tracing.switch_off()

    async def scenario(client: Client) -> None:
        handle = await client.start(order, "Ann", id="o-3")
        await handle.result()
        first = (await client.transport.call("history", c.HistoryRequest(key=handle._key))).events[0]
        assert not first.saga_started.carried

    play(scenario)
    assert spans.all() == []


def test_what_is_carried_is_bounded(spans: Spans) -> None:
    async def scenario(client: Client) -> None:
        request = c.StartRequest(namespace="default", saga="o-4", saga_type="order", carried={"traceparent": "x" * 5_000})
        with pytest.raises(InvalidArgument, match="what is carried has 5011 bytes; at most 4096 can be"):
            await client.transport.call("start", request)

    play(scenario)


def test_the_command_says_what_is_missing_and_the_sdk_configures_itself(tmp_path: Any) -> None:
    program = """
import sys
for name in ("opentelemetry.sdk", "opentelemetry.sdk.trace"):
    sys.modules[name] = None
from durable_saga.cli import main
main(["server", "--journal", "memory:", "--otel"])
"""
    told = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert told.returncode == 1
    assert "pip install 'durable-saga[otel]'" in told.stderr
    program = """
from durable_saga.telemetry import otel, tracing
from durable_saga.telemetry.catalogue import ATTEMPT_DURATION, SAGAS_STARTED
otel.begin()
ATTEMPT_DURATION.record(0.3, "order", "charge", "step")
SAGAS_STARTED.add(3, "order")
with tracing.sending("start order", {}) as carried:
    assert carried["traceparent"]
from opentelemetry import metrics, trace
trace.get_tracer_provider().shutdown()
metrics.get_meter_provider().shutdown()
"""
    environment = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "none"}
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=False, capture_output=True, text=True,
        env={**environment, "PYTHONPATH": ":".join(filter(None, sys.path))},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    environment["OTEL_TRACES_EXPORTER"] = "pigeon"
    wrong = subprocess.run(
        [sys.executable, "-m", "durable_saga", "server", "--journal", "memory:", "--otel"], check=False, capture_output=True,
        text=True, env={**environment, "PYTHONPATH": ":".join(filter(None, sys.path))},
    )  # fmt: skip
    assert "Error: there is no exporter 'pigeon' of traces: --otel needs packages" in wrong.stderr
    for text in ("start order", "durable_saga.attempt.duration", "durable_saga.sagas.started"):
        assert text in told.stdout
