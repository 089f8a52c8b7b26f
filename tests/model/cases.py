"""Which cases of the models are explored: those that must hold, and the broken variants with the promise that each breaks."""

from __future__ import annotations

from typing import Any

from tests.model import commits, log_cases, wakes
from tests.model.commits import Commits
from tests.model.explore import Machine
from tests.model.wakes import Wakes

CASES: dict[str, Machine[Any]] = {
    "commits, one fault of each kind": Commits(timeouts=1),
    "commits, two time-outs, no signal": Commits(timeouts=2, signals=0),
    "commits, two take-overs of a living owner": Commits(timeouts=1, takeovers=2),
    "commits, two crashes, no signal": Commits(timeouts=1, crashes=2, signals=0),
    "commits, the ended run is purged and its id used again": Commits(timeouts=1, purges=1),
    "hints, no crash": Wakes(crashes=0),
    "hints, one crash": Wakes(crashes=1),
    **log_cases.CASES,
}
BROKEN: dict[str, tuple[Machine[Any], str]] = {
    f"commits, broken: {variant}": (
        Commits(variant, timeouts=1, purges=int(variant == "no incarnation in the condition")),
        promise,
    )
    for variant, promise in commits.VARIANTS.items()
    if variant
}
BROKEN |= {f"hints, broken: {variant}": (Wakes(variant), promise) for variant, promise in wakes.VARIANTS.items() if variant}
BROKEN |= log_cases.BROKEN
