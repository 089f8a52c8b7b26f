"""`explore` passes a saga that is right, and finds each of the planted mistakes, with the shortest schedule in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_saga.testing import SagaTestRunner, ScheduleFailed
from tests.unit import shop as w


def explored(saga: Any, context: Any) -> Any:
    return asyncio.run(SagaTestRunner().explore(saga, context, setup=w.fresh, invariant=w.whole_or_undone))


@pytest.mark.parametrize("saga", [w.right, w.undone_at_the_same_time], ids=lambda one: one.definition.name)
def test_a_saga_that_is_right_holds_under_every_schedule(saga: Any) -> None:
    found = explored(saga, "order")
    assert found.complete
    assert found.schedules > 100


@pytest.mark.parametrize("mistake", list(w.FAULTY))
def test_t4_every_planted_mistake_is_found_with_the_shortest_schedule_in_words(mistake: str) -> None:
    saga, context, words = w.FAULTY[mistake]
    with pytest.raises(ScheduleFailed, match=words) as caught:
        explored(saga, context)
    assert len(caught.value.faults) <= 1, "each of these shows with one fault at most"
    assert "the shortest schedule that shows it" in str(caught.value)


def test_a_schedule_can_be_repeated() -> None:
    with pytest.raises(ScheduleFailed) as caught:
        explored(w.forgotten_compensation, "order")
    world = w.fresh()
    result = asyncio.run(SagaTestRunner().run_with(caught.value.faults, w.forgotten_compensation, "order"))
    with pytest.raises(AssertionError, match="charged 1"):
        w.whole_or_undone(world, result)


def test_exploring_is_bounded_and_says_how_far_it_is() -> None:
    said: list[str] = []
    runner = SagaTestRunner()
    explore = runner.explore(w.right, "order", setup=w.fresh, invariant=w.whole_or_undone, schedules_max=120, say=said.append)
    found = asyncio.run(explore)
    assert found.schedules == 120
    assert not found.complete
    assert said == ["50 schedules tried, all held", "100 schedules tried, all held"]
