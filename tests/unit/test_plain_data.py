"""What a client shows is plain data: frozen, and taken by asdict, json, pydantic and FastAPI as it is."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter

from durable_saga import FailureInfo, Listed, ListPage, Overview, Retry, Statistics, Status, Waiting, event, saga, state, step
from durable_saga.client.listing import listed
from durable_saga.client.overview import overview_of
from durable_saga.failures.failures import failure_from_exception
from durable_saga.failures.remade import failure_info
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.testing import SagaTestRunner


class Declined(Exception):
    def __init__(self, card: str) -> None:
        super().__init__(f"card {card} was declined")
        self.code, self.card = "declined", card


class Address(BaseModel):
    street: str


@step
async def reserve(order: str) -> str:
    return order


@reserve.compensation
async def release(order: str) -> None: ...


@step(retry=Retry(max_attempts=1))
async def charge(order: str) -> None:
    raise Declined("4711")


@saga
async def place_order(order: str) -> None:
    state.set("address", Address(street="Main"))
    await reserve(order)
    await charge(order)


@saga
async def waits() -> None:
    await event("paid")


RUNNER = SagaTestRunner()
RUNNER.publish("ignored", "x")
RAN = asyncio.run(RUNNER.run(place_order, "o-1"))


def failed() -> Overview:
    return RAN.overview


def no_messages_in(value: Any) -> bool:
    """Of protobuf, whatever holds them."""
    if isinstance(value, dict):
        return all(map(no_messages_in, [*value, *value.values()]))
    if isinstance(value, list | tuple):
        return all(map(no_messages_in, value))
    return type(value) in (str, int, float, bool, type(None), datetime, Status)


def test_an_overview_is_plain_data_to_asdict_and_json() -> None:
    found = failed()
    plain = dataclasses.asdict(found)
    assert no_messages_in(plain), plain
    told = json.loads(json.dumps(plain, default=str))
    assert (told["status"], told["state"]) == ("compensated", {"address": {"street": "Main"}})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.status = Status.HELD  # type: ignore[misc]


def test_a_failure_tells_type_code_details_traceback_and_cause() -> None:
    failure = failed().failure
    assert isinstance(failure, FailureInfo)
    assert (failure.type, failure.message, failure.code, failure.details) == (
        f"{__name__}.Declined", "card 4711 was declined", "declined", {"code": "declined", "card": "4711"},
    )  # fmt: skip
    assert "raise Declined" in failure.traceback
    try:
        raise Declined("4712") from ConnectionError("the bank hangs up")
    except Declined as error:
        told = failure_info(failure_from_exception(error))
    assert told.details["card"] == "4712"
    assert told.cause is not None
    assert (told.cause.type, told.cause.message) == ("builtins.ConnectionError", "the bank hangs up")
    group = failure_info(failure_from_exception(ExceptionGroup("two", [ValueError("a"), KeyError("b")])))
    assert [one.type for one in group.members] == ["builtins.ValueError", "builtins.KeyError"]


ROW = c.Description(
    key=h.RunKey(saga="s", run=2), saga_type="order", status=h.HELD, started_ms=1_500, blocked="no code", attributes={"a": "b"},
    sub_state=h.BLOCKED,
)  # fmt: skip


def test_a_row_of_a_listing_is_plain_data() -> None:
    row = listed(ROW)
    assert no_messages_in(dataclasses.asdict(ListPage([row], "next")))
    started_at = datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)
    assert row == Listed("s", 2, "order", Status.HELD, started_at, None, None, "no code", {"a": "b"}, state="blocked")
    assert row.is_open


@pytest.mark.parametrize(
    "value",
    [failed(), Statistics({Status.HELD: 2}, {"order": {Status.HELD: 2}}), listed(ROW), ListPage([listed(ROW)], "next")],
)
def test_pydantic_writes_reads_and_describes_it(value: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(type(value))
    assert adapter.validate_json(adapter.dump_json(value)) == value
    assert adapter.json_schema()["type"] == "object"


def test_fastapi_returns_one_as_it_is() -> None:
    found, app = failed(), FastAPI()

    @app.get("/typed")
    async def typed() -> Overview:
        return found

    @app.get("/untyped")
    async def untyped() -> Any:
        return {"order": found}

    with TestClient(app) as client:
        told = client.get("/typed").json()
        assert told == client.get("/untyped").json()["order"]
        assert (told["status"], told["failure"]["code"]) == ("compensated", "declined")
        assert datetime.fromisoformat(told["started_at"]) == found.started_at
        assert client.get("/openapi.json").json()["components"]["schemas"]["Status"]["enum"] == [*Status]


def test_a_status_is_equal_to_its_word_and_a_later_one_is_known_by_its_number() -> None:
    assert {str(one) for one in Status} == {name.lower() for name in h.Status.keys()[1:]}
    assert [one for one in Status if one.is_open] == ["running", "compensating", "compensation_stuck", "held"]
    assert overview_of(c.Description(status=h.HELD, attributes={"customer": "c-7"})).attributes == {"customer": "c-7"}
    later = overview_of(c.Description(status=999)).status  # type: ignore[arg-type]
    assert (later, isinstance(later, Status), later.is_open) == ("status_999", True, False)
    with pytest.raises(ValueError, match="done"):
        Status("done")


def test_it_tells_what_the_saga_waits_for() -> None:
    assert asyncio.run(SagaTestRunner().run(waits)).overview.waiting_for == [Waiting("message")]
    assert failed().waiting_for == []

    def waiting(status: h.Status, *steps: c.StepView, **more: Any) -> list[Waiting]:
        return overview_of(c.Description(status=status, steps=steps, updated_ms=1_000, **more)).waiting_for

    working = c.StepView(name="pay", state="retrying")
    assert waiting(h.RUNNING, working, owner="w") == [Waiting("step", "pay")]
    assert waiting(h.RUNNING, working, blocked="no code") == []
    assert waiting(h.RUNNING, owner="w") == []
    due = datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert waiting(h.RUNNING, wake_at_ms=5_000) == [Waiting("time", until=due)]
    assert waiting(h.RUNNING, wake_at_ms=1_000) == [], "a worker may take it now"
    undone = [c.StepView(compensation=name, compensation_state=how) for name, how in (("a", "running"), ("b", "done"))]
    assert waiting(h.COMPENSATING, *undone) == [Waiting("compensation", "a")]
    stuck = c.StepView(compensation="refund", compensation_state="stuck")
    assert waiting(h.COMPENSATION_STUCK, stuck) == [Waiting("person", "refund")]
    assert waiting(h.HELD) == [Waiting("person")]
