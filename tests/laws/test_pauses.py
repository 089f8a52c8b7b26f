"""The laws of pauses, over random saga programs: nothing begins in a pause, and a pause changes nothing but the time."""

from __future__ import annotations

import random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from durable_saga.pb import history_pb2 as h
from durable_saga.replay import Core
from durable_saga.replay.history import INTENTS
from tests.hypothesis_profile import examples
from tests.laws.doubt import unsettled
from tests.laws.pauses import KEY, World
from tests.laws.programs import Program, programs, programs_with_once, run_program

seeds = st.integers(0, 2**32)


def lived(
    program: Program, seed: int, *, stop_clocks: bool = False, cancels: bool = False, retries: bool = False
) -> World:  # fmt: skip
    return World(run_program, (program,), random.Random(seed), stop_clocks, cancels, retries=retries).run()


def copies(events: list[h.Event]) -> list[h.Event]:
    return [h.Event.FromString(event.SerializeToString()) for event in events]


def replayed(events: list[h.Event]) -> Core:
    core = Core(run_program.definition, KEY)
    core.replay(events)
    return core


@settings(max_examples=examples(200))
@given(programs, seeds, st.booleans(), st.booleans(), st.booleans())
def test_no_attempt_begins_between_a_pause_and_its_resume(
    program: Program, seed: int, stop_clocks: bool, cancels: bool, retries: bool
) -> None:
    world = lived(program, seed, stop_clocks=stop_clocks, cancels=cancels, retries=retries)
    assert world.wrong == []
    assert unsettled(world.journal) == []


@settings(max_examples=examples(200))
@given(programs, seeds, st.booleans(), st.booleans(), st.booleans(), st.data())
def test_a_replay_cut_anywhere_gives_the_same_events_again(
    program: Program, seed: int, stop_clocks: bool, cancels: bool, retries: bool, data: st.DataObject
) -> None:
    journal = lived(program, seed, stop_clocks=stop_clocks, cancels=cancels, retries=retries).journal
    cut = data.draw(st.integers(1, len(journal)))
    core = replayed(copies(journal[:cut]))
    added = [event.SerializeToString() for event in core.take().events]
    assert added == [event.SerializeToString() for event in journal[cut : cut + len(added)]]
    core.discard()


@settings(max_examples=examples(200))
@given(programs, seeds)
def test_without_its_pauses_a_history_holds_the_same_intents(program: Program, seed: int) -> None:
    journal = lived(program, seed).journal
    assume(not _cancels_what_was_kept_back(journal))
    plain = [event for event in copies(journal) if event.WhichOneof("kind") not in ("pause_requested", "resume_requested")]
    for place, event in enumerate(plain):
        event.seq = place
    core = replayed(plain)
    assert core.take().events == []
    assert core.status == plain[-1].saga_ended.status


@settings(max_examples=examples(200))
@given(programs_with_once, seeds, st.booleans())
def test_no_attempt_that_ended_is_made_again_however_often_somebody_retries_now(
    program: Program, seed: int, cancels: bool
) -> None:
    world = World(run_program, (program,), random.Random(seed), cancels=cancels, retries=True).run()
    assert world.wrong == []
    assert unsettled(world.journal) == []
    ended = [outcome for event in world.journal if (outcome := _attempt_of(event)) is not None]
    assert len(ended) == len(set(ended))
    for kind, call, attempt in set(world.done):
        cut_off = world.crashes + 1
        assert world.done.count((kind, call, attempt)) <= cut_off, f"{kind} {call} attempt {attempt}"


@settings(max_examples=examples(150))
@given(programs_with_once, seeds)
def test_an_at_most_once_step_that_a_pause_kept_back_is_not_taken_for_cut_off(program: Program, seed: int) -> None:
    world = World(run_program, (program,), random.Random(seed), pauses_max=6).run()
    assert world.wrong == []
    careful = {event.step_scheduled.call for event in world.journal if event.step_scheduled.at_most_once}
    for call in careful:
        assert world.done.count(("do", call, 1)) <= 1


def _attempt_of(event: h.Event) -> tuple[str, str, int] | None:
    kind = str(event.WhichOneof("kind"))
    if not hasattr(body := getattr(event, kind), "attempt"):
        return None
    return kind.partition("_")[0], body.call, body.attempt


def _cancels_what_was_kept_back(journal: list[h.Event]) -> bool:
    """Known not to have begun, though its intent stands in an earlier activation."""
    activation, scheduled = 0, dict[str, int]()
    for event in journal:
        activation += str(event.WhichOneof("kind")) not in INTENTS
        if event.HasField("step_scheduled"):
            scheduled[event.step_scheduled.call] = activation
        if event.step_cancelled.never_started and scheduled[event.step_cancelled.call] != activation:
            return True
    return False
