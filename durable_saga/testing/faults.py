"""What goes wrong in one run, and the words for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

Mishap = Literal["fails before", "fails after", "fails once before", "fails once after", "dies after"]
WORDS: Mapping[Mishap, str] = {
    "fails before": "fails for good, before it does anything",
    "fails after": "fails for good, after its effect happened",
    "fails once before": "fails once, before it does anything, and is tried again",
    "fails once after": "fails once, after its effect happened, and is tried again",
    "dies after": "has its effect, then the worker dies before it can report this, and another worker tries again",
}


@dataclass(frozen=True, repr=False)
class Faults:
    """`crash_at`: numbers of commits (from 1) after which the process dies, before it starts an effect. `lose_at`: commits
    which never reach the journal, because the process dies first. `mishaps`: by ("do" or "undo", call). `cancel_after`: a
    cancel arrives when the history holds more facts than this."""

    crash_at: Collection[int] = ()
    lose_at: Collection[int] = ()
    mishaps: Mapping[tuple[str, str], Mishap] = field(default_factory=dict)
    cancel_after: int | None = None

    def __repr__(self) -> str:
        given = {name: getattr(self, name) for name in ("crash_at", "lose_at", "mishaps", "cancel_after")}
        shown = (f"{name}={value!r}" for name, value in given.items() if value or value == 0)
        return f"Faults({', '.join(shown)})"

    def __len__(self) -> int:
        return len(self.crash_at) + len(self.lose_at) + len(self.mishaps) + (self.cancel_after is not None)

    def words(self, names: Mapping[tuple[str, str], str]) -> list[str]:
        """One sentence for each; `names` gives what runs as ("do" or "undo", call)."""
        found = []
        for (kind, call), mishap in self.mishaps.items():
            what = "step" if kind == "do" else "the compensation of step"
            found.append(f"{what} {names.get((kind, call), '?')} (call {call}) {WORDS[mishap]}")
        found += [f"the worker dies right after commit {number}, before what it asked for is begun" for number in self.crash_at]
        found += [f"the worker dies before commit {number} reaches the journal" for number in self.lose_at]
        if self.cancel_after is not None:
            found.append(f"a cancel arrives after {self.cancel_after} things have happened to the saga")
        return found


NO_FAULTS = Faults()
