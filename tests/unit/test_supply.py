"""What is installed is pinned by hash, named with its licence, and asked after: the locks, the licences, the audit."""

from __future__ import annotations

import email.message
import json
import pathlib
import re
import tomllib

import pytest

from supply import audit, licences
from supply.lock import DEVELOPMENT, ROOT, RUN_TIME, Pin, pins, plain

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


def names_of(requirements: list[str]) -> set[str]:
    return {plain(found[0]) for one in requirements if (found := _NAME.match(one))}


@pytest.mark.parametrize("lock", [RUN_TIME, DEVELOPMENT], ids=lambda lock: lock.name)
def test_every_pin_has_the_hashes_of_its_files_and_names_no_registry(lock: pathlib.Path) -> None:
    found = pins(lock)
    assert found
    for pin in found:
        assert pin.hashes, pin.name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in pin.hashes), pin.name
    assert len({(pin.name, pin.marker) for pin in found}) == len(found)
    assert "://" not in lock.read_text()
    assert "index-url" not in lock.read_text()


def test_the_locks_hold_what_the_project_asks_for_and_run_time_is_apart() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    run_time, development = {pin.name for pin in pins(RUN_TIME)}, {pin.name for pin in pins(DEVELOPMENT)}
    assert names_of([*project["dependencies"], *extras]) <= run_time
    assert names_of([*groups["dev"], *groups["libraries"]]) <= development
    assert run_time < development
    assert not run_time & {"pytest", "mypy", "ruff", "bandit", "hypothesis", "grpcio-tools", "requests"}


def test_both_locks_pin_the_same_versions() -> None:
    development = {(pin.name, pin.version) for pin in pins(DEVELOPMENT)}
    assert [pin for pin in pins(RUN_TIME) if (pin.name, pin.version) not in development] == []


def test_a_line_that_pins_nothing_is_told(tmp_path: pathlib.Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("attrs>=24\n")
    with pytest.raises(ValueError, match=r"'attrs>=24' pins nothing; `make lock`"):
        pins(lock)
    lock.write_text(
        "# a word\nA_b.c==1 ; python_version < '3.12' \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via x\n"
    )
    assert pins(lock) == [Pin("a-b-c", "1", "python_version < '3.12'", ("sha256:00", "sha256:11"))]


# --- licences -----------------------------------------------------------------------------------------------------------


def test_the_page_of_licences_is_current_and_leaves_none_out(tmp_path: pathlib.Path) -> None:
    assert licences.main(["--check"]) == 0
    told = licences.PAGE.read_text()
    for pin in pins(RUN_TIME):
        assert f"| {pin.name} | " in told
    assert "not stated" not in told
    assert "not installed" not in told
    old = tmp_path / "old.md"
    old.write_text(told.replace("Apache", "Apathy"))
    assert licences.main(["--check"], old) == 1
    assert licences.main([], old) == 0
    assert old.read_text() == told


def test_a_licence_is_told_from_whatever_a_package_says() -> None:
    def of(**fields: str) -> str:
        found = email.message.Message()
        for name, value in fields.items():
            found[name.replace("_", "-")] = value
        return licences.stated(found)

    assert of(License_Expression="MIT", License="x") == "MIT"
    assert of(Classifier="License :: OSI Approved :: BSD License", License="x") == "BSD License"
    assert of(Classifier="License :: OSI Approved", License="Apache 2.0\nThe whole text") == "Apache 2.0"
    assert of(License="word " * 100) == of() == "not stated in its metadata"


def test_a_package_that_is_not_installed_here_keeps_its_line() -> None:
    pin = Pin("only-elsewhere", "1", "sys_platform == 'win32'", ())
    assert "| only-elsewhere | MIT |" in licences.page([pin], "| only-elsewhere | MIT |\n")
    assert "| only-elsewhere | not installed here |" in licences.page([pin], "")


# --- the audit ------------------------------------------------------------------------------------------------------------


def test_a_known_vulnerability_fails_and_what_could_not_be_asked_does_not() -> None:
    whole = {"name": "a", "version": "1", "vulns": []}
    unknown = {"name": "b", "skip_reason": "not found"}
    bad = {"name": "c", "version": "2", "vulns": [{"id": "GHSA-1", "fix_versions": ["3", "2.1"]}]}
    assert audit.judge("x", {"dependencies": [whole]}) == (True, ["x: 1 of 1 packages audited, 0 with known vulnerabilities"])
    good, lines = audit.judge("x", {"dependencies": [whole, unknown]})
    assert good
    assert "x: not audited, nobody here knows of them: 1 packages" in lines
    good, lines = audit.judge("x", {"dependencies": [whole, bad]})
    assert not good
    assert lines[0] == "x: c 2: GHSA-1; better from 2.1, 3"
    assert audit.judge("x", "no route") == (True, ["x: not audited (no route)"])


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import sys; sys.exit('ConnectionError: no route to anywhere')", "ConnectionError: no route to anywhere"),
        ("", "it said nothing"),
        ("print('[]')", "it said something else than expected"),
        ("import time; time.sleep(60)", "no answer within 1 s"),
    ],
)
def test_without_a_network_the_audit_says_why_and_passes(program: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SECONDS_MAX", 1)
    assert audit.ask(RUN_TIME, ("-c", program)) == told


def test_what_the_audit_says_is_read() -> None:
    said = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}
    assert audit.ask(RUN_TIME, ("-c", f"print({json.dumps(json.dumps(said))})")) == said
