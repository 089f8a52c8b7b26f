"""When the storm is to blame for an order that was undone, and how a history is shown after it."""

from __future__ import annotations

import pytest

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.interruptions import INTERRUPTIONS_MAX
from tests.chaos.histories import INTERRUPTED, in_short, was_cut_off

CUT = p.Failure(type=INTERRUPTED, message="cut off")


def history(*, cuts: int = INTERRUPTIONS_MAX, failure: p.Failure = CUT) -> list[h.Event]:
    """A step that is cut off every ten seconds, and then given up."""
    events = [
        h.Event(saga_started=h.SagaStarted(saga_type="order")),
        h.Event(step_scheduled=h.StepScheduled(call="1", name="charge")),
        *(
            h.Event(step_attempt_failed=h.StepAttemptFailed(call="1", attempt=one, failure=CUT, interrupted=True))
            for one in range(1, cuts)
        ),
        h.Event(step_failed=h.StepFailed(call="1", attempt=cuts, failure=failure)),
        h.Event(unwind_started=h.UnwindStarted(failure=failure)),
    ]
    for number, event in enumerate(events):
        event.seq, event.time_ms = number, number * 10_000
    return events


BLOWS = [(10_000 * number + 3_000, 10_000 * number + 4_000) for number in range(1, 7)]


def test_the_storm_is_to_blame_where_it_struck_before_each_interruption() -> None:
    assert was_cut_off(history(), BLOWS)
    assert not was_cut_off(history(), [*BLOWS[:2], *BLOWS[3:]]), "the third interruption is nobody's"
    assert not was_cut_off(history(), [])


@pytest.mark.parametrize("cuts", [2, INTERRUPTIONS_MAX - 1])
def test_fewer_interruptions_than_it_takes_are_a_bug_of_the_engine(cuts: int) -> None:
    assert not was_cut_off(history(cuts=cuts), BLOWS)


def test_what_failed_otherwise_is_no_excuse() -> None:
    assert not was_cut_off(history(failure=p.Failure(type="shop.Declined")), BLOWS)
    assert not was_cut_off(history()[:-1], BLOWS), "it was not undone at all"


def test_a_history_in_short_says_when_what_and_why() -> None:
    lines = in_short(history()).splitlines()
    assert lines[1].split() == ["10.0", "s", "1", "step_scheduled", "1", "charge"]
    assert lines[2].endswith(f"step_attempt_failed 1 attempt 1 interrupted {INTERRUPTED}: cut off")
