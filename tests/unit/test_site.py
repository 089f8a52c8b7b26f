"""The site has every page and every public name. That it builds, with every link, is for `make docs`."""

from __future__ import annotations

import inspect
import pathlib
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

import durable_saga
from durable_saga import errors, sealing, testing
from durable_saga.cli import main
from durable_saga.client import overview
from supply.lock import ROOT, pins

REFERENCE = ROOT / "website/reference"


class Loader(yaml.SafeLoader):
    """mkdocs.yml names one function for mkdocs to call; here it is only read."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
CONFIG = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)


def pages_of(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else pages_of(value)


def directives() -> list[str]:
    return [name for page in REFERENCE.glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


def test_every_page_is_in_the_navigation_once() -> None:
    wanted = {page.name for page in (ROOT / "docs").glob("*.md")} | {
        f"reference/{page.name}" for page in REFERENCE.glob("*.md")
    }
    found = list(pages_of(CONFIG["nav"]))
    assert len(set(found)) == len(found)
    assert set(found) == wanted | {"index.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
    sections = [name for entry in CONFIG["nav"] for name in entry]
    assert sections == ["Start", "Guides", "How-to", "Operations", "Reference", "How it works"]


@pytest.mark.parametrize("module", [durable_saga, testing, sealing], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference_once(module: ModuleType) -> None:
    prefix = f"{module.__name__}."
    found = [name.removeprefix(prefix) for name in directives() if re.fullmatch(re.escape(prefix) + r"\w+", name)]
    named = sorted(name for name in found if name in module.__all__)
    told_elsewhere = {"NotApplied"} if module is durable_saga else set()  # with the errors
    assert named == sorted(set(module.__all__) - told_elsewhere)


def test_the_errors_and_what_the_clients_give_are_in_the_reference() -> None:
    assert {"durable_saga.errors", "durable_saga.authoring.inside.State", f"{overview.__name__}.Message"} <= set(directives())
    assert CONFIG["plugins"][1]["mkdocstrings"]["handlers"]["python"]["options"]["filters"] == ["!^_"]


def documented() -> Iterator[tuple[str, object]]:
    """What the reference shows: each name, and the public methods of its classes that the package defines."""
    places = [(module, name) for module in (durable_saga, testing, sealing) for name in module.__all__]
    places += [
        (errors, name) for name, one in vars(errors).items() if inspect.isclass(one) and one.__module__ == errors.__name__
    ]
    for module, name in places:
        one = getattr(module, name)
        yield f"{module.__name__}.{name}", one
        shown = ("run", "register", "stop") if one is durable_saga.Worker else None  # the rest is for what a worker is made of
        for own, member in vars(one).items() if inspect.isclass(one) else ():
            is_method = inspect.isfunction(member) and member.__name__ == own and not own.startswith("_")
            if is_method and own in (shown or {own}):
                yield f"{module.__name__}.{name}.{own}", member


def test_what_the_reference_shows_has_a_docstring() -> None:
    bare = [name for name, one in documented() if not (inspect.getdoc(one) or "").strip()]
    assert bare == []


def test_the_tools_of_the_site_are_pinned_apart_from_ours() -> None:
    found = {pin.name for pin in pins(pathlib.Path(ROOT / "requirements-docs.lock"))}
    assert {"mkdocs", "mkdocs-material", "mkdocstrings", "mkdocstrings-python"} <= found
    ours = {pin.name for pin in pins(ROOT / "requirements-dev.lock")}
    assert not ours & {"mkdocs", "mkdocs-material", "mkdocstrings"}


def test_the_site_asks_no_other_host() -> None:
    assert CONFIG["theme"]["font"] is False
    assert not {"repo_url", "extra_javascript", "site_url"} & set(CONFIG)


def helps(command: click.Command, path: str = "durable-saga") -> Iterator[tuple[str, str]]:
    yield path, " ".join([command.help or "", *(getattr(one, "help", None) or "" for one in command.params)])
    for name, one in command.commands.items() if isinstance(command, click.Group) else ():
        yield from helps(one, f"{path} {name}")


def test_every_command_says_what_it_does_in_words_of_today() -> None:
    told = dict(helps(main))
    assert [path for path, text in told.items() if not re.match(r"[A-Z]\w+(?<!ed) ", text)] == []
    pages = {page.name: page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
    odd = re.compile(r"\b(for ever|mend(s|ed|ing)?|comes? again|(what|HOST:PORT) is due)\b", re.IGNORECASE)
    assert {name: found[0] for name, text in (told | pages).items() if (found := odd.search(text))} == {}
