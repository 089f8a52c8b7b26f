"""A compensation that has a parameter `error` gets what led to the unwind: in functions and tables, and alike in a replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga import Retry, Saga, SagaStep, Step, compensation, event, on_failure, saga, scope, step
from durable_saga.errors import DefinitionError
from durable_saga.testing import Faults, SagaResult, SagaTestRunner

ONCE = Retry(max_attempts=1)
SEEN: list[tuple[str, Any]] = []


class Declined(Exception):
    def __init__(self, card: str) -> None:
        super().__init__(f"card {card} was declined")
        self.card = card


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SEEN.clear()


def play(one: Any, *args: Any, faults: Faults | None = None) -> SagaResult:
    runner = SagaTestRunner()
    if faults is None:
        return asyncio.run(runner.run(one, *args))
    return asyncio.run(runner.run_with(faults, one, *args))


@step
async def book(hotel: str) -> str:
    return f"room in {hotel}"


@book.compensation
async def unbook(error: BaseException, hotel: str, result: str | None) -> None:
    SEEN.append((f"unbook {result} in {hotel}", error))


@step(retry=ONCE)
async def charge(card: str) -> None:
    raise Declined(card)


@charge.compensation
@compensation(strategy="immediate")
async def refund(card: str, *, error: BaseException | None = None) -> None:
    SEEN.append(("refund", error))


@saga
async def trip(card: str) -> None:
    await book("Ulm")
    on_failure(tell, "ann")
    await charge(card)


async def tell(who: str, error: Any = None) -> None:
    SEEN.append((f"tell {who}", error))


def test_it_gets_the_exception_of_the_step_with_what_it_holds() -> None:
    assert play(trip, "4711").status == "compensated"
    assert [name for name, _ in SEEN] == ["refund", "tell ann", "unbook room in Ulm in Ulm"]
    for _, error in SEEN:
        assert isinstance(error, Declined)
        assert (error.card, str(error)) == ("4711", "card 4711 was declined")


def test_a_function_of_on_failure_may_be_given_one() -> None:
    @saga
    async def gives() -> None:
        on_failure(tell, "bob", "an error of its own")
        on_failure(tell, "cid", error="another")
        raise RuntimeError("no")

    play(gives)
    assert SEEN == [("tell cid", "another"), ("tell bob", "an error of its own")]


def test_it_is_the_same_wherever_the_worker_dies() -> None:
    def invariant(result: SagaResult) -> None:
        kinds = {type(error).__name__ for _, error in SEEN}
        assert kinds <= {"Declined", "InjectedFailure", "CancelledError", "StepInterrupted"}, kinds
        assert None not in [error for _, error in SEEN]

    asyncio.run(SagaTestRunner().explore(trip, "4711", invariant=invariant, setup=None))
    SEEN.clear()
    play(trip, "4711", faults=Faults(crash_at=frozenset(range(1, 30))))
    assert {(type(error), str(error)) for _, error in SEEN} == {(Declined, "card 4711 was declined")}


def test_of_a_group_it_is_the_first_that_is_no_cancellation_and_of_a_scope_its_own() -> None:
    @step
    async def waits() -> None:
        await asyncio.sleep(10)

    @saga
    async def several() -> None:
        try:
            async with scope("hotel"):
                await book("Bonn")
                raise LookupError("no breakfast")
        except LookupError:
            pass
        await book("Ulm")
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(charge("4712"))

    play(several)
    found = [(name, type(error)) for name, error in SEEN if name.startswith("unbook")]
    assert found == [("unbook room in Bonn in Bonn", LookupError), ("unbook room in Ulm in Ulm", Declined)]


def test_of_a_cancel_it_is_the_cancellation() -> None:
    @saga
    async def waiting() -> None:
        await book("Ulm")
        await event("never")

    play(waiting, faults=Faults(cancel_after=1))
    assert [(name, type(error)) for name, error in SEEN] == [("unbook room in Ulm in Ulm", asyncio.CancelledError)]


def test_a_step_that_has_a_parameter_of_that_name_gives_its_argument() -> None:
    @step
    async def report(error: str) -> None: ...

    @report.compensation
    async def withdraw(error: str) -> None:
        SEEN.append(("withdraw", error))

    @saga
    async def reports() -> None:
        await report("E 7")
        raise RuntimeError("no")

    play(reports)
    assert SEEN == [("withdraw", "E 7")]
    with pytest.raises(TypeError, match=r"takes \(hotel, room\).*and `result` and `error` if it has them"):

        @step(compensation=lambda_like)
        async def rents(hotel: str) -> None: ...


async def lambda_like(hotel: str, room: str, error: BaseException) -> None: ...


class Table(Saga):
    name = "table_with_errors"

    def define(self) -> list[SagaStep]:
        return [
            Step("one", self.act, compensation=self.first),
            Step("two", self.act, compensation=self.second),
            Step("three", self.act, compensation=self.third),
            Step("four", self.act, compensation=self.fourth),
            Step("five", self.fail, retry=ONCE),
        ]

    async def act(self, context: str) -> str:
        return f"did {context}"

    async def fail(self, context: str) -> None:
        raise Declined(context)

    async def first(self, context: str, error: BaseException) -> None:
        SEEN.append((f"first {context}", error))

    async def second(self, context: str, result: str, error: BaseException) -> None:
        SEEN.append((f"second {context} {result}", error))

    async def third(self, context: str, error: BaseException, result: str) -> None:
        SEEN.append((f"third {context} {result}", error))

    async def fourth(self, context: str, given: str, *, error: BaseException | None = None) -> None:
        SEEN.append((f"fourth {context} {given}", error))


def test_in_a_table_it_comes_by_its_name() -> None:
    assert play(Table, "x").status == "compensated"
    assert [name for name, _ in SEEN] == ["fourth x did x", "third x did x", "second x did x", "first x"]
    assert {str(error) for _, error in SEEN} == {"card x was declined"}
    SEEN.clear()
    play(Table, "x", faults=Faults(crash_at=frozenset(range(1, 40))))
    assert {(type(error), str(error)) for _, error in SEEN} == {(Declined, "card x was declined")}


def test_in_a_table_what_is_neither_result_nor_error_is_refused() -> None:
    class Wrong(Table):
        name = "wrong_table"

        async def first(self, context: str, error: BaseException, result: str, more: str) -> None:  # type: ignore[override]
            ...

    with pytest.raises(DefinitionError, match=r"compensation of step 'one' takes \(context, error, result, more\)"):
        play(Wrong, "x")


def test_a_mock_gets_it_too() -> None:
    runner = SagaTestRunner()
    runner.mock_step("unbook", lambda **given: SEEN.append(("mock", given["error"])))
    asyncio.run(runner.run(trip, "4711"))
    assert isinstance(dict(SEEN)["mock"], Declined)
