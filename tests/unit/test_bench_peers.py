"""The side-by-side benchmark: what it measures with, and that it shows what was not done."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
from typing import Any

import pytest

from benchmarks.peers import catalogue
from benchmarks.peers.apps import driver
from benchmarks.peers.peer import QUICK
from benchmarks.peers.processes import cost
from benchmarks.peers.report import table, write


class Instant:
    """An engine that takes no time; its sagas that wait go on at the signal, `fails` fails."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._kinds: dict[str, str] = {}
        self._signals: dict[str, asyncio.Event] = {}

    async def start(self, kind: str, saga: str, steps: int) -> str:
        self._kinds[saga] = kind
        if kind == "waits":
            self._signals[saga] = asyncio.Event()
            driver.arrived(str(self._folder))
        return saga

    async def result(self, started: str) -> Any:
        if self._kinds[started] == "fails":
            raise driver.Undone
        if self._kinds[started] == "waits":
            await self._signals[started].wait()
        await asyncio.sleep(0)  # as every engine gives way, or a time-out has no chance
        return {"replayed_ns": 1_000_000, "resumed_ns": driver.clock_ns()}

    async def signal(self, saga: str) -> None:
        self._signals[saga].set()


def ask(folder: pathlib.Path, workload: str, seconds_max: float = 10, **arguments: Any) -> dict[str, Any]:
    request = {"workload": workload, "arguments": arguments, "seconds_max": seconds_max}
    return asyncio.run(driver.answer(driver.Workloads(Instant(folder), str(folder)), request))


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SETTLED_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("workload", "arguments", "figure"),
    [
        ("latency", {"count": 3}, "p99_ms"),
        ("throughput", {"outstanding": 2, "seconds": 0.01}, "steps_per_second"),
        ("signal", {"count": 2}, "p50_ms"),
        ("fan", {"count": 2}, "p50_ms"),
        ("fails", {"count": 2}, "p50_ms"),
        ("replay_begin", {"saga": "one", "steps": 3}, "seconds"),
        ("parked", {"count": 5}, "starts_per_second"),
    ],
)
def test_each_workload_finds_its_figure(tmp_path: pathlib.Path, workload: str, arguments: dict[str, Any], figure: str) -> None:
    assert ask(tmp_path, workload, **arguments)["found"][figure] >= 0


def test_a_late_workload_says_how_far_it_came(tmp_path: pathlib.Path) -> None:
    found = ask(tmp_path, "throughput", seconds_max=0.2, outstanding=1, seconds=60)
    assert found["late"] == "not in 0.2 s"
    assert "sagas in" in found["progress"]


def test_an_error_of_a_workload_is_an_answer(tmp_path: pathlib.Path) -> None:
    assert "TypeError" in ask(tmp_path, "latency", counts=1)["error"]


def test_percentiles_are_of_the_values_that_were_measured() -> None:
    values = [number * 1_000_000 for number in range(1, 101)]
    assert (driver.ms(values, 0.5), driver.ms(values, 0.99)) == (50.5, 100.0)


def test_an_unknown_peer_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(ValueError, match="there is no nobody; there are ours-sqlite, "):
        catalogue.peers(["restate", "nobody"], QUICK)


def test_the_cost_of_this_process_is_its_time_and_memory() -> None:
    found = cost([os.getpid()])
    assert found.cpu_seconds > 0
    assert found.memory_bytes > 1_000_000


def test_the_table_shows_medians_and_what_could_not_be_done(tmp_path: pathlib.Path) -> None:
    rounds: list[dict[str, Any]] = [
        {"answers": {"latency": {"found": {"p50_ms": value, "p99_ms": 9.0, "start_p50_ms": 1.0}}}} for value in (1.0, 3.0, 2.0)
    ]
    rounds[0]["answers"] |= {
        "signal": {"late": "not in 5 s", "progress": "2 of 9"},
        "fan": {"not_possible": "it has no branches"},
        "fails": {"error": "Traceback\nValueError: no"},
    }
    one = {"label": "One", "durability": "synced", "versions": {"one": "1.2"}, "rounds": rounds}
    other = {"label": "Other", "durability": "none", "rounds": [], "not_installed": "no way"}
    sitting = {"machine": {"cores": 2}, "sizes": {"parked_sagas": 5}, "peers": {"one": one, "other": other}}
    text = table(sitting)
    row = next(line for line in text.splitlines() if line.startswith("| One | 3 |"))
    assert "| 2.0 / 9.0 | 1.0 |" in row
    for words in ("| not in 5 s |", "| not possible: it has no branches |", "| error |"):
        assert words in row
    assert "- One, signal, round 1: not in 5 s: 2 of 9" in text
    assert "- One, fails, round 1: error: ValueError: no" in text
    assert "- Other: not installed: no way" in text
    write(sitting, tmp_path / "peers.json")
    assert json.loads((tmp_path / "peers.json").read_text()) == sitting
    assert (tmp_path / "peers.svg").read_text().startswith("<svg")
