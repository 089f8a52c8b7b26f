"""The packages of a lock, by name: `name==version`, its marker and the hashes of its files."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUN_TIME, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)(?: ; (.*))?$")


@dataclass(frozen=True)
class Pin:
    name: str
    version: str
    marker: str
    """Empty: everywhere."""
    hashes: tuple[str, ...]


def pins(file: pathlib.Path) -> list[Pin]:
    """Raises ValueError for a line that is none of a lock."""
    text = "\n".join(line for line in file.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#"))
    found: list[Pin] = []
    for entry in text.replace("\\\n", " ").splitlines():
        words = entry.split("--hash=")
        pin = _PIN.match(words[0].strip())
        if pin is None:
            raise ValueError(f"{file.name}: {entry.strip()[:80]!r} pins nothing; `make lock` writes the file anew")
        found.append(Pin(plain(pin[1]), pin[2], pin[3] or "", tuple(word.strip() for word in words[1:])))
    return found


def plain(name: str) -> str:
    """One way to write a name that may be written in several."""
    return re.sub(r"[-_.]+", "-", name).lower()
