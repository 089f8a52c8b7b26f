"""What a hook around a step may do: run it several times, late, not at all, or raise after it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga import NotApplied, Retry, Saga, SagaState, SagaStep, Step, scope, sleep
from durable_saga.errors import DefinitionError
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.testing import SagaResult, SagaTestRunner

undone: list[Any] = []
outcomes: list[Any] = []


class Base(Saga):
    """Charges as its outcomes say, then fails if its context is true."""

    name = "hooked"
    retry = Retry(max_attempts=1)

    def define(self) -> list[SagaStep]:
        return [Step("charge", self.charge, self.refund), Step("end", self.end)]

    def charge(self, context: bool) -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    def refund(self, context: bool, result: str | None) -> None:
        undone.append(result)

    def end(self, context: bool) -> None:
        if context:
            raise NotApplied("no")

    async def hook(self, run: Any) -> Any:
        return await run()

    async def execute_step(self, name: str, context: bool, state: SagaState) -> Any:
        inner = super().execute_step
        return await (self.hook(lambda: inner(name, context, state)) if name == "charge" else inner(name, context, state))


class ThreeTimes(Base):
    async def hook(self, run: Any) -> Any:
        for _ in range(2):
            try:
                await run()
            except (ConnectionError, NotApplied):
                await sleep(1)
        return await run()


class AtTheSameTime(Base):
    async def hook(self, run: Any) -> Any:
        return await asyncio.gather(run(), run(), run())


class InScopes(Base):
    async def hook(self, run: Any) -> Any:
        for _ in range(2):
            try:
                async with scope("try"):
                    await run()
                    raise KeyError("once more")
            except KeyError:
                pass
        return await run()


class Never(Base):
    async def hook(self, run: Any) -> Any:
        return "instead"


class Late(Base):
    async def hook(self, run: Any) -> Any:
        await sleep(3600)
        return await asyncio.create_task(run())


class Catches(Base):
    async def hook(self, run: Any) -> Any:
        try:
            return await run()
        except ConnectionError:
            return "caught"


class RaisesAfter(Base):
    async def hook(self, run: Any) -> Any:
        await run()
        raise ValueError("too late")


DOWN, DECLINED = ConnectionError("no answer"), NotApplied("declined")


def play(kind: type[Saga], fails: bool, *of: Any) -> SagaResult:
    undone.clear()
    outcomes[:] = of
    return asyncio.run(SagaTestRunner().run(kind, fails))


@pytest.mark.parametrize(
    ("kind", "of", "expected"),
    [
        (ThreeTimes, (DOWN, DOWN, "c"), ["c"]),
        (ThreeTimes, (DOWN, DOWN, DOWN), [None]),
        (ThreeTimes, ("a", "b", "c"), ["c"]),
        (ThreeTimes, ("a", "b", DOWN), ["b"]),
        (ThreeTimes, (DOWN, "b", DECLINED), ["b"]),
        (ThreeTimes, (DOWN, DECLINED, DECLINED), [None]),
        (ThreeTimes, (DECLINED, DECLINED, DECLINED), []),
        (ThreeTimes, (DECLINED, DECLINED, "c"), ["c"]),
        (AtTheSameTime, ("a", "b", "c"), ["c"]),
        (InScopes, ("a", "b", "c"), ["a", "b", "c"]),
        (Never, (), []),
        (Late, ("a",), ["a"]),
        (Catches, ("a",), ["a"]),
        (Catches, (DOWN,), [None]),
        (RaisesAfter, ("a",), ["a"]),
    ],
)
def test_d7_what_a_hook_ran_is_undone_once_for_what_may_have_happened(kind: type[Saga], of: Any, expected: Any) -> None:
    result = play(kind, True, *of)
    assert result.status == ("compensated" if expected else "failed")
    assert undone == expected


def test_d7_a_step_that_was_tried_thrice_and_succeeded_stays() -> None:
    result = play(ThreeTimes, False, DOWN, DOWN, "c")
    assert result.status == "completed"
    assert result.value["charge"] == "c"
    assert undone == []
    assert play(Never, False).value["charge"] == "instead"


def test_d7_an_older_history_that_undoes_each_call_still_replays() -> None:
    journal = play(ThreeTimes, True, DOWN, "b", "c")._events
    place = next(n for n, one in enumerate(journal) if one.HasField("unwind_started"))
    calls = [one.step_scheduled.call for one in journal if one.step_scheduled.compensation]
    older = journal[: place + 1]
    older[place].unwind_started.pending[:] = calls
    older.append(h.Event(compensation_scheduled=h.CompensationScheduled(call=calls[-1], name="refund")))
    older[-1].seq, older[-1].time_ms = place + 1, older[place].time_ms
    core = Core(journal_definition(), h.RunKey(namespace="test", saga="saga", run=1))
    core.replay(older)
    undoing = []
    while not core.ended:
        for effect in core.take().effects:
            undoing.append(effect.call)
            done = h.CompensationCompleted(call=effect.call, attempt=1)
            core.feed(h.Event(compensation_completed=done), older[-1].time_ms)
    assert undoing == calls[::-1]


def journal_definition() -> Any:
    from durable_saga.declared.compiled import function_of

    return function_of(ThreeTimes).definition


def test_d7_a_hook_must_be_async() -> None:
    class Plain(Base):
        def execute_step(self, name: str, context: bool, state: SagaState) -> Any:
            return None

    with pytest.raises(DefinitionError, match=r"test_execute_step.py:\d+: execute_step\(\) is not async"):
        play(Plain, True)
