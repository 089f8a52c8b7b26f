"""Write docs/licences.md, the licences of what a process of ours needs at run time; `--check` fails when it is another one.

They come from what is installed. A package that is not installed here (for another system or Python) keeps its line.
"""

from __future__ import annotations

import email.message
import importlib.metadata
import pathlib
import re
import sys

from supply.lock import ROOT, RUN_TIME, Pin, pins

PAGE = ROOT / "docs" / "licences.md"
HEAD = """# Licences

durable-saga is under the Apache License 2.0. This is what its processes need at run time, with every extra, and the licence
that each names. `make licences` writes this page.

| package | licence |
|---|---|
"""
_LICENCE_OF_CLASSIFIER = re.compile(r"^License :: (?:OSI Approved :: )?(.+)$")
_FIRST_LINE_CHARACTERS_MAX = 60


def licence_of(name: str) -> str | None:
    """As the package names it. None: it is not installed here."""
    try:
        found = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return stated(found)  # type: ignore[arg-type]  # it is a Message, whatever its annotation says


def stated(found: email.message.Message) -> str:
    """By its expression, its classifiers, or the first line of its text."""
    if expression := found.get("License-Expression"):
        return str(expression)
    classifiers = [str(one) for one in found.get_all("Classifier", [])]
    named = [match[1] for one in classifiers if (match := _LICENCE_OF_CLASSIFIER.match(one)) and match[1] != "OSI Approved"]
    if named:
        return ", ".join(sorted(named))
    text = str(found.get("License", "")).strip()
    first = text.splitlines()[0] if text else ""
    return first if 0 < len(first) <= _FIRST_LINE_CHARACTERS_MAX else "not stated in its metadata"


def page(pinned: list[Pin], before: str) -> str:
    """`before`: the page as it is."""
    kept = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", before, re.MULTILINE))
    names = sorted({pin.name for pin in pinned})
    rows = [f"| {name} | {licence_of(name) or kept.get(name, 'not installed here')} |\n" for name in names]
    return HEAD + "".join(rows)


def main(words: list[str], place: pathlib.Path = PAGE) -> int:
    before = place.read_text() if place.exists() else ""
    now = page(pins(RUN_TIME), before)
    if "--check" in words:
        if now != before:
            print(f"{place.name} is not what is installed: run `make licences` and commit it", file=sys.stderr)
        return int(now != before)
    place.write_text(now)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
