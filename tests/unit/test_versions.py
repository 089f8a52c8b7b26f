"""Versions of saga code: since(), what the journal says of it, and what a run of another version may do."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest

from durable_saga import Saga, Step, SubSaga, on_failure, saga, saga_context, since, step, step_context
from durable_saga.authoring.check import check_paths
from durable_saga.declared.compiled import function_of
from durable_saga.errors import DefinitionError, InvalidArgument, NonDeterminism, UnsupportedOperation
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.testing import SagaTestRunner
from durable_saga.worker.watched_core import WatchedCore

pytestmark = pytest.mark.anyio
KEY = h.RunKey(namespace="n", saga="s", run=1)
seen: list[Any] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    seen.clear()


@step
async def reserve(item: str) -> str:
    seen.append(("reserve", since(2), step_context().version))
    return item


@reserve.compensation
async def release(item: str) -> None:
    seen.append(("release", since(2)))


@step
async def check_fraud(item: str) -> str:
    seen.append("check_fraud")
    return item


@step
async def fail() -> None:
    raise ValueError("no")


def replay(one: Any, events: list[h.Event]) -> int:
    """At which version the run began, by what code of today makes of these events."""
    watched = WatchedCore(core := Core(one.definition, KEY))
    try:
        watched.replay(events)
        return core.versions.run
    finally:
        watched.discard()


def order(version: int, *, fails: bool = False) -> Any:
    """The same saga, as it was deployed at each version."""

    @saga(name="order", version=version)
    async def place(item: str) -> str:
        await reserve(item)
        if version >= 2 and since(2):
            await check_fraud(item)
        if fails:
            await fail()
        return f"{item} {saga_context().version}"

    return place


async def test_a_run_goes_on_as_it_began() -> None:
    first = await SagaTestRunner().run(order(1), "lamp")
    assert first.value == "lamp 1"
    for upto in range(1, len(first._events) + 1):
        assert replay(order(3), first._events[:upto]) == (3 if upto == 1 else 1)


async def test_new_runs_begin_at_the_version_of_the_code() -> None:
    result = await SagaTestRunner().run(order(2), "lamp")
    assert result.value == "lamp 2"
    assert seen == [("reserve", True, 2), "check_fraud"]
    assert [event.version for event in result._events] == [0, 2] + [0] * (len(result._events) - 2)


async def test_version_one_leaves_no_trace_in_the_journal() -> None:
    result = await SagaTestRunner().run(order(1), "lamp")
    assert not any(event.version for event in result._events)


async def test_the_runner_begins_at_an_earlier_version() -> None:
    result = await SagaTestRunner(version=1).run(order(2), "lamp")
    assert result.value == "lamp 1"
    assert seen == [("reserve", False, 1)]
    with pytest.raises(InvalidArgument, match="order has version 2"):
        await SagaTestRunner(version=3).run(order(2), "lamp")


async def test_compensations_ask_for_the_version_of_their_run() -> None:
    await SagaTestRunner(version=1).run(order(2, fails=True), "lamp")
    assert seen[-1] == ("release", False)
    await SagaTestRunner().run(order(2, fails=True), "lamp")
    assert seen[-1] == ("release", True)


async def test_older_code_refuses_a_run_of_a_later_version() -> None:
    later = await SagaTestRunner().run(order(2), "lamp")
    with pytest.raises(NonDeterminism, match=r"test_versions.py:\d+ .*saga 'order' begun at version 2.*version 1 of it"):
        replay(order(1), later._events)


def parcel(version: int) -> Any:
    @saga(name="ship", version=version)
    async def ship(item: str) -> str:
        await reserve(item)
        if since(2):
            await check_fraud(item)
        await asyncio.sleep(5)
        return item

    @ship.signal
    async def hurry() -> None:
        seen.append(("hurry", since(2)))
        await reserve("hurry")

    @saga(name="parent", version=4)
    async def parent() -> str:
        assert since(4)
        tasks = [asyncio.create_task(ship(item)) for item in ("a", "b")]
        await asyncio.gather(*tasks)
        await reserve("own")
        return "done"

    return parent


async def test_a_child_has_its_own_version_in_the_parents_run() -> None:
    before = await SagaTestRunner().run(
        parcel(1),
    )
    assert [event.scope_opened.version for event in before._events if event.HasField("scope_opened")] == [0, 0]
    assert seen.count("check_fraud") == 0
    replay(parcel(2), before._events)  # goes on as the children began
    seen.clear()
    after = await SagaTestRunner().run(parcel(2))
    assert [event.scope_opened.version for event in after._events if event.HasField("scope_opened")] == [2, 2]
    assert seen.count("check_fraud") == 2
    with pytest.raises(NonDeterminism, match="saga 'ship' begun at version 2"):
        replay(parcel(1), after._events)


async def test_a_child_asked_in_a_step_and_a_handler_is_the_child() -> None:
    runner = SagaTestRunner()
    runner.publish("hurry", after=1)
    await runner.run(parcel(1))
    assert seen[:5] == [  # what follows is a replay
        ("reserve", False, 1), ("reserve", False, 1), ("hurry", False), ("reserve", False, 1), ("reserve", True, 4),
    ]  # fmt: skip


def undone(version: int) -> Any:
    async def undo() -> None:
        seen.append(("undo", since(2)))

    @saga(name="undone", version=version)
    async def one() -> None:
        on_failure(undo)
        await fail()

    return one


async def test_an_undo_that_was_registered_by_hand() -> None:
    await SagaTestRunner().run(undone(2))
    await SagaTestRunner(version=1).run(undone(2))
    assert seen == [("undo", True), ("undo", False)]


class Table(Saga):
    name = "table"
    version = 3

    def define(self) -> list[Any]:
        return [
            Step("reserve", self.note),
            Step("old_check", self.note, before=2),
            Step("check", self.note, since=2),
            Step("tax", self.note, since=3, depends_on=["check", "old_check"]),
            SubSaga("ship", ship_alone, depends_on=["tax", "old_check", "check"]),
        ]

    async def note(self, context: str) -> str:
        return f"{context} {since(2)}"


@saga(name="ship_alone")
async def ship_alone(context: str) -> bool:
    return since(2)


async def test_a_table_has_the_steps_of_the_version_at_which_it_began() -> None:
    def names(result: Any) -> list[str]:
        return list(result.value)

    assert names(await SagaTestRunner(version=1).run(Table, "c")) == ["reserve", "old_check", "ship"]
    assert names(await SagaTestRunner(version=2).run(Table, "c")) == ["reserve", "check", "ship"]
    latest = await SagaTestRunner().run(Table, "c")
    assert latest.value == {"reserve": "c True", "check": "c True", "tax": "c True", "ship": False}


@pytest.mark.parametrize(("since_", "before", "why"), [
    (4, None, "has version 3"), (1, 5, "has version 3"), (2, 2, "is in no run"), (0, None, "from 1 to"), (True, None, "whole"),
    ("2", None, "whole number"),
])  # fmt: skip
def test_steps_of_versions_that_can_not_be_are_refused(since_: Any, before: Any, why: str) -> None:
    class Wrong(Table):
        name = "wrong"

        def define(self) -> list[Any]:
            return [Step("reserve", self.note, since=since_, before=before)]

    with pytest.raises(DefinitionError, match=rf"test_versions.py:\d+.*{why}"):
        function_of(Wrong)


@pytest.mark.parametrize("version", [0, -1, 2**31, True, 1.0, "2", None])
def test_no_version(version: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"test_versions.py:\d+: version is .*: give a whole number"):

        @saga(version=version)
        async def one() -> None: ...


def test_since_is_for_code_of_sagas() -> None:
    with pytest.raises(UnsupportedOperation, match="saga code"):
        since(2)


async def test_since_refuses_what_is_no_version() -> None:
    @saga(name="asks")
    async def asks() -> None:
        since("2")  # type: ignore[arg-type]  # what a user may write

    result = await SagaTestRunner().run(asks)
    assert "since(): version is '2'" in (result.error or "")


def test_the_check_finds_what_no_run_has(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text("""\
import durable_saga as ds
from durable_saga import saga, since as from_version, Saga

@saga
async def plain():
    if from_version(2): pass
@ds.saga(version=3)
async def third():
    if ds.since(3) or ds.since(4): pass
@third.signal
async def hurry():
    if ds.since(5): pass
@saga(version=VERSION)
async def unknown():
    if ds.since(9): pass
class Table(Saga):
    version = 2
    def define(self): return [ds.since(2), ds.since(3)]
class Other(Base, MySaga):
    def define(self): return [ds.since(9)]
""")
    found = [(one.line, one.message.split(":")[0]) for one in check_paths([file]) if one.code == "DS021"]
    assert found == [
        (6, "since(2) is false in every run"), (9, "since(4) is false in every run"), (12, "since(5) is false in every run"),
        (18, "since(3) is false in every run"),
    ]  # fmt: skip
