"""What is in the wheel and the sdist, and what an index shows of them."""

from __future__ import annotations

import email
import pathlib
import re
import tarfile
import tomllib
import zipfile

from tests.package.environments import EXTRAS, ROOT, Built, build

PACKAGES = {"durable_saga": ROOT / "durable_saga", "durable_saga_server": ROOT / "server" / "durable_saga_server"}


def names_of(wheel: pathlib.Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def sdist_names(sdist: pathlib.Path) -> set[str]:
    with tarfile.open(sdist) as file:
        return {name.partition("/")[2] for name in file.getnames()}


def metadata_of(wheel: pathlib.Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as file:
        name = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(file.read(name))


def test_the_wheel_holds_both_packages_as_they_are_and_nothing_else(built: Built) -> None:
    wanted = {
        f"{package}/{file.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names_of(built.wheel) == wanted
    assert {"durable_saga/py.typed", "durable_saga_server/py.typed", "durable_saga/pb/history_pb2.pyi",
            "durable_saga/page/templates/base.html", "durable_saga/page/static/page.js"} <= wanted  # fmt: skip


def test_the_sdist_holds_what_the_wheel_is_built_of_and_nothing_of_how_we_work(built: Built) -> None:
    names = sdist_names(built.sdist)
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "docs/sagas.md", "proto/durable_saga/v1/history.proto",
            "durable_saga/py.typed", "server/durable_saga_server/py.typed", "tests/test_tidy.py"} <= names  # fmt: skip
    assert not [
        name for name in names if name.startswith((".ci", ".git/", ".venv", "var/", "dist/", "site/")) or "__pycache__" in name
    ]


def test_the_wheel_of_the_sdist_is_the_same(built: Built, tmp_path: pathlib.Path) -> None:
    with tarfile.open(built.sdist) as file:
        file.extractall(tmp_path / "source", filter="data")
    again = build(next((tmp_path / "source").iterdir()), tmp_path / "dist")
    assert names_of(again.wheel) == names_of(built.wheel)


def test_what_an_index_shows_has_the_readme_without_links_that_lead_nowhere(built: Built) -> None:
    shown = metadata_of(built.wheel).get_payload()
    assert isinstance(shown, str)
    assert shown.lstrip().startswith("# durable_saga")
    assert [one for one in re.findall(r"\]\(([^)]+)\)", shown) if "://" not in one] == []
    assert "| Guide, Tutorial | start here, 20 minutes; " in shown


def test_the_metadata_says_for_whom_and_under_which_licence_it_is(built: Built) -> None:
    told = metadata_of(built.wheel)
    assert (told["Name"], told["License-Expression"], told["Requires-Python"]) == ("durable-saga", "Apache-2.0", "<3.14,>=3.11")
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(told.get_all("Classifier", []))


def test_the_extras_that_are_tried_are_those_that_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sorted(project["optional-dependencies"]) == sorted(EXTRAS)
