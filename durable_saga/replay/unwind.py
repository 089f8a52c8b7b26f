"""The compensations of one run: registered as it goes, unwound once when it fails, each with one outcome in the history.

The stack decides without I/O. The order is the reverse of registration unless the saga's definition says otherwise; one
that is stuck does not keep the others from running.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from durable_saga.definition import CompensationDefinition, SagaDefinition

REGISTERED, RUNNING, DONE, STUCK, SKIPPED, RESOLVED, NOT_NEEDED = (
    "registered", "running", "done", "stuck", "skipped", "resolved", "not needed",
)  # fmt: skip

TRANSITIONS: Mapping[tuple[str, str], str] = {
    (REGISTERED, "schedule"): RUNNING,
    (REGISTERED, "not needed"): NOT_NEEDED,
    (REGISTERED, "skip"): SKIPPED,
    (REGISTERED, "resolve"): RESOLVED,
    (RUNNING, "completed"): DONE,
    (RUNNING, "attempt failed"): RUNNING,
    (RUNNING, "stuck"): STUCK,
    (RUNNING, "skip"): SKIPPED,
    (RUNNING, "resolve"): RESOLVED,
    (STUCK, "retry"): REGISTERED,
    (STUCK, "skip"): SKIPPED,
    (STUCK, "resolve"): RESOLVED,
}


@dataclass(slots=True)
class Entry:
    """One registered compensation. `data` are its arguments, encoded as a call of `signature`; `result` is the step's, None
    while or unless it returned."""

    call: str
    definition: CompensationDefinition
    data: bytes
    signature: inspect.Signature
    state: str = REGISTERED
    result: Any = None
    attempt: int = 1
    not_before_ms: int = 0

    def step(self, event: str) -> bool:
        """Take one transition; False, and nothing changed, when the table has none."""
        new = TRANSITIONS.get((self.state, event))
        if new is None:
            return False
        self.state = new
        return True


@dataclass(slots=True)
class Stack:
    """All compensations of a run. `plan` is set when the unwind starts: entries in the order in which they run."""

    definition: SagaDefinition
    entries: dict[str, Entry] = field(default_factory=dict)
    plan: list[Entry] = field(default_factory=list)

    def register(self, entry: Entry) -> None:
        assert entry.call not in self.entries, f"two compensations for call {entry.call}"
        self.entries[entry.call] = entry

    def not_needed(self, call: str) -> None:
        """The step's effect is proven not to have happened."""
        if (entry := self.entries.get(call)) is not None:
            entry.step("not needed")

    def start(self) -> None:
        """Fix the order of the unwind."""
        live = [entry for entry in self.entries.values() if entry.state == REGISTERED]
        live.reverse()
        order = self.definition.compensation_order
        if order is not None:
            wanted = {name: place for place, name in enumerate(order([entry.definition.name for entry in live]))}
            live.sort(key=lambda entry: wanted.get(entry.definition.name, len(wanted)))
        self.plan = live

    def ready(self) -> list[Entry]:
        """Entries to start now: one at a time, or all when the saga unwinds in parallel."""
        waiting = [entry for entry in self.plan if entry.state == REGISTERED]
        if self.definition.compensation_parallel:
            return waiting
        return [] if any(entry.state == RUNNING for entry in self.plan) else waiting[:1]

    def any_in(self, *states: str) -> bool:
        return any(entry.state in states for entry in self.plan)
