"""The real engine under the simulation: many seeds hold every promise, a seed repeats itself, planted bugs are found."""

from __future__ import annotations

import inspect
import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.simulation import pinned
from tests.simulation.__main__ import play, play_plan
from tests.simulation.planted import BUGS, BUGS_OF_DEPLOYS, Bug

SEEDS = 40
SEEDS_PER_TEST = 10
SEEDS_OF_DEPLOYS = 15
FOUND_BY_SEED = {
    120: "a server took a worker for the owner of a run that it had ended by way of another server",
    148: "a signal that was sent again was read again, since the saga had continued twice meanwhile",
    389: "the first run of a chain was kept, since nobody heard that its last run was purged",
    1478: "a server took a worker for the owner of a run that had ended while the server looked it up",
    283: "an assignment that came late replaced a newer one of the same run, and its worker dropped both",
}


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_PER_TEST))
@pytest.mark.timeout(300)
def test_every_promise_holds(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        violation = play(seed).violation
        assert not violation, f"{violation}; again: make simulate SEEDS=1 SEED={seed} VERBOSE=1"


@pytest.mark.parametrize("first", range(0, SEEDS_OF_DEPLOYS, 5))
@pytest.mark.timeout(300)
def test_every_promise_holds_where_a_deploy_has_changed_the_code_of_running_sagas(first: int) -> None:
    for seed in range(first, first + 5):
        violation = play(seed, deploys=True).violation
        assert not violation, f"{violation}; again: python -m tests.simulation --deploys --verbose --seed {seed}"


@pytest.mark.parametrize("bug", BUGS_OF_DEPLOYS, ids=lambda bug: bug.name)
@pytest.mark.timeout(300)
def test_a_planted_bug_of_the_unwind_from_the_journal_is_found(bug: Bug) -> None:
    assert is_found(bug, deploys=True)


@pytest.mark.parametrize("seed", FOUND_BY_SEED)
def test_what_a_seed_has_found_stays_mended(seed: int) -> None:
    assert not play(seed).violation


@pytest.mark.parametrize("seed", [7, 21])
def test_a_seed_gives_the_same_log_in_every_process(seed: int) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--verbose", "--seed", str(seed)]
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
            parameters = inspect.signature(right).parameters.values()
            named = {one.name: None for one in parameters if one.kind is one.KEYWORD_ONLY}
            inspect.signature(broken).bind(*[None] * (len(parameters) - len(named)), **named)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
@pytest.mark.timeout(300)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    assert is_found(bug)


def is_found(bug: Bug, *, deploys: bool = False) -> bool:
    """In worlds of its own plan, if it has one, else in the worlds of seeds."""
    if pinned.path_of(bug.name).exists():
        plans = ((world, pinned.read(bug.name)) for world in range(pinned.WORLDS))
        with bug.planted():
            return any(play_plan(world, plan).violation for world, plan in plans)
    with bug.planted():
        return any(play(seed, deploys=deploys).violation for seed in range(bug.first, bug.first + bug.seeds_max))


@pytest.mark.parametrize("file", sorted(pinned.PLANS.glob("*.json")), ids=lambda file: file.stem)
def test_a_plan_in_which_a_bug_is_found_breaks_nothing_without_the_bug(file: pathlib.Path) -> None:
    assert file in [pinned.path_of(bug.name) for bug in [*BUGS, *BUGS_OF_DEPLOYS]]
    assert not play_plan(0, pinned.from_value(json.loads(file.read_text()))).violation
