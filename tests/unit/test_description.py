"""No message of protobuf leaves the package: what `describe()`, `history()` and `identify()` give is plain data."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

import durable_saga
from durable_saga import (
    Client,
    DescribedStep,
    Description,
    FailureInfo,
    Handle,
    HistoryEvent,
    Identity,
    Retry,
    Rights,
    Status,
    Worker,
    connect,
    errors,
    saga,
    sealing,
    sleep,
    state,
    step,
    testing,
)
from durable_saga.client import sync
from durable_saga.client.description import description_of, event_of, identity_of
from durable_saga.pb import access_pb2 as a
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.testing import SagaTestRunner
from tests.unit.test_plain_data import no_messages_in

OF_WORKER = ("run", "register", "stop", "__init__")
"""The rest is for what a worker is made of."""


class Declined(Exception):
    code = "declined"


@step
async def reserve(order: str) -> str:
    return order


@reserve.compensation
async def release(order: str) -> None: ...


@step(retry=Retry(max_attempts=2, initial=0.001))
async def charge(order: str) -> None:
    raise Declined("no")


@saga
async def place_order(order: str) -> None:
    state.set("order", {"id": order})
    await reserve(order)
    await sleep(0.01)
    await charge(order)


async def told() -> tuple[Description, list[HistoryEvent]]:
    async with connect("memory:") as client, Worker(client, sagas=[place_order]):
        handle = await client.start(place_order, "o-1", id="o-1")
        with pytest.raises(errors.SagaCompensated) as caught:
            await handle.result(timeout=20)
        assert isinstance(caught.value.failure, FailureInfo)
        assert caught.value.failure.code == "declined"
        return await handle.describe(), await handle.history()


DESCRIBED, EVENTS = asyncio.run(told())
IDENTITY = Identity("ann", "token", [Rights(["reader"], ["shop"], [])], datetime(2030, 1, 1, tzinfo=UTC))


def test_a_description_tells_steps_compensations_and_times() -> None:
    assert (DESCRIBED.id, DESCRIBED.run, DESCRIBED.saga_type, DESCRIBED.status) == ("o-1", 1, "place_order", "compensated")
    first, second = [one for one in DESCRIBED.steps if one.name in ("reserve", "charge")]
    assert isinstance(first, DescribedStep)
    assert (first.state, first.compensation, first.compensation_state) == ("done", "release", "done")
    assert (second.state, second.attempts) == ("failed", 2)
    assert DESCRIBED.state == {"order": {"id": "o-1"}}
    assert DESCRIBED.started_at is not None
    assert abs(DESCRIBED.started_at - datetime.now(UTC)) < timedelta(hours=1)
    assert DESCRIBED.failure is not None
    assert not DESCRIBED.is_open


def test_events_have_a_kind_a_time_and_plain_details() -> None:
    assert [one.seq for one in EVENTS] == list(range(len(EVENTS)))
    kinds = {one.kind: one.details for one in EVENTS}
    assert kinds["saga_started"]["input"] == [["o-1"], {}]
    assert kinds["step_completed"]["result"] == "o-1"
    assert kinds["step_failed"]["failure"].type.endswith("Declined")
    assert isinstance(kinds["step_attempt_failed"]["retry_at"], datetime)
    assert kinds["state_changed"]["changes"] == {"order": {"id": "o-1"}}
    assert kinds["saga_ended"]["status"] is Status.COMPENSATED
    assert event_of(h.Event(seq=7)).kind == "unknown", "of a newer version"
    retried = h.Event(compensation_decided=h.CompensationDecided(verb=h.CompensationDecided.RETRY, call="3"))
    assert event_of(retried).details == {"verb": "retry", "call": "3"}
    large = h.Event(step_completed=h.StepCompleted(result=p.Payload(hash=b"h" * 32, size=20_000)))
    assert event_of(large).details == {"result": "a value of 20,000 bytes"}


def test_who_a_client_is() -> None:
    rights = [a.Rights(roles=["reader"], namespaces=["shop"])]
    assert identity_of(a.Identity(name="ann", kind="token", rights=rights, expires_ms=1_893_456_000_000)) == IDENTITY


@pytest.mark.parametrize("value", [DESCRIBED, EVENTS[0], EVENTS[-1], IDENTITY], ids=lambda value: type(value).__name__)
def test_they_are_frozen_and_taken_by_asdict_json_and_pydantic(value: Any) -> None:
    plain = dataclasses.asdict(value)
    assert no_messages_in(plain)
    assert json.loads(json.dumps(plain, default=str))
    adapter: TypeAdapter[Any] = TypeAdapter(type(value))
    assert json.loads(adapter.dump_json(value)).keys() == plain.keys()
    if not isinstance(value, HistoryEvent):  # its times are texts again
        assert adapter.validate_json(adapter.dump_json(value)) == value
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, next(iter(plain)), "")
    assert not hasattr(value, "__dict__")


def test_fastapi_returns_them_as_they_are() -> None:
    app = FastAPI()

    @app.get("/saga")
    async def one() -> Description:
        return DESCRIBED

    @app.get("/history")
    async def events() -> list[HistoryEvent]:
        return EVENTS

    with TestClient(app) as client:
        assert client.get("/saga").json()["steps"][0]["name"] == "reserve"
        assert [one["kind"] for one in client.get("/history").json()] == [one.kind for one in EVENTS]


def test_a_run_in_a_test_has_the_same_events() -> None:
    ran = asyncio.run(SagaTestRunner().run(place_order, "o-1"))
    assert {one.kind for one in ran.journal} >= {one.kind for one in EVENTS} - {"timer_fired"}
    assert description_of(c.Description(status=h.HELD)).status is Status.HELD


def public() -> Iterator[tuple[str, Any]]:
    """Every function, and every method and attribute of every class, that a user can name."""
    modules = [durable_saga, testing, sealing]
    places = [(module, name) for module in modules for name in module.__all__]
    places += [(sync, "SyncClient"), (sync, "SyncHandle")]
    places += [(errors, name) for name, one in vars(errors).items() if getattr(one, "__module__", "") == errors.__name__]
    for module, name in places:
        one, path = getattr(module, name), f"{module.__name__}.{name}"
        yield path, one
        for own, member in inspect.getmembers(one) if inspect.isclass(one) else ():
            inner = member.fget if isinstance(member, property) else member
            if one is Worker and own not in OF_WORKER:
                continue
            if inspect.isfunction(inner) and (not own.startswith("_") or own == "__init__"):
                yield f"{path}.{own}", inner


def named_types(hint: Any) -> Iterator[Any]:
    yield hint
    for one in typing.get_args(hint):
        for inner in one if isinstance(one, list) else [one]:
            yield from named_types(inner)


def texts_of(one: Any) -> Iterator[str]:
    """Its annotations, resolved where that can be done."""
    own = {name: hint for name, hint in getattr(one, "__annotations__", {}).items() if not name.startswith("_")}
    try:
        hints = {name: hint for name, hint in typing.get_type_hints(one).items() if name in own}
    except (NameError, TypeError):  # a name for checkers alone
        hints = own
    for hint in hints.values():
        yield from (hint if isinstance(hint, str) else f"{getattr(t, '__module__', '')} {t}" for t in named_types(hint))


def test_no_public_name_takes_or_gives_a_message_of_protobuf() -> None:
    seen, wrong = 0, []
    for path, one in public():
        for text in texts_of(one):
            seen += 1
            if "_pb2" in text or text.startswith(("c.", "h.", "p.", "a.", "w.")):
                wrong.append(f"{path}: {text}")
    assert wrong == []
    assert seen > 500, "the annotations were looked at"
    assert any("Description" in text for text in texts_of(Handle.describe))
    assert any("_pb2" in text for text in texts_of(description_of)), "one would be seen"
    assert isinstance(vars(Client)["identify"], type(lambda: 0))
