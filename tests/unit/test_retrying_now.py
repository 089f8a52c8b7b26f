"""Back-offs that somebody ends, in the core: what begins, what a take-over knows of it, and what is left alone."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga import Retry, SagaFunction, codec, saga, step
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import DETERMINISM_RULES
from durable_saga.replay import Core, RetryNow, RunCompensation, RunStep
from durable_saga.replay.interruptions import tell_interruptions
from durable_saga.replay.retrying import Retrying

START_MS = 1_700_000_000_000
KEY = h.RunKey(namespace="n", saga="s", run=1)
RETRY = h.Event(retry_requested=h.RetryRequested(message_id="r", who="ann", reason="the bank is back"))
FAILURE = p.Failure(type="builtins.OSError", message="not yet")


@step(retry=Retry(max_attempts=5, initial=3600))
async def pays(name: str) -> None: ...


@pays.compensation(retry=Retry(initial=3600))
async def unpays(name: str) -> None: ...


@saga
async def two_payments() -> None:
    await asyncio.gather(pays("a"), pays("b"))


@saga
async def pays_and_fails() -> None:
    await pays("a")
    raise ValueError("no")


class Run:
    """A run by hand: whatever the core asks for is committed at once."""

    def __init__(self, saga: SagaFunction[..., Any], journal: list[h.Event] | None = None) -> None:
        started = h.SagaStarted(
            saga_type=saga.definition.name, input=p.Payload(data=codec.encode_call((), {}, where="input")), seed=b"s" * 16,
            rules=DETERMINISM_RULES,
        )  # fmt: skip
        self.saga = saga
        self.journal = journal or [h.Event(seq=0, time_ms=START_MS, saga_started=started)]
        self.core = Core(saga.definition, KEY)
        self.core.replay(self.journal)
        self.take()

    def take(self) -> list[Any]:
        output = self.core.take()
        self.journal += output.events
        self.effects = list(output.effects)
        return self.effects

    def feed(self, event: h.Event, after_ms: int = 0) -> bool:
        wanted = self.core.feed(h.Event.FromString(event.SerializeToString()), START_MS + after_ms)
        self.take()
        return wanted

    def fails(self, call: str, attempt: int, retry_after_ms: int) -> None:
        failed = h.StepAttemptFailed(call=call, attempt=attempt, failure=FAILURE, retry_at_ms=START_MS + retry_after_ms)
        self.feed(h.Event(step_attempt_failed=failed))

    def times(self) -> dict[str, int]:
        """Before which those that are to begin don't."""
        return {one.call: one.not_before_ms for one in self.effects if isinstance(one, RunStep | RunCompensation)}

    def revived(self) -> Run:
        return Run(self.saga, list(self.journal))


def call_of(run: Run, number: int) -> str:
    return [event.step_scheduled.call for event in run.journal if event.HasField("step_scheduled")][number]


def test_all_that_wait_begin_and_what_is_under_way_is_left_alone() -> None:
    run = Run(two_payments)
    first, second = call_of(run, 0), call_of(run, 1)
    run.fails(first, 1, 3_600_000)
    assert run.feed(RETRY, 1_000)
    assert run.effects == [RetryNow([(first, 2)])]
    assert run.revived().times() == {first: 0, second: 0}


def test_a_second_one_or_one_without_anything_that_waits_is_not_recorded() -> None:
    run = Run(two_payments)
    assert not run.feed(RETRY)
    run.fails(call_of(run, 0), 1, 3_600_000)
    assert run.feed(RETRY)
    assert not run.feed(RETRY)
    assert sum(event.HasField("retry_requested") for event in run.journal) == 1


def test_who_takes_over_knows_that_the_attempt_may_have_begun() -> None:
    run = Run(two_payments)
    call = call_of(run, 0)
    run.fails(call, 1, 3_600_000)
    run.feed(RETRY, 1_000)
    other = run.revived()
    tell_interruptions(other.core, START_MS + 2_000)
    other.take()
    cut_off = [event.step_attempt_failed for event in other.journal if event.step_attempt_failed.interrupted]
    assert (call, 2) in [(one.call, one.attempt) for one in cut_off]


def test_a_compensation_that_waits_begins_and_one_that_is_not_due_is_known_by_the_next_back_off() -> None:
    run = Run(pays_and_fails)
    call = call_of(run, 0)
    run.feed(
        h.Event(step_completed=h.StepCompleted(call=call, attempt=1, result=p.Payload(data=codec.encode(None, where="r"))))
    )
    failed = h.CompensationAttemptFailed(call=call, attempt=1, failure=FAILURE, retry_at_ms=START_MS + 3_600_000)
    run.feed(h.Event(compensation_attempt_failed=failed))
    assert run.feed(RETRY, 10)
    assert run.effects == [RetryNow([(call, 2)])]
    again = h.CompensationAttemptFailed(call=call, attempt=2, failure=FAILURE, retry_at_ms=START_MS + 7_200_000)
    run.feed(h.Event(compensation_attempt_failed=again), 20)
    assert run.revived().times() == {call: START_MS + 7_200_000}


def test_in_a_pause_it_is_recorded_and_begins_with_the_resume() -> None:
    run = Run(two_payments)
    call = call_of(run, 0)
    run.fails(call, 1, 3_600_000)
    run.feed(h.Event(pause_requested=h.PauseRequested(message_id="p")), 10)
    assert run.feed(RETRY, 20)
    assert run.core.pausing.is_kept_back(call)
    other = run.revived()
    assert other.core.pausing.is_kept_back(call)
    other.feed(h.Event(resume_requested=h.ResumeRequested(message_id="q")), 30)
    assert not other.core.pausing.is_kept_back(call)
    assert not Retrying(other.core.tape, other.core.stack, other.core.calls).has_any
