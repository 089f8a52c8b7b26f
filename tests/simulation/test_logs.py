"""The real engine with its commits in logs: many seeds hold every promise, and each broken variant of the protocol is found."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

from tests.simulation import log_clients
from tests.simulation.__main__ import play
from tests.simulation.planted import Bug
from tests.simulation.planted_logs import BUGS

SEEDS = 20
SEEDS_PER_TEST = 10
CROWDS = 60


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_PER_TEST))
@pytest.mark.timeout(300)
def test_every_promise_holds_with_logs(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        violation = play(seed, has_logs=True).violation
        assert not violation, f"{violation}; again: make simulate SEEDS=1 SEED={seed} VERBOSE=1 COMMITS=log"


@pytest.mark.timeout(300)
def test_clients_that_go_straight_to_the_journals_find_nothing_wrong() -> None:
    for seed in range(CROWDS):
        violation = log_clients.play(seed)
        assert not violation, f"seed {seed}: {violation}"


def test_a_seed_gives_the_same_log_in_every_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--verbose", "--seed", "8", "--commits", "log"]
    logs = {
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True).stdout
        for salt in ("1", "2")
    }
    assert len(logs) == 1


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_takes_what_it_is_planted_for_takes(bug: Bug) -> None:
    """Otherwise its TypeError is found, and not the bug."""
    for owner, name, broken in bug.places:
        if callable(right := owner.__dict__[name]):
            parameters = [one for one in inspect.signature(right).parameters.values() if one.kind is not one.VAR_POSITIONAL]
            named = {one.name: None for one in parameters if one.kind is one.KEYWORD_ONLY}
            inspect.signature(broken).bind(*[None] * (len(parameters) - len(named)), **named)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
@pytest.mark.timeout(300)
def test_a_broken_variant_of_the_logs_is_found(bug: Bug) -> None:
    with bug.planted():
        assert any(log_clients.play(seed) for seed in range(bug.first, bug.first + bug.seeds_max)), (
            f"{bug.name}: not in {bug.seeds_max} seeds"
        )
