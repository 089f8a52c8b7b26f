"""A sitting as JSON, as a table in markdown and as a drawing. Figures are medians over the rounds."""

from __future__ import annotations

import json
import pathlib
import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.drawing import Chart, drawing

Entry = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One figure of one workload."""

    title: str
    workload: str
    key: str
    digits: int = 1
    scale: float = 1.0
    more_is_better: bool = False
    second: str = ""  # shown behind a slash


COLUMNS = (
    Column("10 steps, one at a time: p50 / p99 ms", "latency", "p50_ms", second="p99_ms"),
    Column("start call p50 ms", "latency", "start_p50_ms"),
    Column("steps/s, 50 outstanding", "throughput_50", "steps_per_second", 0, more_is_better=True),
    Column("steps/s, 500 outstanding", "throughput_500", "steps_per_second", 0, more_is_better=True),
    Column("signal to resumed p50 ms", "signal", "p50_ms"),
    Column("100 parallel steps p50 ms", "fan", "p50_ms"),
    Column("fails at step 10, unwound p50 ms", "fails", "p50_ms"),
    Column("replay of 1,000 steps ms", "replay_1000", "ms"),
    Column("replay of 10,000 steps ms", "replay_10000", "ms"),
    Column("CPU ms a step", "throughput_50", "cpu_ms_per_step", 2),
    Column("KB to the disk a step", "throughput_50", "disk_bytes_per_step", 1, 1e-3),
    Column("MB with the parked sagas (without)", "parked", "memory_mb", 0, second="memory_before_mb"),
)


def write(sitting: dict[str, Any], file: pathlib.Path) -> None:
    file.write_text(json.dumps(sitting, indent=1) + "\n")
    file.with_suffix(".md").write_text(table(sitting))
    file.with_suffix(".svg").write_text(drawing(charts(sitting)))


def brief(workload: str, answer: dict[str, Any]) -> str:
    """One line while it runs."""
    if "found" not in answer:
        return " ".join(str(words).strip().splitlines()[-1] for words in answer.values() if words)
    return ", ".join(f"{key} {value:,.2f}" for key, value in answer["found"].items() if isinstance(value, int | float))


def median(entry: Entry, workload: str, key: str) -> float | None:
    answers = (each["answers"].get(workload, {}).get("found", {}).get(key) for each in entry["rounds"])
    values = [value for value in answers if value is not None]
    return statistics.median(values) if values else None


def cell(entry: Entry, column: Column) -> str:
    value = median(entry, column.workload, column.key)
    if value is None:
        return _why_not(entry, column.workload)
    shown = f"{value * column.scale:,.{column.digits}f}"
    second = median(entry, column.workload, column.second) if column.second else None
    return shown if second is None else f"{shown} / {second * column.scale:,.{column.digits}f}"


def _why_not(entry: Entry, workload: str) -> str:
    for each in entry["rounds"]:
        answer = each["answers"].get(workload, {})
        if "late" in answer:
            return str(answer["late"])
        if "not_possible" in answer:
            return f"not possible: {answer['not_possible']}"
        if "error" in answer:
            return "error"
    return "not installed" if "not_installed" in entry else ""


def notes(sitting: dict[str, Any]) -> list[str]:
    """How far the late ones came, and what the errors were."""
    found = []
    for entry in sitting["peers"].values():
        if "not_installed" in entry:
            found.append(f"- {entry['label']}: not installed: {_last_line(entry['not_installed'])}")
        for number, each in enumerate(entry["rounds"], start=1):
            for workload, answer in each["answers"].items():
                words = answer.get("progress") or answer.get("error")
                if words:
                    reason = answer.get("late", "error")
                    found.append(f"- {entry['label']}, {workload}, round {number}: {reason}: {_last_line(words)}")
    return found


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1][:300] if text.strip() else ""


def measured(sitting: dict[str, Any]) -> list[Column]:
    """The columns of the workloads of this sitting."""
    asked = {name for entry in sitting["peers"].values() for each in entry["rounds"] for name in each["answers"]}
    return [column for column in COLUMNS if column.workload in asked]


def table(sitting: dict[str, Any]) -> str:
    peers, columns = sitting["peers"].values(), measured(sitting)
    lines = [
        "# Side by side",
        "",
        "Made by `make bench-peers`; how to read it: docs/performance.md. Each cell is the median of the rounds.",
        "Only the ratios within this table travel to another machine.",
        "",
        *(f"- {key.replace('_', ' ')}: {value}" for key, value in sitting["machine"].items()),
        *(f"- parked sagas: {sitting['sizes']['parked_sagas']:,}" for column in columns if column.workload == "parked"),
        "",
        "| engine | rounds | " + " | ".join(column.title for column in columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for entry in peers:
        cells = " | ".join(cell(entry, column) for column in columns)
        lines.append(f"| {entry['label']} | {len(entry['rounds'])} | {cells} |")
    lines += ["", "| engine | durability | versions |", "|---|---|---|"]
    for entry in peers:
        versions = ", ".join(f"{name} {version}" for name, version in entry.get("versions", {}).items())
        lines.append(f"| {entry['label']} | {entry['durability']} | {versions} |")
    found = notes(sitting)
    return "\n".join([*lines, *(["", "Late and failed", "", *found] if found else [])]) + "\n"


def charts(sitting: dict[str, Any]) -> list[Chart]:
    found = []
    for column in measured(sitting):
        bars: list[tuple[str, float | None, str]] = []
        for entry in sitting["peers"].values():
            value = median(entry, column.workload, column.key)
            bars.append((entry["label"], None if value is None else value * column.scale, cell(entry, column)))
        better = "more is better" if column.more_is_better else "less is better"
        found.append(Chart(f"{column.title} ({better})", bars))
    return found
