"""The documentation is true: its Python runs and prints what it says, its commands exist, its links lead somewhere.

The ```python blocks of a page run in order in one module, in an empty folder. A ```text block behind one is what it prints.
`<!-- not run: why -->` before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import itertools
import linecache
import logging
import pathlib
import re
import shlex
import sqlite3
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass

import click
import pytest

from durable_saga.cli import main

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINES = [*(f"D{n}" for n in range(1, 12)), *(f"C{n}" for n in range(1, 11)), *(f"R{n}" for n in range(1, 10)),
         "E1", "E2", "E3", "T1", "T2", "T3", "T4"]  # fmt: skip
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: .+ -->\n$")
_SIZE = re.compile(r"^\| `(\w+)` \| ([\d,]+) \| bytes \|", re.MULTILINE)
_TOLD = re.compile(r"(\d+) (KiB|MiB)[^|().]{0,30}\((\w+_MAX)\)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """`line` is that of its first line of code."""

    kind: str
    text: str
    line: int
    is_run: bool


@functools.cache
def blocks(page: pathlib.Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(one[1], one[2], text.count("\n", 0, one.start(2)) + 1, not _NOT_RUN.search(text, 0, one.start()))
        for one in _FENCE.finditer(text)
    ]


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """A module as `import` would make it: what is defined in it can be found again by its name."""
    made = types.ModuleType("page")
    sys.modules["page"] = made
    yield made
    for value in vars(made).values():
        if isinstance(value, sqlite3.Connection):
            value.close()
    del sys.modules["page"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_and_prints_what_the_page_says(
    page: pathlib.Path,
    module: types.ModuleType,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.CRITICAL, "durable_saga")  # the failures here are on purpose
    for block, after in itertools.zip_longest(blocks(page), blocks(page)[1:]):
        if block.kind != "python" or not block.is_run:
            continue
        printed = run(block, page, module)
        if after is not None and after.kind == "text":
            assert printed == after.text, f"{page.name}:{after.line}"


def run(block: Block, page: pathlib.Path, module: types.ModuleType) -> str:
    """What it prints. The lines keep their numbers, so that a traceback names the place in the page."""
    name = f"{page.name}"
    source = "\n" * (block.line - 1) + block.text
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, name, "exec"), vars(module))
    return printed.getvalue()


def test_the_program_of_the_readme_is_a_script_that_runs_as_it_stands(tmp_path: pathlib.Path) -> None:
    (program,) = [block for block in blocks(ROOT / "README.md") if block.kind == "python"]
    (printed,) = [block for block in blocks(ROOT / "README.md") if block.kind == "text"]
    (tmp_path / "shop.py").write_text(program.text)
    done = subprocess.run([sys.executable, "shop.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed.text


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 120


def commands(page: pathlib.Path) -> Iterator[str]:
    """What a page lets a person type: the lines of shell blocks, and code within sentences."""
    text = page.read_text()
    for block in blocks(page):
        if block.kind in ("sh", "console"):
            yield from re.findall(r"^\s*(?:\$ )?(durable-saga .*)$", block.text.replace("\\\n", " "), re.MULTILINE)
    yield from re.findall(r"`(durable-saga [^`]*)`", _FENCE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_exists_with_its_options(page: pathlib.Path) -> None:
    for line in commands(page):
        words = shlex.split(line.split(" | ")[0], comments=True)[1:]
        command: click.Command = main
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{page.name}: {line}"
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts}
        known |= {"-h", "--help"}
        unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known]
        assert not unknown, f"{page.name}: {line}"


def test_every_line_of_the_feature_list_is_shown_by_its_number() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert [line for line in LINES if f"**{line}**" not in text] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: pathlib.Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not heading or heading in headings(target), f"{page.name}: {link}"


def headings(page: pathlib.Path) -> set[str]:
    """The anchors that a page is given where it is shown."""
    found = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def test_every_page_is_in_the_table_of_the_readme() -> None:
    linked = {link.partition("#")[0] for link in _LINK.findall((ROOT / "README.md").read_text())}
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in linked] == []


def test_a_size_that_is_told_with_its_constant_is_that_of_the_table_of_limits() -> None:
    """`32 MiB (PAYLOAD_BYTES_MAX)`, on whatever page."""
    table = {name: int(value.replace(",", "")) for name, value in _SIZE.findall((ROOT / "docs/operating.md").read_text())}
    found = [(page.name, *told) for page in PAGES for told in _TOLD.findall(page.read_text())]
    assert len(found) > 5
    units = {"KiB": 1024, "MiB": 1024 * 1024}
    assert [told for told in found if told[3] in table and int(told[1]) * units[told[2]] != table[told[3]]] == []


def test_no_page_tells_another_size_of_a_payload() -> None:
    sizes = re.compile(r"^.*\bpayload\b.*?\b(\d+) MiB", re.MULTILINE | re.IGNORECASE)
    assert {(page.name, size) for page in PAGES for size in sizes.findall(page.read_text()) if size != "32"} == set()


def test_the_limits_that_are_told_are_those_of_the_code() -> None:
    row = re.compile(r"^\| `(\w+)` \| ([\d,]+) \| [\w ]+ \| `([\w.]+)` \|", re.MULTILINE)
    found = row.findall((ROOT / "docs/operating.md").read_text())
    assert len(found) > 30
    for name, value, module in found:
        place = importlib.import_module(module)
        real = getattr(place.Config(), name) if module.endswith(".config") else getattr(place, name)
        assert real == int(value.replace(",", "")), name
