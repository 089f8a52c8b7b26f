"""The engine, with crashes, against the reference interpreter: effects, compensations, results and the final status."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from durable_saga import codec
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import RunStep
from durable_saga.testing.driver import Attempt, Driver, Ended, Message
from durable_saga.testing.faults import Faults
from tests.hypothesis_profile import examples
from tests.laws.doubt import unsettled
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
    programs: list[Program], faults: Faults, timeout_ms: int, hold: bool, early: list[str], late: list[str]
) -> tuple[Driver, Seen]:
    driver = Driver(
        definition_of(timeout_ms, hold, programs[1:]), (programs[0],), faults=faults, order=by_label,
        messages_before_timers=False,
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
names = st.lists(st.sampled_from("xyh"), max_size=3)


@settings(max_examples=examples(1500))
@given(
    programs=sagas, crash_at=crashes, lose_at=crashes, cancel_after=st.none() | st.integers(0, 15),
    timeout_ms=st.sampled_from([0, 0, 3, 2_000, 40_000]), hold=st.booleans(), early=names, late=names,
)  # fmt: skip
def test_the_engine_does_what_the_reference_does_whatever_crashes(
    programs: list[Program], crash_at: frozenset[int], lose_at: frozenset[int], cancel_after: int | None, timeout_ms: int,
    hold: bool, early: list[str], late: list[str],
) -> None:  # fmt: skip
    assume(timeout_ms != 3 or not (crash_at or lose_at))  # an attempt that a crash repeats takes a millisecond
    wanted = Reference(
        programs[0], cancel_after=cancel_after, timeout_ms=timeout_ms, hold=hold, early=early, late=late, handled=programs[1:]
    ).run()
    faults = Faults(crash_at, lose_at, {}, cancel_after)
    driver, log = engine(programs, faults, timeout_ms, hold, early, late)
    assert (driver.status, once_each(log)) == (wanted.status, wanted.log)
    if wanted.status == "COMPLETED":
        assert result_of(driver.journal) == wanted.value
    assert unsettled(driver.journal) == []
    event(wanted.status + (", settled" if "settling_started" in driver.kinds else ""))
    if not driver.core.ended:
        driver.core.discard()
