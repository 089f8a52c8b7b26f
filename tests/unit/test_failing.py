"""What the log says of failures: where, what, which attempt, what follows; and one line for a flood."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from durable_saga import Retry, step
from durable_saga.failures.failures import failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.log_fields import CONTEXT
from durable_saga.replay import RunStep
from durable_saga.worker import failing
from durable_saga.worker.failing import FOLD_SECONDS, FOLDED_KINDS_MAX, FOLDED_SAGAS_MAX, FailureLog, place_in

NOW_MS = 1_000_000


class Down(Exception):
    pass


@step(retry=Retry(max_attempts=3))
def charge(amount: int) -> None:
    raise Down("the bank is closed\nuntil Monday")


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.log = FailureLog(lambda: self.now)

    def fail(self, saga: str, error: Exception | None = None, *, attempt: int = 1, again_ms: int = 1_500) -> None:
        try:
            if error is not None:
                raise error
            charge.definition.function(1)
        except Exception as found:
            failure = failure_from_exception(found)
        if again_ms:
            event = h.Event(
                step_attempt_failed=h.StepAttemptFailed(
                    call="1", attempt=attempt, failure=failure, retry_at_ms=NOW_MS + again_ms
                )
            )
        else:
            event = h.Event(step_failed=h.StepFailed(call="1", attempt=attempt, failure=failure))
        effect = RunStep("1", charge.definition, (1,), {}, attempt)
        self.log.attempt(h.RunKey(namespace="n", saga=saga, run=2), "order", effect, event, NOW_MS)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    handler = Lines()
    failing.log.addHandler(handler)
    yield handler.records
    failing.log.removeHandler(handler)


def test_a_failed_attempt_is_one_warning_with_the_users_line_first(lines: list[logging.LogRecord]) -> None:
    Bench().fail("o-1", attempt=2)
    (line,) = lines
    assert line.levelno == logging.WARNING
    text = line.getMessage()
    assert text.startswith(f"{__file__}:{charge.definition.function.__code__.co_firstlineno + 2} in charge: ")
    assert "Down: the bank is closed; " in text
    assert "until Monday" not in text
    assert text.endswith("saga o-1: step charge (call 1) failed in attempt 2; it is tried again in 1.5 s")
    assert {name: getattr(line, name) for name in CONTEXT} == {
        "saga": "o-1", "run": 2, "saga_type": "order", "step": "charge", "attempt": 2,
    }  # fmt: skip


def test_the_last_attempt_says_that_it_is_the_last(lines: list[logging.LogRecord]) -> None:
    Bench().fail("o-1", attempt=3, again_ms=0)
    assert lines[0].getMessage().endswith("failed in attempt 3; it is not tried again")


def test_a_flood_is_a_line_at_once_and_one_a_minute_with_the_count(lines: list[logging.LogRecord]) -> None:
    bench = Bench()
    for number in range(501):
        bench.fail(f"o-{number}", attempt=number)
        bench.now += 0.1
        bench.log.look()
    assert len(lines) == 1
    bench.now = FOLD_SECONDS
    bench.log.look()
    first, second = (line.getMessage() for line in lines)
    assert "such failure" not in first
    assert second.endswith(
        "attempt 500; it is tried again in 1.5 s; 500 such failures since the last line 60 s ago, of sagas o-1, o-2,"
        " o-3, o-4, o-5 and others"
    )
    assert FOLDED_SAGAS_MAX == 5
    bench.fail("o-1")
    bench.now += FOLD_SECONDS
    bench.log.look()
    bench.now += FOLD_SECONDS
    bench.log.look()
    bench.fail("o-2")
    assert [line.getMessage().rpartition("; ")[2] for line in lines[2:]] == [
        "1 such failure since the last line 60 s ago, of sagas o-1", "it is tried again in 1.5 s",
    ]  # fmt: skip


def test_another_error_another_step_and_a_last_attempt_are_lines_of_their_own(lines: list[logging.LogRecord]) -> None:
    bench = Bench()
    for _ in range(3):
        bench.fail("o-1")
        bench.fail("o-1", TypeError("no"))
        bench.fail("o-1", again_ms=0)
    assert len(lines) == 3
    bench.log.close()
    assert [line.getMessage().rpartition("; ")[2] for line in lines[3:]] == [
        "2 such failures since the last line 0 s ago, of sagas o-1"
    ] * 3


def test_what_is_counted_is_bounded_and_nothing_is_lost(lines: list[logging.LogRecord]) -> None:
    bench = Bench()
    kinds = [type(f"E{number}", (Exception,), {}) for number in range(FOLDED_KINDS_MAX + 1)]
    for kind in [kinds[0], *kinds]:
        bench.fail("o-1", kind("x"))
    assert len(bench.log._kinds) == FOLDED_KINDS_MAX
    assert "; 1 such failure since" in lines[-1].getMessage()
    assert "E0" in lines[-1].getMessage()


def test_each_line_of_a_flood_is_there_in_detail(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, failing.__name__)
    bench = Bench()
    for number in range(3):
        bench.fail(f"o-{number}")
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]


def test_an_error_of_the_engine_is_placed_where_its_cause_was_raised_or_at_the_step(lines: list[logging.LogRecord]) -> None:
    timed_out = TimeoutError("it took longer than 1 s")
    Bench().fail("o-1", timed_out)
    assert lines[0].getMessage().startswith(__file__)
    cause = h.Event().step_failed.failure
    cause.cause.traceback = 'Traceback\n  File "a.py", line 3, in f\n  File "b.py", line 4, in g.<locals>.h\n'
    assert place_in(cause) == "b.py:4 in g.<locals>.h"
    cause.cause.traceback = ""
    assert place_in(cause) == ""
