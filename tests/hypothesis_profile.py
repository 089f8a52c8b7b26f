"""How many examples a law gets, and which: the same ones in every `make test`, new ones in `make laws`."""

from __future__ import annotations

import os

from hypothesis import settings

TIMES = float(os.environ.get("LAWS_TIMES") or 0)
"""Of `make laws`: each law gets so many times its usual examples, at random; 0: the usual ones, the same in every run; below 1
a part of those."""


def load_profile() -> None:
    """Before the modules of tests are imported: their settings take what is not given from the profile."""
    settings.register_profile("repeatable", derandomize=True, deadline=None)
    settings.register_profile("random", deadline=None, print_blob=True)
    settings.load_profile("random" if TIMES >= 1 else "repeatable")


def examples(usual: int) -> int:
    return max(1, int(usual * (TIMES or 1)))
