"""A step whose worker dies is counted in the journal, whichever process it kills next."""

from __future__ import annotations

import asyncio

import pytest

from durable_saga import NotApplied, Retry, SagaFunction, codec, saga, step
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import Core, RunCompensation, RunStep
from durable_saga.replay.interruptions import (
    INTERRUPTION_BACKOFF_MS,
    INTERRUPTION_BACKOFF_MS_MAX,
    INTERRUPTIONS_MAX,
    back_off_ms,
    tell_interruptions,
)

START_MS = 1_700_000_000_000


@step(retry=Retry(max_attempts=2))
async def kills(order: str) -> None: ...


@kills.compensation
async def unkill(order: str) -> None: ...


@step(effect=False)
async def reads() -> None: ...


@step(at_most_once=True)
async def pays() -> None: ...


@saga
async def poison() -> None:
    await kills("o")


@saga
async def poison_without_effect() -> None:
    await reads()


@saga
async def two_at_once() -> None:
    await asyncio.gather(kills("o"), kills("p"))


@saga
async def poison_at_most_once() -> None:
    await pays()


class Life:
    """Processes, one after the other, with one journal."""

    def __init__(self, what: SagaFunction[[], None]) -> None:
        self._definition = what.definition
        data = codec.encode_call((), {}, where="input")
        started = h.SagaStarted(saga_type=self._definition.name, input=p.Payload(data=data), seed=b"s" * 16)
        self.journal = [h.Event(seq=0, time_ms=START_MS, saga_started=started)]
        self.now_ms = START_MS
        self.begin(interrupted=False)

    def begin(self, *, interrupted: bool = True) -> None:
        self.core = Core(self._definition, h.RunKey(namespace="n", saga="s", run=1))
        self.core.replay(self.journal)
        if interrupted:
            tell_interruptions(self.core, self.now_ms)
        self.go_on()

    def feed(self, event: h.Event) -> None:
        assert self.core.feed(event, self.now_ms)
        self.go_on()

    def go_on(self) -> None:
        output = self.core.take()
        self.journal += output.events
        self.effects = output.effects
        self.now_ms = max([self.now_ms, *(e.not_before_ms for e in output.effects if isinstance(e, RunStep | RunCompensation))])

    @property
    def kinds(self) -> list[str]:
        return [str(event.WhichOneof("kind")) for event in self.journal]


def test_a_step_that_kills_its_process_fails_after_so_many_interruptions_and_is_undone() -> None:
    life = Life(poison)
    for count in range(1, INTERRUPTIONS_MAX):
        life.begin()
        (effect,) = life.effects
        assert isinstance(effect, RunStep)
        assert (effect.attempt, effect.interruptions) == (count + 1, count)
        assert effect.not_before_ms > life.journal[-1].time_ms
    life.begin()
    failed = next(event.step_failed for event in life.journal if event.HasField("step_failed"))
    assert failed.failure.type == "durable_saga.errors.StepInterrupted"
    assert [type(effect) for effect in life.effects] == [RunCompensation]


def test_the_first_back_off_is_short() -> None:
    life = Life(poison)
    life.begin()
    event = life.journal[-1]
    assert event.step_attempt_failed.interrupted
    assert event.step_attempt_failed.retry_at_ms - event.time_ms <= 1_000


def test_those_cut_off_together_begin_again_at_different_times() -> None:
    life = Life(two_at_once)
    chances = iter([0.0, 0.5])
    life.core = Core(life._definition, h.RunKey(namespace="n", saga="s", run=1))
    life.core.replay(life.journal)
    tell_interruptions(life.core, life.now_ms, random=lambda: next(chances))
    due_ms = [one.step_attempt_failed.retry_at_ms - one.time_ms for one in life.core.take().events]
    assert due_ms == [INTERRUPTION_BACKOFF_MS // 2, INTERRUPTION_BACKOFF_MS]


@pytest.mark.parametrize("interruptions", [1, 2, 3, 20])
def test_chance_makes_a_back_off_at_most_half_shorter_or_longer(interruptions: int) -> None:
    middle = back_off_ms(interruptions)
    assert back_off_ms(interruptions, 0.0) == middle // 2
    assert middle < back_off_ms(interruptions, 0.999) < middle * 1.5
    assert middle <= INTERRUPTION_BACKOFF_MS_MAX


def test_one_that_waits_for_its_next_attempt_was_not_interrupted() -> None:
    life = Life(poison)
    life.begin()
    life.now_ms = START_MS
    length = len(life.journal)
    life.begin()
    assert len(life.journal) == length


def test_a_step_without_effects_is_counted_although_its_intent_was_not_committed() -> None:
    life = Life(poison_without_effect)
    del life.journal[1:]
    life.begin()
    assert life.kinds == ["saga_started", "step_scheduled", "step_attempt_failed"]


def test_one_that_runs_at_most_once_is_not_repeated() -> None:
    life = Life(poison_at_most_once)
    life.begin()
    (effect,) = life.effects
    assert isinstance(effect, RunStep)
    assert effect.interrupted
    assert life.kinds == ["saga_started", "step_scheduled"]


def test_a_compensation_that_kills_its_process_is_counted_and_never_given_up() -> None:
    life = Life(poison)
    error = p.Failure(type="builtins.ValueError", message="no", non_retryable=True)
    life.feed(h.Event(step_failed=h.StepFailed(call="1", attempt=1, failure=error)))
    for count in range(1, 2 * INTERRUPTIONS_MAX):
        life.begin()
        (effect,) = life.effects
        assert isinstance(effect, RunCompensation)
        assert (effect.attempt, effect.interruptions) == (count + 1, count)
        assert effect.not_before_ms - life.journal[-1].time_ms <= 60_000


def test_what_no_process_had_under_way_is_not_told() -> None:
    life = Life(poison)
    life.feed(
        h.Event(step_failed=h.StepFailed(call="1", attempt=1, failure=p.Failure(type=NotApplied.__name__, not_applied=True)))
    )
    length = len(life.journal)
    life.begin()
    assert len(life.journal) == length
