"""The laws of the replay core, over random saga programs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core, RunStep
from tests.hypothesis_profile import examples
from tests.laws.doubt import unsettled
from tests.laws.driver import Driver
from tests.laws.programs import Program, programs, programs_with_once, programs_with_signals, run_program

KEY = h.RunKey(namespace="n", saga="s", run=1)


def replayed(events: list[h.Event]) -> Core:
    core = Core(run_program.definition, KEY)
    core.replay(events)
    return core


def outline(core: Core) -> list[tuple[str, str, int]]:
    return [(type(one).__name__, one.call, getattr(one, "attempt", 0)) for one in core.take().effects]


@settings(max_examples=examples(150))
@given(programs)
def test_every_program_ends_and_leaves_nothing_undecided(program: Program) -> None:
    driver = Driver(run_program, (program,)).run()
    assert driver.status in {"COMPLETED", "COMPENSATED", "FAILED"}
    assert driver.kinds[-1] == "saga_ended"
    assert driver.kinds.count("saga_ended") == 1
    assert unsettled(driver.journal) == []
    if driver.status == "COMPLETED" and "settling_started" not in driver.kinds:
        assert "compensation_scheduled" not in driver.kinds


@settings(max_examples=examples(100))
@given(programs, st.data())
def test_replaying_any_prefix_gives_the_same_events_again(program: Program, data: st.DataObject) -> None:
    journal = Driver(run_program, (program,)).run().journal
    cut = data.draw(st.integers(1, len(journal)))
    core = replayed([h.Event.FromString(event.SerializeToString()) for event in journal[:cut]])
    added = [event.SerializeToString() for event in core.take().events]
    assert added == [event.SerializeToString() for event in journal[cut : cut + len(added)]]
    core.discard()


@settings(max_examples=examples(100))
@given(programs, st.data())
def test_replay_of_a_replay_changes_nothing(program: Program, data: st.DataObject) -> None:
    journal = Driver(run_program, (program,)).run().journal
    cut = data.draw(st.integers(1, len(journal)))
    first = replayed(journal[:cut])
    whole = [*journal[:cut], *first.take().events]
    second, third = replayed(whole), replayed(whole)
    assert second.take().events == []
    assert second.status == third.status == first.status
    assert outline(replayed(whole)) == outline(replayed(whole))
    for core in (first, second, third):
        core.discard()


@settings(max_examples=examples(150))
@given(programs, st.sets(st.integers(1, 25), max_size=6), st.sets(st.integers(1, 25), max_size=6))
def test_crashes_at_commits_change_neither_outcome_nor_compensations(
    program: Program, crash_at: set[int], lose_at: set[int]
) -> None:
    straight = Driver(run_program, (program,)).run()
    crashed = Driver(run_program, (program,), crash_at=crash_at, lose_at=lose_at).run()
    assert crashed.status == straight.status
    assert crashed.kinds == straight.kinds
    assert set(crashed.effects) == set(straight.effects)
    assert unsettled(crashed.journal) == []


@settings(max_examples=examples(150))
@given(programs, st.integers(0, 12), st.sets(st.integers(1, 12), max_size=4))
def test_a_cancelled_saga_undoes_every_committed_intent_that_may_have_happened(
    program: Program, cancel_after: int, crash_at: set[int]
) -> None:
    driver = Driver(run_program, (program,), cancel_after=cancel_after, crash_at=crash_at).run()
    assert unsettled(driver.journal) == []
    if driver.status == "COMPLETED":
        return
    registered, cleared, undone = set(), set(), set()
    for event in driver.journal:
        if event.HasField("step_scheduled") and event.step_scheduled.compensation:
            registered.add(event.step_scheduled.call)
        if event.HasField("compensation_registered"):
            registered.add(event.compensation_registered.call)
        if event.HasField("step_cancelled") and event.step_cancelled.never_started:
            cleared.add(event.step_cancelled.call)
        if event.HasField("step_failed") and event.step_failed.failure.not_applied:
            cleared.add(event.step_failed.call)
        if event.HasField("compensation_completed"):
            assert event.compensation_completed.call not in undone
            undone.add(event.compensation_completed.call)
    assert undone == registered - cleared


@settings(max_examples=examples(80))
@given(programs)
def test_no_effect_starts_before_its_intent_is_in_the_journal(program: Program) -> None:
    journal = Driver(run_program, (program,)).run().journal
    for cut in range(1, len(journal) + 1):
        core = replayed(journal[:cut])
        output = core.take()
        scheduled = {e.step_scheduled.call for e in [*journal[:cut], *output.events] if e.HasField("step_scheduled")}
        assert {one.call for one in output.effects if isinstance(one, RunStep)} <= scheduled
        core.discard()


numbers = st.sets(st.integers(1, 25), max_size=6)
names = st.lists(st.sampled_from("xy"), max_size=4)


@settings(max_examples=examples(150))
@given(programs_with_signals, names, names, numbers, numbers, st.none() | st.integers(0, 12))
def test_signals_and_cancels_behave_the_same_with_a_crash_at_every_commit(
    program: Program, early: list[str], late: list[str], crash_at: set[int], lose_at: set[int], cancel_after: int | None
) -> None:
    straight = Driver(run_program, (program,), early=early, late=late, cancel_after=cancel_after).run()
    crashed = Driver(
        run_program, (program,), early=early, late=late, cancel_after=cancel_after, crash_at=crash_at, lose_at=lose_at
    ).run()
    assert crashed.status == straight.status
    assert crashed.kinds == straight.kinds
    assert set(crashed.effects) == set(straight.effects)
    assert crashed.journal[-1].saga_ended == straight.journal[-1].saga_ended


@settings(max_examples=examples(150))
@given(programs_with_once, numbers)
def test_an_at_most_once_step_happens_at_most_once_whatever_crashes(program: Program, crash_at: set[int]) -> None:
    crashed = Driver(run_program, (program,), crash_at=crash_at).run()
    careful = {event.step_scheduled.call for event in crashed.journal if event.step_scheduled.at_most_once}
    for call in careful:
        assert crashed.effects.count(("do", call)) <= 1
    for event in crashed.journal:
        if event.HasField("step_completed") and event.step_completed.call in careful:
            assert ("do", event.step_completed.call) in crashed.effects
