"""The models hold, and each of their broken variants is refuted: `make model` does it for larger cases, with the traces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.model.cases import BROKEN
from tests.model.commits import Commits
from tests.model.explore import Machine, Step, explore
from tests.model.wakes import Wakes


class Counter:
    """Counts up by one or two; three is a hole without a way on, eight is forbidden, seven a good end."""

    initial = 0

    def __init__(self, *, hole: bool, top: int) -> None:
        self._hole = hole
        self._top = top

    def steps(self, state: int) -> Iterator[Step]:
        if state == 3 and self._hole:
            yield Step("a fault, out of the hole", 7, fault=True)
        elif state < self._top:
            yield Step("one", state + 1)
            yield Step("two", min(state + 2, self._top))

    def broken(self, state: int) -> str:
        return "G2: eight" if state == 8 else ""

    def is_good_end(self, state: int) -> bool:
        return state == 7


def test_the_first_violation_has_a_shortest_trace() -> None:
    found = explore(Counter(hole=False, top=9))
    assert found.violation == "G2: eight"
    assert found.trace == ("two", "two", "two", "two")


def test_a_state_that_only_a_fault_leads_out_of_is_found() -> None:
    found = explore(Counter(hole=True, top=7))
    assert found.violation.startswith("G7")
    assert len(found.trace) == 2


def test_a_machine_without_a_violation_is_walked_whole() -> None:
    told: list[int] = []
    found = explore(Counter(hole=False, top=7), tell=lambda states, depth: told.append(states))
    assert (found.violation, found.states, told[-1]) == ("", 8, 8)


def test_more_states_than_the_limit_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="states_max"):
        explore(Counter(hole=False, top=7), states_max=5)


@pytest.mark.parametrize(
    ("machine", "states"),
    [
        (Commits(timeouts=1, signals=0), 18_386),
        (Commits(timeouts=1, crashes=0), 1_966),
        (Commits(timeouts=2, crashes=0, signals=0), 3_134),
    ],
    ids=["no signal", "no crash", "two time-outs"],
)
def test_the_commit_protocol_keeps_its_promises_in_every_state(machine: Machine[Any], states: int) -> None:
    found = explore(machine)
    assert not found.violation, str(found)
    assert found.states == states, "the model has changed: docs/commit-model.md and this figure change with it"


def test_hints_bring_somebody_to_a_run_in_every_state() -> None:
    found = explore(Wakes(crashes=0))
    assert not found.violation, str(found)
    assert found.states == 28_530, "the model has changed: docs/commit-model.md and this figure change with it"


@pytest.mark.parametrize("name", [name for name in BROKEN if not name.startswith("logs")])  # those: test_logs.py
def test_a_broken_variant_is_refuted_by_the_promise_that_it_breaks(name: str) -> None:
    machine, promise = BROKEN[name]
    found = explore(machine)
    assert found.violation.startswith(f"{promise}:"), str(found)
    assert found.trace
