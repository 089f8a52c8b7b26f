"""What is bounded says so, with the limit, its value and what to do."""

from __future__ import annotations

import pytest

from durable_saga.errors import LimitExceeded
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import history as bounds
from durable_saga.replay.history import History


def fill(history: History) -> None:
    for number in range(100):
        history.append(fact(number), 1)


def fact(number: int) -> h.Event:
    return h.Event(seq=number, timer_fired=h.TimerFired(due_ms=number))


def test_a_history_warns_once_at_a_fifth_and_stops_at_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "EVENTS_PER_RUN_MAX", 50)
    history = History()
    warnings = []
    for number in range(50):
        history.append(fact(number), 1)
        warnings.append(history.warning())
    assert [place for place, text in enumerate(warnings) if text] == [10]
    with pytest.raises(LimitExceeded, match="EVENTS_PER_RUN_MAX is 50"):
        history.append(fact(50), 1)


def test_a_history_stops_at_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HISTORY_BYTES_MAX", 100)
    history = History()
    with pytest.raises(LimitExceeded, match="HISTORY_BYTES_MAX is 100"):
        fill(history)
    assert history.warning()
