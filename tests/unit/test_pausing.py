"""Pauses in the core: the clocks of a saga, what is known not to have begun, holding and sticking under a pause."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga import Retry, SagaFunction, codec, continue_as_new, now, saga, signal, step
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import DETERMINISM_RULES
from durable_saga.replay import Core, Pause, Resume, RunCompensation, RunStep
from durable_saga.replay.interruptions import tell_interruptions

START_MS = 1_700_000_000_000
KEY = h.RunKey(namespace="n", saga="s", run=1)
STOP = h.Event(pause_requested=h.PauseRequested(message_id="p", who="ann", stop_clocks=True))
PAUSE = h.Event(pause_requested=h.PauseRequested(message_id="p", who="ann"))
RESUME = h.Event(resume_requested=h.ResumeRequested(message_id="r"))


@step(at_most_once=True, retry=Retry(max_attempts=3))
async def pays() -> None: ...


@pays.compensation
async def unpays() -> None: ...


@step(effect=False)
async def reads() -> None: ...


@saga
async def sleeps() -> list[float]:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(10)
    return [loop.time(), now().timestamp()]


@saga(timeout=60)
async def times_out() -> None:
    await asyncio.sleep(3_600)


@saga
async def pays_when_told() -> None:
    await signal("go", int)
    await pays()


@saga
async def naps_when_told() -> None:
    await signal("go", int)
    await asyncio.sleep(10)


@saga
async def two_timers() -> str:
    try:
        async with asyncio.timeout(30):
            await asyncio.sleep(3_600)
    except TimeoutError:
        return "over"
    return "never"


@saga(when_failed="hold")
async def held() -> None:
    await pays()


@saga
async def reads_once() -> None:
    await reads()


@saga
async def goes_on(number: int) -> None:
    await signal("go", int)
    await continue_as_new(number + 1)


class Run:
    """A core whose events are all committed; `again()` is another process."""

    def __init__(self, of: SagaFunction[..., Any], *args: Any, pause: h.PauseRequested | None = None) -> None:
        data = codec.encode_call(args, {}, where="input")
        started = h.SagaStarted(
            saga_type=of.definition.name, input=p.Payload(data=data), seed=b"s" * 16, rules=DETERMINISM_RULES,
            timeout_ms=of.definition.timeout_ms, pause=pause,
        )  # fmt: skip
        self.of, self.journal = of, [h.Event(seq=0, time_ms=START_MS, saga_started=started)]
        self.again()

    def again(self, *, interrupted_at: int = 0) -> Run:
        self.core = Core(self.of.definition, KEY)
        self.core.replay(self.journal)
        if interrupted_at:
            tell_interruptions(self.core, START_MS + interrupted_at)
        return self._take()

    def feed(self, event: h.Event, at: int = 0) -> Run:
        copy = h.Event.FromString(event.SerializeToString())
        self.wanted = self.core.feed(copy, START_MS + at)
        return self._take()

    def signal(self, at: int = 0) -> Run:
        received = h.SignalReceived(message_id=f"m{len(self.journal)}", name="go")
        received.input.data = codec.encode_message((1,), where="signal")
        return self.feed(h.Event(signal_received=received), at)

    def timer(self, at: int) -> Run:
        return self.feed(h.Event(timer_fired=h.TimerFired(due_ms=START_MS + at)), at)

    def _take(self) -> Run:
        output = self.core.take()
        self.journal += output.events
        self.effects = output.effects
        return self

    @property
    def kinds(self) -> list[str]:
        return [str(event.WhichOneof("kind")) for event in self.journal]

    @property
    def next_timer(self) -> int:
        return self.core.next_timer_ms - START_MS if self.core.next_timer_ms else 0

    @property
    def result(self) -> Any:
        return codec.decode(self.journal[-1].saga_ended.result.data, Any, where="result")


def test_timers_run_on_in_a_pause() -> None:
    run = Run(sleeps).feed(PAUSE, 2_000)
    assert run.next_timer == 10_000
    run.timer(10_000)
    assert run.core.status == h.COMPLETED


def test_clocks_that_stand_put_timers_off_by_the_length_of_the_pause() -> None:
    run = Run(sleeps).feed(STOP, 2_000)
    assert run.next_timer == 0
    run.feed(RESUME, 5_000)
    assert run.next_timer == 13_000
    assert run.again().next_timer == 13_000
    run.timer(13_000)
    loop_s, now_s = run.result
    assert (loop_s, now_s) == (START_MS / 1000 + 10, START_MS / 1000 + 13)


def test_a_timer_that_is_set_while_the_clocks_stand_counts_from_the_resume() -> None:
    run = Run(naps_when_told).feed(STOP, 2_000).signal(4_000)
    assert run.next_timer == 0
    assert run.feed(RESUME, 9_000).next_timer == 19_000
    assert run.again().next_timer == 19_000


def test_pauses_add_up_and_the_last_one_counts_for_the_clocks() -> None:
    run = Run(two_timers).feed(STOP, 1_000).feed(RESUME, 2_000)
    run.feed(STOP, 3_000).feed(PAUSE, 5_000)
    assert run.next_timer == 33_000, "the second pause let them go again"
    run.feed(STOP, 6_000).feed(STOP, 7_000).feed(RESUME, 8_000)
    assert run.next_timer == 35_000
    run.again().timer(35_000)
    assert run.result == "over"


def test_the_time_out_of_the_saga_stands_with_the_clocks() -> None:
    run = Run(times_out)
    assert run.core.deadline_ms == START_MS + 60_000
    assert run.feed(STOP, 10_000).core.deadline_ms == 0
    assert run.feed(RESUME, 30_000).core.deadline_ms == START_MS + 80_000
    assert run.again().core.deadline_ms == START_MS + 80_000
    assert Run(times_out).feed(PAUSE, 10_000).core.deadline_ms == START_MS + 60_000


def test_what_came_up_in_a_pause_is_not_taken_for_cut_off() -> None:
    run = Run(pays_when_told).feed(PAUSE).signal()
    run.again(interrupted_at=50)
    first, attempt = run.effects
    assert isinstance(first, Pause)
    assert isinstance(attempt, RunStep)
    assert (attempt.attempt, attempt.interrupted) == (1, False)
    run.feed(RESUME)
    assert [type(one) for one in run.effects] == [Resume]
    run.again(interrupted_at=100)
    (attempt,) = run.effects
    assert isinstance(attempt, RunStep)
    assert attempt.interrupted, "it may have begun after the resume"


def test_a_step_without_effects_that_a_pause_kept_back_is_not_taken_for_cut_off() -> None:
    pause = PAUSE.pause_requested
    run = Run(reads_once, pause=pause)
    run.again(interrupted_at=50)
    assert "step_attempt_failed" not in run.kinds
    run.feed(RESUME, 60).again(interrupted_at=100)
    assert "step_attempt_failed" in run.kinds


def test_what_a_pause_kept_back_is_not_undone_when_it_is_cancelled() -> None:
    cancel = h.Event(cancel_requested=h.CancelRequested(message_id="c"))
    run = Run(pays_when_told).feed(PAUSE).signal().feed(cancel)
    assert run.kinds[-3:] == ["step_cancelled", "unwind_started", "saga_ended"]
    assert run.journal[-3].step_cancelled.never_started
    assert run.core.status == h.CANCELLED
    run = Run(pays_when_told).signal().feed(PAUSE).feed(cancel)
    assert run.kinds[-1] == "compensation_scheduled", "this one may have begun before the pause"
    assert run.again().core.status == h.COMPENSATING


def test_an_attempt_that_waits_for_its_back_off_when_the_pause_comes_is_kept_back() -> None:
    run = Run(pays_when_told).signal()
    again = h.StepAttemptFailed(call="1", attempt=1, failure=p.Failure(type="E"), retry_at_ms=START_MS + 5_000)
    run.feed(h.Event(step_attempt_failed=again), 100).feed(PAUSE, 200)
    run.again(interrupted_at=60_000)
    attempt = run.effects[-1]
    assert isinstance(attempt, RunStep)
    assert (attempt.attempt, attempt.interrupted) == (2, False)


def test_a_held_saga_is_paused_recovered_and_resumed() -> None:
    run = Run(held)
    run.feed(h.Event(step_failed=h.StepFailed(call="1", attempt=1, failure=p.Failure(type="E"))))
    assert run.core.status == h.HELD
    run.feed(PAUSE)
    assert run.wanted
    run.feed(h.Event(recover_requested=h.RecoverRequested(message_id="x"))).again()
    pause, attempt = run.effects
    assert isinstance(pause, Pause)
    assert isinstance(attempt, RunStep)
    assert attempt.attempt == 2
    assert not attempt.interrupted
    assert run.feed(RESUME).core.standing.pause is None
    assert run.again(interrupted_at=10).effects, "it goes on in another process too"


def test_a_compensation_that_a_pause_keeps_back_is_no_interruption() -> None:
    cancel = h.Event(cancel_requested=h.CancelRequested(message_id="c"))
    run = Run(pays_when_told).signal()
    run.feed(h.Event(step_completed=h.StepCompleted(call="1", attempt=1, result=p.Payload(data=b"\xc0"))))
    assert run.core.status == h.COMPLETED
    run = Run(pays_when_told).signal().feed(PAUSE).feed(cancel)
    run.again(interrupted_at=50)
    assert "compensation_attempt_failed" not in run.kinds
    assert isinstance(run.effects[-1], RunCompensation)
    run.feed(RESUME).again(interrupted_at=60)
    assert "compensation_attempt_failed" in run.kinds


def test_the_next_run_is_told_of_the_pause_and_begins_so() -> None:
    run = Run(goes_on, 1).feed(STOP, 10).signal(20)
    pause = run.journal[-1].saga_ended.next.pause
    assert (pause.who, pause.stop_clocks) == ("ann", True)
    following = Run(sleeps, pause=pause)
    assert following.core.standing.is_paused
    assert following.next_timer == 0
    assert isinstance(following.effects[0], Pause)
    assert following.feed(RESUME, 7_000).next_timer == 17_000


def test_a_resume_without_a_pause_is_recorded_and_changes_nothing() -> None:
    run = Run(sleeps).feed(RESUME, 100)
    assert run.kinds[-1] == "resume_requested"
    assert run.effects == []
    assert run.again().next_timer == 10_000


@pytest.mark.parametrize("event", [PAUSE, RESUME])
def test_what_comes_after_the_end_is_of_no_interest(event: h.Event) -> None:
    assert not Run(sleeps).timer(10_000).feed(event, 11_000).wanted
