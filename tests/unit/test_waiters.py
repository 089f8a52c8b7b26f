"""The ends that a server remembers: for a short time, so many, and never beyond the retention."""

from __future__ import annotations

import pytest
from durable_saga_server.config import Config
from durable_saga_server.journal import Run
from durable_saga_server.runs.waiters import ENDS_BYTES_MAX, ENDS_KEPT_MS, ENDS_MAX, Waiters

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from tests.journal.stores import Clock


def end(size: int = 0) -> h.Event:
    return h.Event(saga_ended=h.SagaEnded(result=p.Payload(data=bytes(size))))


def run(number: int) -> Run:
    return Run("n", f"s{number}")


@pytest.mark.parametrize("retention_ms", [0, 60_000, 10_000])
def test_an_end_is_forgotten_after_ten_seconds_and_before_the_run_can_be_purged(retention_ms: int) -> None:
    clock = Clock()
    waiters = Waiters(clock, Config(retention_ms=retention_ms, hint_grace_ms=5_000))
    waiters.notify(run(1), end())
    kept_ms = 5_000 if retention_ms == 10_000 else ENDS_KEPT_MS
    clock.ms += kept_ms - 1
    assert waiters.end_of("n", "s1") == (run(1), end())
    clock.ms += 1
    assert waiters.end_of("n", "s1") is None


def test_so_many_ends_are_kept_and_so_many_bytes() -> None:
    waiters = Waiters(Clock(), Config())
    for number in range(ENDS_MAX + 1):
        waiters.notify(run(number), end())
    assert [waiters.end_of("n", f"s{number}") is None for number in (0, 1, ENDS_MAX)] == [True, False, False]
    for number in range(3):
        waiters.notify(run(number), end(ENDS_BYTES_MAX // 2 - 100))
    assert [waiters.end_of("n", f"s{number}") is None for number in (0, 1, 2, ENDS_MAX)] == [True, False, False, True]
    waiters.notify(run(9), end(ENDS_BYTES_MAX))
    assert waiters.end_of("n", "s9") is None


def test_who_changes_without_being_completed_leaves_no_end() -> None:
    waiters = Waiters(Clock(), Config())
    waiters.notify(run(1))
    assert waiters.end_of("n", "s1") is None


FIRST, SECOND = Run("n", "s", 1), Run("n", "s", 2)


def test_the_end_of_a_run_is_forgotten_when_its_saga_begins_again() -> None:
    waiters = Waiters(Clock(), Config())
    waiters.notify(FIRST, end())
    assert waiters.end_of("n", "s") == (FIRST, end())
    waiters.begun(SECOND)
    assert waiters.end_of("n", "s") is None


def test_what_comes_late_of_an_earlier_run_wakes_nobody() -> None:
    waiters = Waiters(Clock(), Config())
    waiters.begun(SECOND)
    with waiters.waiting("n", "s") as waiter:
        waiters.notify(FIRST, end())
        assert waiter.end is None
        assert not waiter.event.is_set()
        waiters.notify(SECOND, end())
        assert waiter.end == (SECOND, end())
    assert waiters.end_of("n", "s") == (SECOND, end())
