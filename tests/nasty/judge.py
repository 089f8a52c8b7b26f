"""Who says whether an entry came out right. It knows the three laws, and what the entry's line says beside them.

- The ledger is settled: an effect that began, and whose success is not in the history, is undone before any end, unless the
  history proves that nothing happened; what is recorded as done stands in a saga that completed, and is undone in one that
  was undone.
- The record says what happened: each effect has its intent and one outcome, each undo its own; the end is the last event.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_saga.pb import history_pb2 as h
from tests.nasty.attempts import type_of
from tests.nasty.entry import ANY, Entry
from tests.nasty.ledger import Row

_FINAL = ("step_completed", "step_failed", "step_cancelled")
_ENDED = ("completed", "compensated", "failed", "cancelled", "terminated")
UNDONE = ("compensated", "failed", "cancelled")


@dataclass(slots=True)
class Seen:
    """What is known of one entry when it is over, or when nobody waits for it any longer."""

    entry: Entry
    status: str
    blocked: str
    history: Sequence[h.Event]
    rows: list[Row]
    result: Any = None
    state: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    killed: bool = False
    not_refused: list[str] = field(default_factory=list)
    at_the_end: int | None = None
    """How many lines the ledger had for it when the client heard of its end."""

    @property
    def kinds(self) -> list[str]:
        return [str(one.WhichOneof("kind")) for one in self.history]

    @property
    def unread(self) -> list[str]:
        return [one for event in self.history if event.HasField("saga_ended") for one in event.saga_ended.unread]

    def of(self, kind: str) -> list[Any]:
        return [getattr(one, kind) for one in self.history if one.WhichOneof("kind") == kind]

    def final_status(self) -> str:
        return "blocked" if self.status == "running" and self.blocked else self.status


def judge(seen: Seen) -> list[str]:
    """What is wrong, in words."""
    return [*_ends(seen), *_settled(seen), *_record(seen), *_labels(seen), *_attempts(seen), *_words(seen)]


def _ends(seen: Seen) -> Iterator[str]:
    entry, status = seen.entry, seen.final_status()
    if status != entry.status and not (seen.killed and status in entry.after_kill):
        yield f"it is {status} ({seen.blocked or seen.error[-300:]!r}), not {entry.status}"
    if status == "completed" and entry.result is not ANY and seen.result != entry.result:
        yield f"its result is {seen.result!r}, not {entry.result!r}"
    failure = [one.failure.type for one in seen.of("saga_ended")]
    if entry.error and status in UNDONE and not (failure and failure[0].endswith(entry.error)):
        yield f"it failed with {failure}, not {entry.error}"
    if entry.step_error:
        right = type_of(entry.step_error)
        told = [one.failure.type for one in seen.of("step_failed")]
        if right not in told:
            yield f"the history says that its step failed with {told}, not {right}"
    yield from seen.not_refused


def _settled(seen: Seen) -> Iterator[str]:
    """L2."""
    if seen.final_status() not in _ENDED:
        return
    cut_off = {one.call for kind in ("step_failed", "step_cancelled") for one in seen.of(kind)}
    succeeded = {one.call for one in seen.of("step_completed")} - cut_off
    proven = {one.call for one in seen.of("step_failed") if one.failure.not_applied}
    scheduled = {one.call: one for one in seen.of("step_scheduled")}
    scopes = {one.call for one in seen.of("unwind_started") if one.call}
    done = {one.call for one in seen.of("compensation_completed")}
    undone = {row.call for row in seen.rows if row.what == "undone"}
    for call in {row.call: None for row in seen.rows if row.what == "begins"}:
        if call not in scheduled:
            yield f"call {call} ran and the history does not know it"
        elif not scheduled[call].compensation or call in proven:
            if call in undone:
                yield f"call {call} was undone, and it is recorded that nothing happened"
        elif call not in succeeded and call not in undone:
            yield f"L2: call {call} ({scheduled[call].name}) is in doubt and was not undone"
        elif call in undone and call not in done:
            yield f"call {call} was undone, and the history does not say so"
        elif seen.status == "completed" and not scopes and call in succeeded and call in undone:
            yield f"call {call} completed in a saga that completed, and was undone"
        elif seen.status in UNDONE and call not in undone:
            yield f"call {call} stands in a saga that is {seen.status}"


def _record(seen: Seen) -> Iterator[str]:
    """L1, and C10."""
    outcomes: dict[str, list[str]] = defaultdict(list)
    for kind in _FINAL:
        for one in seen.of(kind):
            outcomes[one.call].append(kind)
    late = {one.call for one in seen.of("step_failed") if one.failure.type.endswith("StepTimedOut")}
    late |= {one.call for one in seen.of("step_cancelled")}
    for call, found in outcomes.items():
        if len(found) > 1 and call not in late:  # one that was cut off may tell what it did after all
            yield f"L1: call {call} has the outcomes {found}"
    if seen.final_status() in _ENDED:
        for one in seen.of("step_scheduled"):
            if one.call not in outcomes:
                yield f"L1: call {one.call} ({one.name}) has no outcome in the history"
        if seen.kinds[-1] not in ("saga_ended", "saga_terminated"):
            yield f"it is {seen.status}, and its last event is {seen.kinds[-1]}"
    for call, often in Counter(one.call for one in seen.of("compensation_completed")).items():
        if often > 1:
            yield f"C10: the outcome of the undo of {call} stands {often} times in the history"
    if seen.at_the_end is not None and seen.at_the_end < len(seen.rows):
        after = [f"{row.what} {row.label}" for row in seen.rows[seen.at_the_end :]]
        if any(one.startswith(("begins", "undone")) for one in after):
            yield f"after its end it still did {after}"


def _labels(seen: Seen) -> Iterator[str]:
    if seen.final_status() != seen.entry.status or seen.entry.status not in _ENDED:
        return
    undone = {row.label for row in seen.rows if row.what == "undone"}
    done = {row.label for row in seen.rows if row.what == "done"}
    right, standing = set(seen.entry.undone.split()), set(seen.entry.stands.split())
    if undone != right:
        yield f"undone: {sorted(undone)}, not {sorted(right)}"
    if not standing <= done - undone:
        yield f"standing: {sorted(done - undone)}, not {sorted(standing)}"


def _attempts(seen: Seen) -> Iterator[str]:
    """A call is attempted as often as its policy says; with a kill, or in a worker that dies, also once for each life."""
    often: Counter[tuple[str, int | None]] = Counter()
    for row in seen.rows:
        if row.what == "begins":
            life = row.process if seen.killed or seen.entry.worker == "dies" else None
            often[row.call, life] += 1
    for (call, _), count in often.items():
        if count > seen.entry.attempts:
            yield f"L1: call {call} was attempted {count} times, not {seen.entry.attempts}"


def _words(seen: Seen) -> Iterator[str]:
    if seen.entry.words and seen.entry.words not in seen.error + seen.blocked:
        yield f"{seen.entry.words!r} is not in its error {seen.error[-300:]!r}, nor in {seen.blocked[-300:]!r}"
    if seen.entry.check is not None and (wrong := seen.entry.check(seen)):
        yield wrong
