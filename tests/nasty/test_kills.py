"""The table while its workers are killed with -9 at seeded moments; a kill may add attempts, and nothing else."""

from __future__ import annotations

import asyncio
import os
import pathlib
import random
from typing import Any

import pytest

from tests.nasty.entry import Entry
from tests.nasty.house import Group, House
from tests.nasty.judge import Seen, judge
from tests.nasty.pending import KILLS, WORKERS
from tests.nasty.table import ENTRIES

SEED = int(os.environ.get("KILL_SEED", "7"))
TIMES = int(os.environ.get("NASTY_KILLS", "5"))
START_SECONDS = 8.0

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries that are imported for their exceptions


def entries() -> list[Entry]:
    return [one for one in ENTRIES if one.worker == "shared" and not one.kills]


async def storm(house: House, group: Group) -> dict[str, Seen]:
    dice = random.Random(SEED)

    async def kill() -> None:
        for _ in range(TIMES):
            await asyncio.sleep(dice.uniform(0.5, 2.0))
            victim = dice.choice(group.processes)
            await asyncio.to_thread(victim.kill)  # whoever keeps the house starts it again

    killing = asyncio.create_task(kill())
    seen = await house.play(over_seconds=START_SECONDS, killed=True)
    await killing
    return seen


@pytest.fixture(scope="module")
def stormed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    folder: pathlib.Path = tmp_path_factory.mktemp("kills")
    pending = KILLS.keys() | WORKERS.keys()
    group = Group("killed", [one for one in entries() if one.name not in pending], workers=2)
    house = House(folder, [group])
    house.open()
    try:
        seen = asyncio.run(storm(house, group))
    finally:
        house.close()
    house.read_ledger(seen)
    assert group.restarts >= TIMES - 1, "the kills came while the entries were played"
    assert group.neighbours == [4] * 4, group.neighbours
    return seen


def params() -> list[Any]:
    found = []
    for entry in entries():
        reason = KILLS.get(entry.name) or WORKERS.get(entry.name)
        marks = [pytest.mark.xfail(run=False, reason=reason)] if reason else []
        found.append(pytest.param(entry, id=entry.name, marks=marks))
    return found


def is_a_matter_of_time(entry: Entry) -> bool:
    """It is cancelled or timed out at a moment: what it has done by then, and what is undone, is another thing after a kill.
    That all of it is settled is asked for all the same."""
    return entry.name == "the saga's own time-out" or any(told.verb in ("cancel", "compensate") for told in entry.told)


@pytest.mark.kill
@pytest.mark.parametrize("entry", params())
@pytest.mark.timeout(240)
def test_what_a_user_may_write_comes_out_right_while_workers_are_killed(entry: Entry, stormed: dict[str, Seen]) -> None:
    wrong = [one for one in judge(stormed[entry.name]) if not (one.startswith("undone: ") and is_a_matter_of_time(entry))]
    assert not wrong, f"again: KILL_SEED={SEED}: {wrong}"
