"""Alert rules and the board name metrics that there are, in expressions that Prometheus reads; each alert has its part of the
runbook."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import promql_parser
import pytest
import yaml

from durable_saga.cli import main

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
BOARD: dict[str, Any] = json.loads((MONITORING / "board.json").read_text())
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
PARTS = {
    re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-"): title
    for title in re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
}
_VARIABLES = {"$__rate_interval": "5m", "$saga_type": "order"}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in _VARIABLES.items():
                expression = expression.replace(name, value)
            yield f"{panel['title']} {target['refId']}", expression


def documented() -> dict[str, list[str]]:
    """Names of series with their labels, as docs/metrics.md lists them."""
    found: dict[str, list[str]] = {}
    rows = re.findall(
        r"^\| `(durable_saga_\w+)` \| (\w+) \| [^|]* \| ([^|]*) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE
    )
    for name, kind, told in rows:
        labels = re.findall(r"`(\w+)`", told)
        if kind == "histogram":
            found |= {f"{name}_count": labels, f"{name}_sum": labels, f"{name}_bucket": [*labels, "le"]}
        else:
            found[name] = labels
    return found


def selectors(expression: str) -> Iterator[tuple[str, list[str]]]:
    """Each metric with the labels that it is asked for."""
    for name, matchers in re.findall(r"\b(durable_saga_\w+)(?:\{([^}]*)\})?", expression):
        yield name, re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)


@pytest.mark.parametrize(("place", "expression"), list(expressions()), ids=[place for place, _ in expressions()])
def test_every_expression_is_one_and_names_what_there_is(place: str, expression: str) -> None:
    promql_parser.parse(expression)
    known, named = documented(), list(selectors(expression))
    assert named, place
    for name, labels in named:
        assert name in known, f"{place}: no metric {name}"
        assert set(labels) <= set(known[name]), f"{place}: {name} has no label of {labels}"
    grouped = {one.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for one in group.split(",")}
    assert grouped - {"instance"} <= {label for name, _ in named for label in known[name]}, place


def test_a_metric_that_there_is_not_would_be_found() -> None:
    assert "durable_saga_sagas_begun_total" not in documented()
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum by (durable_saga_sagas_open")


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_each_alert_names_its_part_of_the_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "runbook.md"
    assert anchor in PARTS
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    known = {label for name, _ in selectors(rule["expr"]) for label in documented()[name]} | {"instance"}
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known


def test_each_part_of_the_runbook_is_named_by_an_alert_and_has_at_most_five_steps() -> None:
    assert set(PARTS) == {rule["annotations"]["runbook"].partition("#")[2] for rule in RULES}
    for part in RUNBOOK.split("\n## ")[1:]:
        steps = re.findall(r"^\d\. ", part, re.MULTILINE)
        assert 1 <= len(steps) <= 5, part.splitlines()[0]


def test_the_board_has_no_two_panels_in_one_place() -> None:
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in BOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({one["id"] for one in BOARD["panels"]}) == len(places)


def test_each_command_of_the_runbook_exists_with_its_options() -> None:
    found = re.findall(r"`durable-saga ([^`]+)`", RUNBOOK)
    assert len(found) > 15
    for line in found:
        words, command = shlex.split(line), main
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]  # type: ignore[assignment]  # a group holds commands
        with click.Context(command) as context:
            _, left, _ = command.make_parser(context).parse_args(words)
        assert left == [], line
