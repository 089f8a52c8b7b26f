"""`python -m tests.model`: explores the models in full, then shows how each broken variant of them is refuted.

Ends with 1 if an unbroken model is refuted, or if a broken variant is not, or not by the promise that it must break.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from tests.model.cases import BROKEN, CASES
from tests.model.explore import Machine, explore

SAY_SECONDS = 5.0


class Progress:
    """Says how far it is, on the error stream, at most every SAY_SECONDS."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, states: int, depth: int) -> None:
        if time.monotonic() - self._said > SAY_SECONDS:
            self._said = time.monotonic()
            print(f"    … {states:,} states, depth {depth}", file=sys.stderr, flush=True)


def show(title: str, machine: Machine[Any], promise: str) -> bool:
    """Whether the outcome is the one that is wanted: `promise` is broken, or none where it is empty."""
    print(title, flush=True)
    found = explore(machine, tell=Progress())
    print(f"  {found}", flush=True)
    is_wanted = found.violation.startswith(f"{promise}:") if promise else not found.violation
    if not is_wanted:
        print(f"  WRONG: {f'{promise} was to be broken' if promise else 'every promise was to hold'}", flush=True)
    return is_wanted


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--broken", action="store_true", help="only the broken variants; some seconds")
    parser.add_argument("--only", default="", help="cases whose title has these words, as in --only logs")
    asked = parser.parse_args()
    wrong = 0
    for title, machine in [] if asked.broken else CASES.items():
        wrong += asked.only in title and not show(title, machine, "")
    for title, (machine, promise) in BROKEN.items():
        wrong += asked.only in title and not show(title, machine, promise)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
