"""The log protocol keeps its promises in every state of small cases; each broken variant is refuted in as many steps as told.

`make model` has the larger cases; docs/commit-model.md has the figures of both.
"""

from __future__ import annotations

import pytest

from tests.model.explore import explore
from tests.model.log_cases import broken, holds
from tests.model.log_state import VARIANTS
from tests.model.replicas import Facts, acknowledged, read_first, read_second

STATES = {
    "a take-over of a living owner": 2_335,
    "the same with a crash": 4_129,
    "a message": 4_417,
}


@pytest.mark.parametrize("name", STATES)
def test_the_log_protocol_keeps_its_promises_in_every_state(name: str) -> None:
    found = explore(holds(name))
    assert not found.violation, str(found)
    assert found.states == STATES[name], "the model has changed: docs/commit-model.md and this figure change with it"


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant])
def test_a_broken_log_protocol_is_refuted_in_the_steps_that_are_told(variant: str) -> None:
    promise, steps = VARIANTS[variant]
    found = explore(broken(variant))
    assert found.violation.startswith(f"{promise}:"), str(found)
    assert len(found.trace) == steps, str(found)


def test_what_a_quorum_holds_every_quorum_read_shows() -> None:
    facts = Facts()
    row, mark = facts.bit(("rows", 0), 1), facts.bit(("reading",), 0)
    for held in acknowledged((0, 0, 0), row):
        assert sum(one == row for one in held) == 2
        for first, seen in read_first(held, frozenset(), row, mark):
            for after, both in read_second(first, frozenset(), row, mark, seen, repairs=False):
                assert both == row
                assert not any(one & mark for one in after)


def test_what_one_replica_holds_a_quorum_read_may_miss_and_repairs_when_it_does_not() -> None:
    facts = Facts()
    row, mark = facts.bit(("rows", 0), 1), facts.bit(("reading",), 0)
    found = set()
    for first, seen in read_first((0, 0, row), frozenset(), row, mark):
        for after, both in read_second(first, frozenset(), row, mark, seen, repairs=True):
            found.add((both, sum(one == row for one in after)))
    assert found == {(0, 1), (row, 2)}


def test_a_batch_arrives_whole_or_not_at_all() -> None:
    facts = Facts()
    one, other = facts.bit(("rows", 0), 1), facts.bit(("rows", 1), 1)
    mark = facts.bit(("reading",), 0)
    for replicas, _ in read_first((0, 0, 0), frozenset({one | other}), one, mark):
        assert {held & ~mark for held in replicas} <= {0, one | other}
