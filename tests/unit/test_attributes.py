"""Search attributes in the core: declared at the start or as the saga runs, kept in the history, replayed, bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_saga import continue_as_new, saga, set_attributes, step
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.replay.attributes import texts_of
from tests.hypothesis_profile import examples
from tests.laws.driver import Driver


@step
def ship(customer: str) -> str:
    return f"parcel of {customer}"


@saga(attributes=lambda customer, express: {"customer": customer, "express": express})
async def order(customer: str, express: bool) -> None:
    await ship(customer)
    set_attributes(parcel=7, customer=customer.upper())
    await ship(customer)


@saga(attributes=lambda number: {"number": number})
async def goes_on(number: int) -> None:
    set_attributes(seen=number)
    await continue_as_new(number + 1)


@saga
async def sets(attributes: dict[str, Any]) -> None:
    await ship("x")
    set_attributes(**attributes)


def sets_in(driver: Driver) -> list[dict[str, str]]:
    return [dict(event.attributes_set.attributes) for event in driver.journal if event.HasField("attributes_set")]


def test_a_start_by_name_declares_them_with_its_first_commit_and_later_ones_are_added() -> None:
    driver = Driver(order, ("ann", True)).run()
    assert driver.kinds[:2] == ["saga_started", "attributes_set"]
    assert sets_in(driver) == [{"customer": "ann", "express": "true"}, {"parcel": "7", "customer": "ANN"}]
    assert driver.core.attributes.values == {"customer": "ANN", "express": "true", "parcel": "7"}


@settings(max_examples=examples(40))
@given(st.sets(st.integers(1, 6), max_size=4), st.sets(st.integers(1, 6), max_size=4))
def test_crashes_change_nothing_of_them(crash_at: set[int], lose_at: set[int]) -> None:
    driver = Driver(order, ("ann", True), crash_at=crash_at, lose_at=lose_at).run()
    assert driver.status == "COMPLETED"
    assert sets_in(driver) == [{"customer": "ann", "express": "true"}, {"parcel": "7", "customer": "ANN"}]


def test_what_the_start_holds_is_not_declared_again_and_changed_code_replays_the_old_history() -> None:
    journal = Driver(order, ("ann", True)).run().journal
    assert replayed(order, journal).attributes.values["customer"] == "ANN"

    async def other(customer: str, express: bool) -> None:
        await ship(customer)
        set_attributes(parcel=8)
        await ship(customer)

    changed = saga(name="order", attributes=lambda customer, express: {"region": "north"})(other)
    core = replayed(changed, journal)
    assert core.attributes.values == {"customer": "ANN", "express": "true", "parcel": "7"}
    started = h.Event(saga_started=journal[0].saga_started)
    started.saga_started.attributes.update({"customer": "bob", "express": "false"})
    core = replayed(order, [started])
    assert "attributes_set" not in [event.WhichOneof("kind") for event in core.take().events]
    assert core.attributes.values == {"customer": "bob", "express": "false"}


def replayed(of: Any, events: list[h.Event]) -> Core:
    core = Core(of.definition, h.RunKey(namespace="n", saga="s", run=1))
    core.replay(events)
    return core


def test_the_next_run_takes_them_over() -> None:
    end = Driver(goes_on, (3,)).run().journal[-1].saga_ended
    assert dict(end.next.attributes) == {"number": "3", "seen": "3"}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"customer": ""}, "1 to 255 whole characters"),
        ({"customer": "x" * 256}, "ATTRIBUTE_CHARACTERS_MAX"),
        ({"customer": 1.5}, "an int or a bool"),
        ({"customer": None}, "an int or a bool"),
        ({"customer-id": "c-7"}, "the name of a search attribute"),
        ({"n" * 65: "c-7"}, "ATTRIBUTE_NAME_CHARACTERS_MAX"),
        ({f"n{number}": "x" for number in range(17)}, "ATTRIBUTES_PER_RUN_MAX"),
    ],
)
def test_bad_ones_are_refused_with_the_limit(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        texts_of(attributes)
    assert words in str(Driver(sets, (attributes,)).run().journal[-1].saga_ended.failure)


def test_the_seventeenth_name_of_a_run_is_refused_although_each_call_is_small() -> None:
    @saga
    async def many() -> None:
        for number in range(17):
            set_attributes(**{f"n{number}": "x"})
            await asyncio.sleep(0)

    assert "ATTRIBUTES_PER_RUN_MAX" in str(Driver(many).run().journal[-1].saga_ended.failure)
