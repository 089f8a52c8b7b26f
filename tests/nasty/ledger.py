"""What steps really did: a file that outlives every process, one line for each fact, written before the step goes on.

A line that a kill cut off is the last one of its process; it is left out, as what it tells did not happen.
"""

from __future__ import annotations

import json
import os
import pathlib
from dataclasses import dataclass
from typing import Any

from durable_saga import step_context

PLACE = "NASTY_LEDGER"


@dataclass(frozen=True, slots=True)
class Row:
    """`what` is "begins", "done" or "undone" (`detail`: what the undo got as the result); "woke" is a thread that hung."""

    saga: str
    call: str
    what: str
    label: str
    attempt: int
    process: int
    detail: Any = None


def place() -> pathlib.Path:
    return pathlib.Path(os.environ[PLACE])


def note(what: str, label: str, detail: Any = None) -> None:
    """From within a step or compensation."""
    context = step_context()
    row = [context.saga, context.call, what, label, context.attempt, os.getpid(), detail]
    line = json.dumps(row, default=repr).encode() + b"\n"
    file = os.open(place(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def rows(file: pathlib.Path) -> list[Row]:
    if not file.exists():
        return []
    return [Row(*json.loads(line)) for line in file.read_bytes().split(b"\n")[:-1]]
