"""The engine, with crashes, against the reference interpreter: effects, compensations, results and the final status."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from durable_saga import codec
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import RunStep
from durable_saga.testing.driver import Attempt, Driver, Ended, Message
from durable_saga.testing.faults import Faults
from tests.hypothesis_profile import examples
from tests.laws.reference import Reference
from tests.laws.sagas import Program, definition_of, outcome_of, sagas, undo_outcome

Seen = list[tuple[Any, ...]]


def made(effect: Attempt, log: Seen) -> Ended:
    label = int(effect.args[0])
    try:
        if isinstance(effect, RunStep):
            log.append(("do", label, effect.attempt))
            return Ended(outcome_of(label, effect.args[1], effect.attempt))
        log.append(("undo", label, effect.attempt, effect.kwargs.get("result")))
        undo_outcome(effect.args[-1], effect.attempt)
        return Ended()
    except Exception as error:
        return Ended(error=error)


def by_label(effect: Attempt) -> tuple[int, int]:
    return effect.not_before_ms, int(effect.args[0])


def engine(
    program: Program, faults: Faults, timeout_ms: int, hold: bool, early: list[str], late: list[str]
) -> tuple[Driver, Seen]:
    driver = Driver(
        definition_of(timeout_ms, hold), (program,), faults=faults, order=by_label, messages_before_timers=False,
        early=[Message(name, (place,)) for place, name in enumerate(early)],
        messages=[Message(name, (place,)) for place, name in enumerate(late, len(early))],
    )  # fmt: skip
    log: Seen = []
    attempts = driver.play()
    try:
        effect = next(attempts)
        while True:
            effect = attempts.send(made(effect, log))
    except StopIteration:
        return driver, log


def result_of(journal: list[h.Event]) -> Any:
    end = journal[-1]
    return codec.decode(end.saga_ended.result.data) if end.saga_ended.result.data else None


def once_each(log: Seen) -> Seen:
    """A crash repeats attempts; what counts is the first of each."""
    return list(dict.fromkeys(log))


crashes = st.frozensets(st.integers(1, 30), max_size=5)
names = st.lists(st.sampled_from("xy"), max_size=3)


@settings(max_examples=examples(500))
@given(
    program=sagas, crash_at=crashes, lose_at=crashes, cancel_after=st.none() | st.integers(0, 15),
    timeout_ms=st.sampled_from([0, 0, 3, 2_000, 40_000]), hold=st.booleans(), early=names, late=names,
)  # fmt: skip
def test_the_engine_does_what_the_reference_does_whatever_crashes(
    program: Program, crash_at: frozenset[int], lose_at: frozenset[int], cancel_after: int | None, timeout_ms: int, hold: bool,
    early: list[str], late: list[str],
) -> None:  # fmt: skip
    wanted = Reference(program, cancel_after=cancel_after, timeout_ms=timeout_ms, hold=hold, early=early, late=late).run()
    faults = Faults(crash_at, lose_at, {}, cancel_after)
    driver, log = engine(program, faults, timeout_ms, hold, early, late)
    assert (driver.status, once_each(log)) == (wanted.status, wanted.log)
    if wanted.status == "COMPLETED":
        assert result_of(driver.journal) == wanted.value
    event(wanted.status)
    if not driver.core.ended:
        driver.core.discard()
