"""Hooks of ours with the real SDKs behind them: what Sentry gets of failing steps, and what spans have beside the usual."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from durable_saga import Call, NotApplied, Retry, Worker, connect, saga, step
from durable_saga.contrib import OpenTelemetry, Sentry
from durable_saga.errors import SagaCompensated, SagaFailed, SagaStuck
from durable_saga.telemetry import tracing

EVENTS: list[dict[str, Any]] = []


class Collects(Transport):
    def capture_envelope(self, envelope: Envelope) -> None:
        if (event := envelope.get_event()) is not None:
            EVENTS.append(event)  # type: ignore[arg-type]


@pytest.fixture
def _sentry() -> Iterator[None]:
    EVENTS.clear()
    sentry_sdk.init(dsn="https://key@sentry.example/1", transport=Collects, default_integrations=False)
    with sentry_sdk.isolation_scope() as scope:
        scope.clear()
        sentry_sdk.get_current_scope().clear()
        yield
    sentry_sdk.get_client().close()
    sentry_sdk.init(default_integrations=False)


class Down(Exception):
    pass


@step(retry=Retry(max_attempts=1))
async def book(name: str) -> str:
    sentry_sdk.add_breadcrumb(message=f"book {name}")
    return name


@book.compensation(retry=Retry(max_attempts=6, initial=0.01))
async def unbook(name: str) -> None:
    raise LookupError("no such booking")


@step(retry=Retry(max_attempts=3, initial=0.01))
def charge(name: str) -> None:
    sentry_sdk.add_breadcrumb(message=f"charge {name}")
    sentry_sdk.set_tag("in_thread", "yes")
    raise Down(f"the bank of {name}")


@step(retry=Retry(max_attempts=1), timeout=0.05)
async def slow() -> None:
    await asyncio.sleep(30)


@step(retry=Retry(max_attempts=1), timeout=0.05)
def slow_in_thread() -> None:
    time.sleep(0.2)


@step(retry=Retry(max_attempts=1))
async def declines() -> None:
    raise NotApplied("no")


@saga
async def place_order(name: str) -> None:
    await charge(name)


@saga
async def books(name: str) -> None:
    await book(name)
    raise ValueError("no")


@saga
async def is_slow() -> None:
    for one in (slow, slow_in_thread, declines):
        try:
            await one()
        except Exception as error:
            del error


@saga
async def cancelled() -> None:
    await asyncio.sleep(0)
    task = asyncio.create_task(slow())
    await asyncio.sleep(0)
    task.cancel()


def told(hook: Sentry, one: Any, *args: Any) -> list[dict[str, Any]]:
    async def scenario() -> None:
        sagas: list[Any] = [place_order, books, is_slow, cancelled]
        async with connect("memory:") as client, Worker(client, sagas=sagas, hooks=[hook]):
            handle = await client.start(one, *args, id="o-1")
            try:
                await handle.result(timeout=20)
            except (SagaFailed, SagaCompensated, SagaStuck):
                pass

    asyncio.run(scenario())
    return EVENTS


def values(event: dict[str, Any]) -> list[str]:
    return [f"{one['type']}: {one['value']}" for one in event["exception"]["values"]]


@pytest.mark.usefixtures("_sentry")
def test_a_failure_for_good_is_one_event_with_its_saga_and_its_own_breadcrumbs() -> None:
    (event,) = told(Sentry(), place_order, "Ann")
    assert values(event) == ["Down: the bank of Ann"]
    assert event["tags"] == {
        "durable_saga.namespace": "default", "durable_saga.saga": "o-1", "durable_saga.saga_type": "place_order",
        "durable_saga.step": "charge", "in_thread": "yes",
    }  # fmt: skip
    assert event["contexts"]["durable_saga"]["attempt"] == 3
    assert event["transaction"] == "step charge"
    assert [one["message"] for one in event["breadcrumbs"]["values"]] == ["charge Ann"]


@pytest.mark.usefixtures("_sentry")
def test_each_attempt_is_an_event_where_that_is_asked_for() -> None:
    events = told(Sentry(each_attempt=True), place_order, "Ann")
    assert [one["contexts"]["durable_saga"]["attempt"] for one in events] == [1, 2, 3]


@pytest.mark.usefixtures("_sentry")
def test_a_compensation_that_keeps_failing_is_told_less_and_less_often() -> None:
    events = told(Sentry(), books, "Ann")
    assert [one["contexts"]["durable_saga"]["attempt"] for one in events] == [1, 2, 4, 6]
    assert {one["tags"]["durable_saga.compensation"] for one in events} == {"unbook"}
    assert not [one for event in events for one in event["breadcrumbs"]["values"] if "Ann" in one.get("message", "")]


@pytest.mark.usefixtures("_sentry")
def test_time_outs_are_told_and_cancellations_are_not() -> None:
    assert [values(one)[-1].partition(":")[0] for one in told(Sentry(), is_slow)] == [
        "StepTimedOut", "StepTimedOut", "NotApplied",
    ]  # fmt: skip
    EVENTS.clear()
    assert told(Sentry(), cancelled) == []


def test_without_a_client_of_sentry_nothing_is_lost() -> None:
    EVENTS.clear()
    assert told(Sentry(), place_order, "Ann") == []


def test_spans_of_attempts_have_attributes_of_yours() -> None:
    spans, given = InMemorySpanExporter(), trace.get_tracer_provider()
    provider = given if isinstance(given, TracerProvider) else TracerProvider()  # a process has one
    provider.add_span_processor(SimpleSpanProcessor(spans))
    if provider is not given:
        trace.set_tracer_provider(provider)

    def attributes(call: Call) -> dict[str, str]:
        if call.name == "book":
            raise LookupError("no tenant")
        return {"tenant": f"of {call.saga}"}

    async def scenario() -> None:
        hooks = [OpenTelemetry(attributes=attributes)]
        async with connect("memory:", hooks=hooks) as client, Worker(client, sagas=[place_order, books]):
            for one in (place_order, books):
                with pytest.raises((SagaFailed, SagaStuck)):
                    await (await client.start(one, "Ann", id=one.definition.name)).result(timeout=20)

    try:
        asyncio.run(scenario())
    finally:
        tracing.switch_off()
    found = {span.name: span for span in spans.get_finished_spans()}
    charged, booked = found["step charge"], found["step book"]
    assert charged.attributes is not None
    assert charged.attributes["tenant"] == "of place_order"
    assert [event.name for event in booked.events] == ["exception"]
    assert booked.status.is_ok or booked.status.is_unset
    assert found["start books"].parent is None
