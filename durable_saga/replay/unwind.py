"""The compensations of one run: registered as it goes, unwound when it or a scope of it fails, each with one outcome in the
history.

The stack is a tree: the saga is the root scope; a scope or a child saga is undone as one unit, at the place where it was
opened. It decides without I/O. The order within a scope is the reverse of registration unless its definition says otherwise;
one that is stuck does not keep the others from running.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_saga.definition.definition import CompensationDefinition

REGISTERED, RUNNING, DONE, STUCK, SKIPPED, RESOLVED, NOT_NEEDED, PASSED, REPLACED = (
    "registered", "running", "done", "stuck", "skipped", "resolved", "not needed", "passed", "replaced",
)  # fmt: skip
UNSETTLED = (REGISTERED, RUNNING, STUCK)
UNDER_WAY, STANDS, IN_DOUBT = "under way", "stands", "in doubt"
"""What is known of the effect that an entry undoes: no outcome yet; it happened, and the saga knows; it may have happened."""

IN_ROOT = "0"
"""In the place of the call id of a scope: the saga itself."""

TRANSITIONS: Mapping[tuple[str, str], str] = {
    (REGISTERED, "schedule"): RUNNING,
    (REGISTERED, "not needed"): NOT_NEEDED,
    (REGISTERED, "not due"): SKIPPED,
    (REGISTERED, "pivot"): PASSED,
    (REGISTERED, "replaced"): REPLACED,
    (REPLACED, "restored"): REGISTERED,
    (REPLACED, "not needed"): NOT_NEEDED,
    (REGISTERED, "skip"): SKIPPED,
    (REGISTERED, "resolve"): RESOLVED,
    (RUNNING, "not needed"): NOT_NEEDED,
    (RUNNING, "completed"): DONE,
    (RUNNING, "attempt failed"): RUNNING,
    (RUNNING, "stuck"): STUCK,
    (RUNNING, "skip"): SKIPPED,
    (RUNNING, "resolve"): RESOLVED,
    (STUCK, "retry"): REGISTERED,
    (STUCK, "skip"): SKIPPED,
    (STUCK, "resolve"): RESOLVED,
}


def _nothing() -> None:
    """What a step has returned that did not return."""


def any_entry(_: Entry) -> bool:
    return True


@dataclass(slots=True)
class Entry:
    """One registered compensation. `name` is the step's, or the function's of on_failure(). `data` are its arguments, encoded
    as a call of `signature` (None in a replay, until the history tells them); `result()` is the step's, None while or unless
    it returned. `effect` is one of UNDER_WAY, STANDS and IN_DOUBT, `error` that of a step that failed. `planned`: an unwind
    holds it. `defaults`: what the call left open, as the journal has it. `postponed`: its scope was cancelled by this, and its
    condition waits for the error that was the reason. `earlier`: the same step before, whose place this one has taken. `cause`:
    what led to the unwind that holds it. `told`: how its event says in which scope it stands. `from_journal`: it was found in a
    history without the saga's code. `is_kept_back`, `carried`: as of a step."""

    call: str
    name: str
    definition: CompensationDefinition
    data: bytes | None
    signature: inspect.Signature
    state: str = REGISTERED
    result: Callable[[], Any] = _nothing
    attempt: int = 1
    not_before_ms: int = 0
    planned: bool = False
    effect: str = STANDS
    error: BaseException | None = None
    defaults: bytes | None = None
    postponed: BaseException | None = None
    earlier: Entry | None = None
    cause: BaseException | None = None
    interruptions: int = 0
    failing_since_ms: int = 0
    told: str = ""
    from_journal: bool = False
    is_kept_back: bool = False
    carried: bytes = b""

    @property
    def title(self) -> str:
        return self.name

    @property
    def unsettled(self) -> bool:
        return self.state in UNSETTLED and self.postponed is None

    @property
    def in_doubt(self) -> bool:
        return self.effect == IN_DOUBT and self.state in UNSETTLED

    @property
    def left_open(self) -> bool:
        return self.postponed is not None and self.state in UNSETTLED

    def last_result(self) -> Any:
        """What the step returned last, None if it never did."""
        entry: Entry | None = self
        while entry is not None and entry.result is _nothing:
            entry = entry.earlier
        return entry.result() if entry is not None else None

    def step(self, event: str) -> bool:
        """Take one transition; False, and nothing changed, when the table has none."""
        new = TRANSITIONS.get((self.state, event))
        if new is None:
            return False
        self.state = new
        return True


@dataclass(slots=True)
class Scope:
    """What is undone as one unit. `plan` is set when an unwind reaches it: its items in the order in which they run. `label` is
    its name for an order of compensations, where that is not its own."""

    call: str
    name: str
    order: Callable[[list[str]], list[str]] | None = None
    parallel: bool = False
    items: list[Entry | Scope] = field(default_factory=list)
    plan: list[Entry | Scope] | None = None
    label: str = ""

    @property
    def title(self) -> str:
        return self.label or self.name

    def entries(self) -> Iterator[Entry]:
        for item in self.items:
            if isinstance(item, Entry):
                yield item
            else:
                yield from item.entries()

    def scopes(self) -> Iterator[Scope]:
        """This one and those within it."""
        yield self
        for item in self.items:
            if isinstance(item, Scope):
                yield from item.scopes()

    def live(self, wanted: Callable[[Entry], bool] = any_entry) -> list[Entry | Scope]:
        """What an unwind of what is wanted has to do here, last registered first."""
        return [item for item in reversed(self.items) if isinstance(item, Scope) or (item.unsettled and wanted(item))]

    def start(self, order: Sequence[str] = (), wanted: Callable[[Entry], bool] = any_entry) -> None:
        """Fix the order of the unwind of what is wanted, here and below; `order` names the calls where it is not the reverse of
        registration. What runs already keeps its place."""
        live = self.live(wanted)
        if order:
            places = {call: place for place, call in enumerate(order)}
            live.sort(key=lambda item: min((places.get(one, len(places)) for one in _calls(item)), default=len(places)))
        self.plan = live
        for item in live:
            if isinstance(item, Scope):
                item.start(order, wanted)
            else:
                item.planned = True

    def ready(self) -> list[Entry]:
        """Entries to start now: one at a time, or all when the scope unwinds in parallel."""
        found: list[Entry] = []
        for item in self.plan or ():
            if isinstance(item, Scope):
                found += item.ready()
                busy = item.busy()
            else:
                found += [item] if item.state == REGISTERED else []
                busy = item.state in (REGISTERED, RUNNING)
            if busy and not self.parallel:
                break
        return found

    def busy(self) -> bool:
        """Whether the engine still has something to do here, without an operator."""
        return any(entry.planned and entry.state in (REGISTERED, RUNNING) for entry in self.entries())

    def settled(self) -> bool:
        return not any(entry.unsettled for entry in self.entries())


def _calls(item: Entry | Scope) -> list[str]:
    return [item.call] if isinstance(item, Entry) else [entry.call for entry in item.entries() if entry.unsettled]


@dataclass(slots=True)
class Stack:
    """All compensations of a run. `children` are the scopes of child sagas, by the call ids of the tasks that run them."""

    root: Scope
    entries: dict[str, Entry] = field(default_factory=dict)
    last_of: dict[Any, Entry] = field(default_factory=dict)
    children: dict[str, Scope] = field(default_factory=dict)

    def child_around(self, call: str) -> Scope:
        """The scope of the child saga to whose code the call belongs, by its id; the root for the saga's own."""
        path = call.rpartition(".")[0] if self.children else ""
        while path and path not in self.children:
            path = path.rpartition(".")[0]
        return self.children[path] if path else self.root

    def told(self, call: str, scope: Scope) -> str:
        """How an event says that its call stands in that scope: not at all where the call id does."""
        return "" if self.child_around(call) is scope else scope.call or IN_ROOT

    def register(self, entry: Entry, scope: Scope) -> None:
        assert entry.call not in self.entries, f"two compensations for call {entry.call}"
        self.entries[entry.call] = entry
        scope.items.append(entry)
        if (once := entry.definition.once) is not None:
            earlier = self.last_of.get(once)
            if earlier is not None and any(item is earlier for item in scope.items) and earlier.step("replaced"):
                entry.earlier = earlier
            self.last_of[once] = entry

    def not_needed(self, call: str) -> bool:
        """The step's effect is proven not to have happened; True: nothing is to be undone for it. What an earlier call of the
        same step did is to be undone then; where an unwind holds this one, this one does that."""
        entry = self.entries.get(call)
        if entry is None:
            return False
        earlier, was = entry.earlier, entry.state
        while earlier is not None and earlier.state == NOT_NEEDED:
            earlier = earlier.earlier
        if (earlier is not None and entry.planned) or not entry.step("not needed"):
            return False
        if was == REGISTERED and earlier is not None and earlier.step("restored"):
            self.last_of[earlier.definition.once] = earlier
        return True

    def pass_pivot(self) -> None:
        """What stands here now is never undone. What is in doubt is no part of what the saga goes on with: it is settled."""
        for entry in self.entries.values():
            if entry.effect == STANDS:
                entry.step("pivot")

    def in_doubt(self) -> list[Entry]:
        """What is to be settled before a good end: also what a cancelled scope left to the error that was the reason."""
        return [entry for entry in self.entries.values() if entry.in_doubt or entry.left_open]

    def any_in(self, *states: str) -> bool:
        return any(entry.state in states for entry in self.entries.values())

    def any_planned_in(self, *states: str) -> bool:
        return any(entry.planned and entry.state in states for entry in self.entries.values())
