"""The table on SQLite, with real workers: most entries share one; those that would end or freeze theirs have others."""

from __future__ import annotations

import asyncio
import pathlib
from dataclasses import dataclass
from typing import Any

import pytest

from tests.nasty import ledger
from tests.nasty.entry import Entry
from tests.nasty.house import Group, House
from tests.nasty.judge import Seen, judge
from tests.nasty.pending import WORKERS
from tests.nasty.table import ENTRIES

HUNG_THREADS = 4
APPS = {"shared": "tests.nasty.table:SAGAS", "dies": "tests.nasty.dying:SAGAS", "freezes": "tests.nasty.dying:SAGAS"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries that are imported for their exceptions


@dataclass
class Played:
    house: House
    seen: dict[str, Seen]
    codes: dict[str, int]


def groups() -> list[Group]:
    found = []
    for worker, app in APPS.items():
        here = [one for one in ENTRIES if one.worker == worker]
        room = HUNG_THREADS if worker == "freezes" else 2 * len(here)  # none waits for another
        found.append(Group(worker, [one for one in here if one.name not in WORKERS], app, concurrency=room))
        found.append(Group(f"{worker}-pending", [one for one in here if one.name in WORKERS], app, pending=True))
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder: pathlib.Path = tmp_path_factory.mktemp("nasty")
    house = House(folder, groups())
    house.open()
    try:
        seen = asyncio.run(house.play())
    finally:
        codes = house.close()
    house.read_ledger(seen)
    return Played(house, seen, codes)


def params() -> list[Any]:
    found = []
    for entry in ENTRIES:
        reason = WORKERS.get(entry.name)
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        found.append(pytest.param(entry, id=entry.name, marks=marks))
    return found


@pytest.mark.parametrize("entry", params())
@pytest.mark.timeout(240)
def test_what_a_user_may_write_comes_out_right_on_real_workers(entry: Entry, played: Played) -> None:
    wrong = judge(played.seen[entry.name])
    assert not wrong, wrong


@pytest.mark.timeout(240)
def test_their_workers_live(played: Played) -> None:
    assert not played.house.died


@pytest.mark.timeout(240)
def test_the_sagas_beside_them_end_in_time(played: Played) -> None:
    for group in played.house.groups:
        if not group.pending:
            assert group.neighbours == [4] * 4, group.name


@pytest.mark.timeout(240)
def test_hung_threads_leave_room_for_the_plain_steps_of_others(played: Played) -> None:
    """As many hang as the worker has room for."""
    rows = ledger.rows(played.house.place)
    begun = {row.saga for row in rows if row.label == "card" and row.saga.startswith("a hung thread")}
    assert len(begun) == HUNG_THREADS
    first_woke = min((place for place, row in enumerate(rows) if row.what == "woke"), default=len(rows))
    before = [row.label for row in rows[:first_woke] if row.what == "done" and row.saga == "neighbour-0-freezes"]
    assert before == ["n0", "p0", "n1", "p1", "n2", "p2", "n3", "p3"]


@pytest.mark.timeout(240)
def test_sigterm_ends_their_workers_whatever_they_were_at(played: Played) -> None:
    """Within the 40 s that Process.stop() waits; -9 stands for more."""
    ordinary = {name: code for name, code in played.codes.items() if "pending" not in name}
    assert set(ordinary.values()) == {0}, ordinary
