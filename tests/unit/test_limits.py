"""What is bounded says so, with the limit, its value and what to do."""

from __future__ import annotations

import pytest
from durable_saga_server.history import view

from durable_saga import saga, step
from durable_saga.errors import LimitExceeded
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import history as bounds
from durable_saga.replay.history import History
from durable_saga.worker.cutting import COMMIT_BYTES_MAX, cut
from tests.laws.driver import Driver


def fill(history: History) -> None:
    for number in range(100):
        history.append(fact(number), 1)


def fact(number: int) -> h.Event:
    return h.Event(seq=number, timer_fired=h.TimerFired(due_ms=number))


def test_a_history_warns_once_at_a_fifth_and_stops_at_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "EVENTS_PER_RUN_MAX", 50)
    history = History()
    warnings = []
    for number in range(50 * bounds.UNWIND_FACTOR):
        history.append(fact(number), 1)
        warnings.append(history.warning())
        assert (history.over_limit() is not None) == (number >= 49)
    assert [place for place, text in enumerate(warnings) if text] == [10]
    with pytest.raises(LimitExceeded, match="EVENTS_PER_RUN_MAX is 50"):
        history.append(fact(200), 1)


def test_a_history_stops_at_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HISTORY_BYTES_MAX", 100)
    history = History()
    with pytest.raises(LimitExceeded, match="HISTORY_BYTES_MAX is 100"):
        fill(history)
    assert history.warning()


def test_a_replay_does_not_warn_again_and_the_advice_is_continue_as_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "EVENTS_PER_RUN_MAX", 50)
    history, replayed = History(), History()
    replayed.replaying = True
    for number in range(12):
        history.append(fact(number), 1)
        replayed.count(fact(number))
    replayed.finish_replay(1)
    assert "continue_as_new" in history.warning()
    assert replayed.warning() == ""
    history.next_seq = 50
    assert "continue_as_new" in str(history.over_limit())


def test_describe_warns_from_a_fifth_of_a_limit_while_the_saga_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "EVENTS_PER_RUN_MAX", 50)

    def warning(count: int, status: int) -> str:
        seen = c.Description(next_seq=count, status=h.Status.Name(status))
        view.fold([fact(number) for number in range(count)], seen)
        return seen.warning

    assert warning(10, h.RUNNING) == ""
    assert "11 events (EVENTS_PER_RUN_MAX is 50)" in warning(11, h.RUNNING)
    assert "continue_as_new" in warning(11, h.RUNNING)
    assert warning(11, h.COMPLETED) == ""


@step
def count(number: int) -> int:
    return number


@count.compensation
def uncount(number: int) -> None: ...


@saga
async def endless() -> None:
    number = 0
    while True:
        number = await count(number + 1)


def test_a_saga_that_grows_too_long_is_unwound_and_replays_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "EVENTS_PER_RUN_MAX", 30)
    straight = Driver(endless).run()
    assert straight.status == "COMPENSATED"
    failure = next(event.unwind_started.failure for event in straight.journal if event.HasField("unwind_started"))
    assert "EVENTS_PER_RUN_MAX is 30" in failure.message
    assert straight.kinds.count("compensation_completed") == straight.kinds.count("step_scheduled") >= 14
    crashed = Driver(endless, crash_at=range(1, 60, 3)).run()
    assert crashed.kinds == straight.kinds


def test_what_came_up_at_once_is_cut_into_commits_that_journals_take() -> None:
    large = h.Event(step_completed=h.StepCompleted(call="1", result=p.Payload(data=b"x" * (COMMIT_BYTES_MAX // 3))))
    events, pieces = [large] * 7, []
    while events:
        piece, events = cut(events, COMMIT_BYTES_MAX + 1)
        pieces.append(len(piece))
    assert sum(pieces) == 7
    assert max(pieces) == 2
    assert cut([large], COMMIT_BYTES_MAX + 1) == ([large], [])
