"""L2 by hand: what is in doubt is undone before any end, handlers are let finish, and a message that is bad harms nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga import (
    NotApplied,
    Retry,
    SagaFunction,
    compensation,
    continue_as_new,
    event,
    on_failure,
    pivot,
    saga,
    scope,
    step,
)
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import Core, RunCompensation
from durable_saga.testing import SagaResult, SagaTestRunner
from tests.laws.doubt import unsettled
from tests.unit.by_hand import Hand

ONCE = Retry(max_attempts=1)


def noted(ledger: list[str]) -> Any:
    """A step `charge` and its compensation over one ledger: "late" and "bad" fail, "never" proves that it did nothing."""

    @step(retry=ONCE)
    async def charge(account: str) -> str:
        if account == "never":
            raise NotApplied(account)
        ledger.append(account)
        if account in ("late", "bad"):
            raise TimeoutError(account)
        return f"paid by {account}"

    @charge.compensation
    async def refund(account: str, result: str | None) -> None:
        ledger.append(f"-{account}" + ("" if result is None else f" ({result})"))

    return charge


def play(one: SagaFunction[..., Any], *args: Any) -> SagaResult:
    return asyncio.run(SagaTestRunner().run(one, *args))


def kinds(result: SagaResult) -> list[str]:
    return [str(one.WhichOneof("kind")) for one in result._events]


def test_a_failure_that_the_saga_caught_is_settled_before_it_completes() -> None:
    ledger: list[str] = []
    charge = noted(ledger)

    @saga
    async def pay() -> str:
        try:
            return str(await charge("late"))
        except TimeoutError:
            return str(await charge("a"))

    result = play(pay)
    assert (result.status, result.value) == ("completed", "paid by a")
    assert ledger == ["late", "a", "-late"]
    assert kinds(result)[-4:] == ["settling_started", "compensation_scheduled", "compensation_completed", "saga_ended"]
    assert unsettled(result._events) == []


def test_what_is_proven_not_to_have_happened_is_not_settled() -> None:
    ledger: list[str] = []
    charge = noted(ledger)

    @saga
    async def pay() -> None:
        for account in ("never", "a"):
            try:
                await charge(account)
            except NotApplied:
                pass

    assert play(pay).status == "completed"
    assert ledger == ["a"]


def test_the_pivot_passes_what_stands_and_leaves_what_is_in_doubt_to_be_settled() -> None:
    ledger: list[str] = []
    charge = noted(ledger)

    @saga
    async def pay() -> None:
        await charge("a")
        try:
            await charge("late")
        except TimeoutError:
            pivot()

    assert play(pay).status == "completed"
    assert ledger == ["a", "late", "-late"]


def test_a_saga_that_continues_as_new_settles_first() -> None:
    ledger: list[str] = []
    charge = noted(ledger)

    @saga
    async def pay(round_number: int) -> str:
        if round_number == 2:
            return "done"
        try:
            await charge("late")
        except TimeoutError:
            pass
        return str(await continue_as_new(2))

    result = play(pay, 1)
    assert result.status in ("continued", "completed")
    assert ledger == ["late", "-late"]


def test_a_step_may_ask_to_be_left_in_doubt() -> None:
    ledger: list[str] = []
    charge = noted(ledger)
    charge.definition.in_doubt_leave = True

    @saga
    async def pay() -> None:
        try:
            await charge("late")
        except TimeoutError:
            pass

    result = play(pay)
    assert result.status == "completed"
    assert ledger == ["late"]


def test_a_condition_is_asked_with_the_error_of_the_step_itself() -> None:
    asked: list[str] = []

    @step(retry=ONCE)
    async def charge() -> None:
        raise TimeoutError("mine")

    def wanted(error: BaseException) -> bool:
        asked.append(str(error))
        return False

    @charge.compensation
    @compensation(when=wanted)
    async def refund() -> None:
        asked.append("undone")

    @saga
    async def pay() -> None:
        try:
            await charge()
        except TimeoutError:
            pass

    result = play(pay)
    assert result.status == "completed"
    assert set(asked) == {"mine"}
    assert "compensation_skipped" in kinds(result)


def test_the_loser_of_a_race_and_a_dropped_task_are_settled() -> None:
    hand = Hand()
    charge = noted([])

    @saga
    async def pay() -> str:
        dropped = asyncio.create_task(charge("dropped"))
        loser, winner = asyncio.create_task(charge("loser")), asyncio.create_task(charge("winner"))
        await asyncio.wait([loser, winner], return_when=asyncio.FIRST_COMPLETED)
        loser.cancel()
        assert not dropped.done()
        return str(await winner)

    hand.start(pay)
    hand.complete("winner", "won")
    assert hand.status == h.RUNNING
    assert hand.undoing() == ["loser"]
    hand.undone("loser")
    assert hand.undoing() == ["dropped"]
    hand.undone("dropped")
    assert hand.status == h.COMPLETED
    assert unsettled(hand.journal) == []


def test_a_result_that_comes_after_the_cancel_reaches_the_compensation() -> None:
    hand = Hand()
    charge = noted([])

    @saga
    async def pay() -> None:
        task = asyncio.create_task(charge("slow"))
        await charge("quick")
        task.cancel()

    hand.start(pay)
    hand.complete("quick", "done")
    assert hand.compensation("slow").kwargs == {"result": None}
    assert hand.complete("slow", "answered after all")
    assert hand.compensation("slow").kwargs == {"result": "answered after all"}
    assert hand.revived().compensation("slow").kwargs == {"result": "answered after all"}
    hand.undone("slow")
    assert hand.status == h.COMPLETED
    assert not hand.complete("slow", "again")


def test_a_cancelled_attempt_that_proves_to_have_done_nothing_is_not_undone() -> None:
    hand = Hand()
    charge = noted([])

    @saga
    async def pay() -> None:
        task = asyncio.create_task(charge("slow"))
        await charge("quick")
        task.cancel()

    hand.start(pay)
    hand.complete("quick", "done")
    failure = p.Failure(type="durable_saga.errors.NotApplied", not_applied=True)
    assert hand.feed(h.Event(step_failed=h.StepFailed(call=hand.call("slow"), attempt=1, failure=failure)))
    assert hand.status == h.COMPLETED
    assert unsettled(hand.journal) == []


def test_what_settles_can_be_stuck_and_a_word_completes_the_saga_with_its_result() -> None:
    hand = Hand()
    charge = noted([])

    @saga
    async def pay() -> str:
        try:
            await charge("late")
        except Exception:
            return "went on"
        return ""

    hand.start(pay)
    hand.fail("late")
    hand.feed(h.Event(compensation_stuck=h.CompensationStuck(call=hand.call("late"), attempt=1)))
    assert hand.status == h.COMPENSATION_STUCK
    hand.feed(h.Event(cancel_requested=h.CancelRequested(message_id="c")))
    assert hand.status == h.COMPENSATION_STUCK
    word = h.CompensationDecided(message_id="m", call=hand.call("late"), verb=h.CompensationDecided.RESOLVE, note="by hand")
    hand.feed(h.Event(compensation_decided=word))
    assert hand.status == h.COMPLETED
    assert hand.journal[-1].saga_ended.result.data == hand.journal[hand.find("settling_started")].settling_started.result.data
    assert unsettled(hand.journal) == []


def test_a_handler_at_work_is_let_finish_before_the_end() -> None:
    hand = Hand()
    charge = noted([])

    @saga
    async def wallet() -> str:
        return str(await event("close", type=str))

    @wallet.signal
    async def top_up(account: str) -> None:
        await charge(account)

    hand.start(wallet)
    hand.signal("top_up", "a")
    hand.signal("close", "bye")
    assert hand.status == h.RUNNING
    hand.signal("top_up", "too late")
    hand.complete("a", "paid")
    assert hand.status == h.COMPLETED
    end = hand.journal[-1].saga_ended
    assert list(end.unread) == ["message-3"]
    assert hand.find("settling_started") == -1


def test_a_handler_that_fails_undoes_what_it_did_and_the_saga_goes_on() -> None:
    ledger: list[str] = []
    charge = noted(ledger)
    undone: list[str] = []

    async def note(what: str) -> None:
        undone.append(what)

    @saga
    async def wallet() -> str:
        await charge("own")
        return str(await event("close", type=str))

    @wallet.signal
    async def top_up(account: str) -> None:
        on_failure(note, "handler")
        async with scope("inner"):
            await charge("in scope")
        await charge(account)

    hand = Hand()
    hand.start(wallet)
    hand.complete("own", "paid")
    hand.signal("top_up", "bad")
    hand.complete("in scope", "paid")
    hand.fail("bad")
    assert hand.undoing() == ["bad"]
    hand.undone("bad")
    hand.undone("in scope")
    hand.undone("handler")
    rejected = hand.journal[hand.find("signal_rejected")].signal_rejected
    assert (rejected.message_id, rejected.name) == ("message-1", "top_up")
    hand.signal("close", "bye")
    assert hand.status == h.COMPLETED
    assert unsettled(hand.journal) == []


@pytest.mark.parametrize("value", [["not", "text"], {"a": 1}, None])
def test_a_message_that_does_not_fit_is_rejected_and_who_waits_waits_on(value: Any) -> None:
    @saga
    async def waits() -> int:
        return int(await event("number", type=int))

    hand = Hand()
    hand.start(waits)
    hand.signal("number", value)
    assert hand.journal[hand.find("signal_rejected")].signal_rejected.message_id == "message-1"
    assert hand.status == h.RUNNING
    hand.signal("number", 7)
    assert hand.status == h.COMPLETED


def test_a_step_without_await_fails_the_saga_and_names_the_line() -> None:
    ledger: list[str] = []
    charge = noted(ledger)

    @saga
    async def pay() -> None:
        await charge("a")
        charge("b")

    result = play(pay)
    assert result.status == "compensated"
    assert "charge() was called but never awaited" in (result.error or "")
    assert f"{__file__}:{pay.definition.function.__code__.co_firstlineno + 3}" in (result.error or "")
    assert ledger == ["a", "-a (paid by a)"]


def test_a_child_saga_without_await_fails_the_saga() -> None:
    @saga
    async def child() -> None: ...

    @saga
    async def parent() -> None:
        child()  # type: ignore[unused-coroutine]  # the case

    result = play(parent)
    assert result.status == "failed"
    assert "child() was called but never awaited" in (result.error or "")


def test_calls_that_are_closed_or_cancelled_before_they_began_are_no_fault() -> None:
    charge = noted([])

    @saga
    async def pay() -> str:
        asyncio.create_task(charge("a")).cancel()
        charge("b").close()
        return "well"

    result = play(pay)
    assert (result.status, result.value) == ("completed", "well")


def test_the_runner_and_a_core_agree_on_the_events_of_a_settled_saga() -> None:
    ledger: list[str] = []
    charge = noted(ledger)

    @saga
    async def pay() -> None:
        try:
            await charge("late")
        except TimeoutError:
            pass

    journal = asyncio.run(SagaTestRunner().run(pay))._events
    for cut in range(1, len(journal)):
        core = Core(pay.definition, h.RunKey(namespace="n", saga="s", run=1))
        core.replay(journal[:cut])
        output = core.take()
        assert [one.SerializeToString() for one in output.events] == [
            one.SerializeToString() for one in journal[cut : cut + len(output.events)]
        ]
        assert all(isinstance(one, RunCompensation) for one in output.effects) or cut < 3
        core.discard()
