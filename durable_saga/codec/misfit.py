"""What stops a value on its way to bytes or back. Plans raise it from inside; encode() and decode() make the error of it."""

from __future__ import annotations

from typing import Any

DEPTH_MAX = 100
VALUES_MAX = 4_000_000
HASH_COLLISIONS_MAX = 1_000
DECIMAL_DIGITS_MAX = 4_000


class Misfit(Exception):
    """`problem` goes behind the path, so it begins with a colon or a space. `fits`: the value is of the type that was asked
    for, but can't be journaled."""

    def __init__(self, problem: str, *, fits: bool = False, path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.fits = fits

    def at(self, segment: str) -> Misfit:
        """The same, one level further out."""
        self.path = segment + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path}{self.problem}"


def found_instead(expected: str, value: Any) -> Misfit:
    return Misfit(f": expected {expected}, found {name_of(type(value))}")


def too_deep() -> Misfit:
    return Misfit(f": nested deeper than {DEPTH_MAX} levels (does it contain itself?)", fits=True)


def name_of(kind: type) -> str:
    """As messages call it: built-in types by their name, others with their module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
