"""The sagas of the feature list (D1 to D11, C1 to C10, E1 to E3), each with the process dying at every commit: before it
reaches the journal, and right after it. What comes of it is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable_saga.testing import Faults, SagaResult, SagaTestRunner
from tests.integration import features as f
from tests.integration import promises as g
from tests.integration import sagas as s

Case = tuple[Any, tuple[Any, ...], str]
CASES: dict[str, Case] = {
    "d1 d3 a table": (f.Chain, ({},), "completed"),
    "d1 c2 c4 c6 a table that fails": (f.Chain, ({"fails": "three"},), "compensated"),
    "d2 c9 a table that takes too long": (f.Sleepy, ({},), "compensated"),
    "d2 a step that takes too long": (g.slow_step, (), "compensated"),
    "c4 c7 a compensation that is tried again": (g.patient, (), "compensated"),
    "d4 d5 a group": (f.Grouped, ({},), "completed"),
    "d4 a group of which one fails": (f.Grouped, ({"fails": "right"},), "compensated"),
    "d6 skipped steps": (f.Tiered, ({"tier": "standard"},), "completed"),
    "d6 skipped steps in a table that fails": (f.Tiered, ({"tier": "standard", "fails": "end"},), "compensated"),
    "d7 d8 a hook that stops the saga": (f.Hooked, ({},), "compensated"),
    "d8 state": (f.keeps_state, (), "completed"),
    "d9 children": (f.parent, (True, False), "completed"),
    "d9 children undone with their parent": (f.parent, (False, True), "compensated"),
    "d9 a table in a table": (f.Outer, ({"inner_fails": "two"},), "compensated"),
    "d9 a child that is held": (g.parent_of_held, (99,), "held"),
    "d9 a child with keys": (g.parent_of_hearing, (), "completed"),
    "d10 a scope": (f.scoped, (), "completed"),
    "d11 past the pivot": (f.pivoting, (2,), "completed"),
    "d11 a mistake past the pivot": (f.pivot_then_error, (), "held"),
    "c1 on_failure": (s.registered, (), "compensated"),
    "c2 an order of its own": (f.ordered, (), "compensated"),
    "c2 all at once": (f.all_at_once, (), "compensated"),
    "c3 at once": (f.at_once, (True,), "completed"),
    "c3 at once, with the saga": (f.at_once, (False,), "compensated"),
    "c2 c3 c5 strategies of a table": (f.Strategies, ({"fails": "step4", "undo_on": "NO"},), "compensated"),
    "c5 a condition that says yes": (f.conditional, ("BUSINESS_RULE_VIOLATION",), "compensated"),
    "c5 a condition that says no": (f.conditional, ("NETWORK",), "failed"),
    "c6 a step that says not applied": (s.refused_only, (), "failed"),
    "c7 c8 c10 a compensation that uses up its policy": (g.never_undone, (), "compensation_stuck"),
    "c9 a saga that takes too long": (s.too_long, (), "compensated"),
    "r2 a policy of the saga": (f.saga_retry, (2,), "completed"),
    "e1 an event that does not come": (f.event_times_out, (), "compensated"),
    "e1 e2 e3 a table that waits": (f.Approval, ({},), "completed"),
    "e2 a table whose handler compensates": (f.Approval, ({},), "compensated"),
}
EVENTS: dict[str, tuple[str, Any]] = {
    "d8 state": ("go", "now"), "d9 a child with keys": ("paid", 5), "e1 e2 e3 a table that waits": ("approval_received", "ok"),
    "e2 a table whose handler compensates": ("approval_rejected", "no"),
}  # fmt: skip


def player(name: str) -> Callable[[Faults], SagaResult]:
    saga, args, _ = CASES[name]
    runner = SagaTestRunner()
    if name in EVENTS:
        event, data = EVENTS[name]
        runner.publish(event, data)

    def play(faults: Faults) -> SagaResult:
        s.WORLD.clear()
        s.FAILURES.clear()
        return asyncio.run(runner.run_with(faults, saga, *args))

    return play


def came_of_it(result: SagaResult) -> tuple[Any, ...]:
    """All that a person sees, and every outcome in the journal; attempts and their times may differ."""
    seen = result.overview
    outcomes = sorted(
        (kind, getattr(event, kind).call)
        for event in result._events
        if (kind := str(event.WhichOneof("kind"))).startswith("compensation_") and "attempt" not in kind
    )
    assert len(set(outcomes)) == len(outcomes), f"an outcome stands in the journal twice: {outcomes}"
    return (
        seen.status, result.value, sorted(seen.completed_steps), seen.compensated_steps, sorted(seen.skipped_steps),
        sorted(seen.stuck_steps), {key: value for key, value in seen.state.items() if key != "attempts"}, outcomes,
        seen.past_pivot,
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_process_that_dies_at_any_commit_changes_nothing_of_what_comes_of_it(name: str) -> None:
    play = player(name)
    whole = play(Faults())
    assert whole.status == CASES[name][2]
    wanted = came_of_it(whole)
    for number in range(1, whole.commits + 1):
        for faults in (Faults(crash_at=[number]), Faults(lose_at=[number])):
            assert came_of_it(play(faults)) == wanted, faults


@pytest.mark.parametrize("name", CASES)
def test_a_process_that_dies_at_every_second_commit_changes_nothing_either(name: str) -> None:
    play = player(name)
    wanted = came_of_it(play(Faults()))
    for first in (1, 2):
        assert came_of_it(play(Faults(crash_at=range(first, 60, 2), lose_at=range(first + 1, 60, 4)))) == wanted
