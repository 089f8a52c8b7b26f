"""Every line of the feature list is named by its number in a test and on a page, and those that a journal can lose in a law."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

from tests.laws.test_features import CASES

ROOT = pathlib.Path(__file__).resolve().parents[2]
GROUPS = {"D": 11, "C": 10, "R": 9, "E": 3, "T": 4}
LINES = [f"{group}{number}" for group, count in GROUPS.items() for number in range(1, count + 1)]
NUMBER = re.compile(r"(?<![a-z0-9])[cdert]\d{1,2}(?![a-z0-9])")


def numbers(text: str) -> set[str]:
    """`test_d1_d3_steps_run` names D1 and D3."""
    return {found.upper() for found in NUMBER.findall(text.replace("_", " "))}


def named_in_tests() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= numbers(node.name)
    return found


def shown_on_pages() -> set[str]:
    """A line is shown where its number stands in bold: **D1**."""
    return {one for page in (ROOT / "docs").glob("*.md") for one in re.findall(r"\*\*([CDERT]\d{1,2})\*\*", page.read_text())}


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_named_in_a_test_and_shown_on_a_page(line: str) -> None:
    assert line in named_in_tests(), f"no test has {line} in its name"
    assert line in shown_on_pages(), f"no page in docs/ shows **{line}**"


def test_every_line_of_definition_compensation_and_events_is_in_a_law_with_crashes() -> None:
    crashed = set().union(*map(numbers, CASES))
    assert [line for line in LINES if line[0] in "DCE" and line not in crashed] == []
