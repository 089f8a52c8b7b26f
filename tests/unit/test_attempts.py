"""Attempts on a real loop, with a list for a core: what is reported, and when."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from durable_saga import NotApplied, Retry, StepFunction, step, step_context
from durable_saga.clock import SystemChance, SystemClock
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import RunCompensation, RunStep
from durable_saga.worker import threads as threads_module
from durable_saga.worker.attempts import Attempts, Executor

ONCE = Retry(max_attempts=1)
SOON = Retry(max_attempts=3, initial=0.01)


class CardDeclined(Exception):
    pass


@dataclass
class Bench:
    """`answers` says what the core makes of a kind of fact."""

    attempts: Attempts = field(init=False)
    facts: list[h.Event] = field(default_factory=list)
    answers: dict[str, bool] = field(default_factory=dict)

    def report(self, event: h.Event, result: Any = None) -> bool:
        self.facts.append(event)
        return self.answers.get(str(event.WhichOneof("kind")), False)

    @property
    def kinds(self) -> list[str]:
        return [str(event.WhichOneof("kind")) for event in self.facts]

    def run(self, one: StepFunction[..., Any], *args: Any, attempt: int = 1) -> None:
        self.attempts.start(RunStep("1", one.definition, args, {}, attempt, retry=one.definition.retry))

    def undo(self, one: StepFunction[..., Any], **kwargs: Any) -> None:
        assert one.definition.compensation is not None
        self.attempts.start(RunCompensation("1", one.definition.compensation, (), kwargs, 1))

    async def until(self, count: int, seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while len(self.facts) < count:
                await asyncio.sleep(0.005)


def play(act: Callable[[Bench], Awaitable[None]], concurrency: int = 4, step_timeout_ms: int = 0) -> Bench:
    bench = Bench()

    async def go() -> None:
        executor = Executor(concurrency, SystemClock(), Retry(), SystemChance(), step_timeout_ms)
        key = h.RunKey(namespace="n", saga="s", run=1)
        bench.attempts = Attempts(executor, key, b"i" * 16, 1, bench.report, lambda: False)
        try:
            await act(bench)
        finally:
            bench.attempts.cancel_all()
            executor.close()

    asyncio.run(go())
    return bench


def outcome(one: StepFunction[..., Any], *args: Any) -> h.Event:
    async def act(bench: Bench) -> None:
        bench.run(one, *args)
        await bench.until(1)

    return play(act).facts[0]


NASTY: list[BaseException] = [
    SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("mine"), StopIteration(1), BaseException("b"),
]  # fmt: skip


@pytest.mark.parametrize("error", NASTY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_async", [True, False])
def test_whatever_a_step_raises_is_a_failed_attempt(error: BaseException, is_async: bool) -> None:
    @step(retry=ONCE)
    async def on_the_loop() -> None:
        raise error

    @step(retry=ONCE)
    def in_a_thread() -> None:
        raise error

    event = outcome(on_the_loop if is_async else in_a_thread)
    assert event.WhichOneof("kind") == "step_failed"
    named = event.step_failed.failure.type.rpartition(".")[2]
    assert named == ("RuntimeError" if is_async and isinstance(error, StopIteration) else type(error).__name__)


def test_a_step_that_cancels_its_own_task_has_failed() -> None:
    @step(retry=ONCE)
    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    assert outcome(cancels_itself).step_failed.failure.type == "asyncio.exceptions.CancelledError"


def test_a_result_that_does_not_fit_fails_once_and_its_value_is_kept() -> None:
    @step(retry=SOON)
    async def price() -> float:
        return Decimal("9.90")  # type: ignore[return-value]

    failed = outcome(price).step_failed
    assert failed.attempt == 1
    assert failed.failure.type == "durable_saga.errors.ResultRejected"
    assert "step price returned a value of type decimal.Decimal, its annotation is float" in failed.failure.message
    assert failed.result.data


def test_a_result_that_cannot_be_journaled_fails_once() -> None:
    @step(retry=SOON)
    async def handle() -> Any:
        return object()

    failed = outcome(handle).step_failed
    assert failed.failure.type == "durable_saga.errors.ResultRejected"
    assert not failed.HasField("result")


def test_the_result_of_a_compensation_is_nobodys_concern() -> None:
    @step
    async def book() -> None: ...

    @book.compensation
    async def unbook() -> Any:
        return object()

    async def act(bench: Bench) -> None:
        bench.undo(book)
        await bench.until(1)

    assert play(act).kinds == ["compensation_completed"]


def test_a_predicate_that_raises_leaves_the_rest_of_the_policy() -> None:
    def broken(error: BaseException) -> bool:
        raise KeyError("no")

    @step(retry=Retry(max_attempts=2, initial=0.01, retry_if=broken))
    async def fails() -> None:
        raise ValueError("x")

    failure = outcome(fails).step_attempt_failed.failure
    assert (failure.type, list(failure.notes)) == (
        "builtins.ValueError", ["its retry_if raised KeyError: the rest of the policy decided"],
    )  # fmt: skip


def test_an_error_that_proves_that_nothing_happened_says_so() -> None:
    @step(retry=ONCE, not_applied=CardDeclined)
    async def charge() -> None:
        raise CardDeclined

    assert outcome(charge).step_failed.failure.not_applied


def test_an_async_step_that_blocks_its_loop_has_timed_out() -> None:
    @step(retry=ONCE, timeout=0.05)
    async def blocks() -> int:
        time.sleep(0.2)  # noqa: ASYNC251  # it is what a user does
        return 1

    async def act(bench: Bench) -> None:
        bench.run(blocks)
        await bench.until(2)

    bench = play(act)
    assert bench.kinds == ["step_failed", "step_completed"]  # the late one only matters to what undoes it
    assert bench.facts[0].step_failed.failure.type == "durable_saga.errors.StepTimedOut"


def test_an_async_step_that_swallows_its_cancellation_has_timed_out() -> None:
    @step(retry=ONCE, timeout=0.05)
    async def swallows() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                pass

    assert outcome(swallows).step_failed.failure.type == "durable_saga.errors.StepTimedOut"


def test_hung_threads_do_not_keep_other_steps_from_running() -> None:
    gate = threading.Event()

    @step(retry=ONCE, timeout=0.05)
    def hangs() -> None:
        gate.wait(30)

    @step(retry=ONCE)
    def healthy() -> int:
        return 1

    async def act(bench: Bench) -> None:
        for call in range(4):
            bench.attempts.start(RunStep(f"9.{call}", hangs.definition, (), {}, 1, retry=ONCE))
        await bench.until(4)
        bench.run(healthy)
        await bench.until(5)
        gate.set()

    assert play(act, concurrency=2).kinds == ["step_failed"] * 4 + ["step_completed"]


def test_beyond_the_bound_plain_steps_wait_for_a_thread_and_their_time_does_not_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads_module, "HUNG_THREADS_MAX", 1)
    gate = threading.Event()

    @step(retry=ONCE, timeout=0.05)
    def hangs() -> None:
        gate.wait(30)

    @step(retry=ONCE, timeout=0.5)
    def healthy() -> int:
        return 1

    async def act(bench: Bench) -> None:
        bench.attempts.start(RunStep("9", hangs.definition, (), {}, 1, retry=ONCE))
        await bench.until(1)
        bench.run(healthy)
        await asyncio.sleep(0.7)
        assert len(bench.facts) == 1
        gate.set()
        await bench.until(3)

    assert sorted(play(act).kinds) == ["step_completed", "step_completed", "step_failed"]


def test_an_attempt_that_never_began_is_proven_unexecuted_and_never_runs() -> None:
    ran: list[int] = []
    gate = asyncio.Event()

    @step(retry=ONCE)
    async def first() -> None:
        await gate.wait()

    @step(retry=ONCE)
    def second() -> None:
        ran.append(1)

    async def act(bench: Bench) -> None:
        bench.attempts.start(RunStep("9", first.definition, (), {}, 1, retry=ONCE))
        bench.run(second)
        await asyncio.sleep(0.02)
        bench.attempts.cancel("1")
        await bench.until(1)
        gate.set()
        await bench.until(2)

    bench = play(act, concurrency=1)
    assert (bench.facts[0].step_failed.call, bench.facts[0].step_failed.failure.not_applied, ran) == ("1", True, [])


def test_a_plain_step_that_ends_while_it_is_cancelled_tells_its_result_before_it_is_undone() -> None:
    gate = threading.Event()
    undone: list[Any] = []

    @step(retry=ONCE)
    def charge() -> str:
        gate.wait(30)
        return "payment"

    @charge.compensation
    def refund(result: str | None) -> None:
        undone.append(result)

    async def act(bench: Bench) -> None:
        bench.answers["step_completed"] = True
        bench.run(charge)
        await asyncio.sleep(0.05)
        bench.attempts.cancel("1")
        bench.undo(charge, result=None)
        await asyncio.sleep(0.05)
        assert not undone
        gate.set()
        await bench.until(1)
        bench.undo(charge, result="payment")  # the core's new one
        await bench.until(2)

    bench = play(act)
    assert (bench.kinds, undone) == (["step_completed", "compensation_completed"], ["payment"])


def test_a_step_in_a_thread_learns_that_it_is_cancelled() -> None:
    @step(retry=ONCE, timeout=0.05)
    def asks() -> None:
        while not step_context().cancelled:
            time.sleep(0.005)
        raise NotApplied("stopped in time")

    async def act(bench: Bench) -> None:
        bench.run(asks)
        await bench.until(2)

    bench = play(act)
    assert [event.step_failed.failure.not_applied for event in bench.facts] == [False, True]


def test_a_step_can_be_made_to_raise_when_it_is_cancelled() -> None:
    ended: list[str] = []

    @step(retry=ONCE)
    def works() -> None:
        try:
            while True:
                time.sleep(0.005)
                step_context().raise_if_cancelled()
        except asyncio.CancelledError as error:
            ended.append(str(error))

    async def act(bench: Bench) -> None:
        bench.run(works)
        await asyncio.sleep(0.05)
        bench.attempts.cancel("1")
        await bench.until(1)

    play(act)
    assert ended == ["the attempt was cancelled"]


def test_a_failed_attempt_has_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @step(retry=SOON)
    async def charge() -> None:
        raise ConnectionError("no bank")

    with caplog.at_level(logging.WARNING):
        outcome(charge)
    assert "builtins.ConnectionError: no bank; saga s: step charge (call 1) failed in attempt 1; it is tried" in caplog.text
    assert "it is tried again in 0.0 s" in caplog.text


def test_a_compensation_that_has_failed_for_long_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @step
    async def book() -> None: ...

    @book.compensation
    async def unbook() -> None:
        raise ConnectionError("no bank")

    async def act(bench: Bench) -> None:
        assert book.definition.compensation is not None
        since_ms = SystemClock().now_ms() - 3_600_000
        bench.attempts.start(RunCompensation("1", book.definition.compensation, (), {}, 40, failing_since_ms=since_ms))
        await bench.until(1)

    play(act)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "failing for 3600 s" in caplog.text
