"""Whether a history of calls on one run is linearizable: some order of the calls, each at an instant between its invocation
and its response, explains every answer. After Wing and Gong, with Lowe's memory of the configurations seen.

The run is a register with compare-and-set. A call whose outcome is unknown may take effect at any time after its invocation,
also after its time-out, or never; so may a call that has no response, because its process died. Raises nothing: `check`
answers None, or says which calls could not be explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

UNKNOWN, COMMITTED, FENCED, CREATED, EXISTS, ABSENT = "unknown", "committed", "fenced", "created", "exists", "absent"
CONFIGURATIONS_MAX = 2_000_000


class Register(NamedTuple):
    """What decides about a run, of its head row: the rest of the row follows."""

    incarnation: str
    epoch: int
    next_seq: int
    status: int
    last_commit: str
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """`kind` is create, acquire, commit or head. Times are of one monotonic clock; `responded` is None without a response.

    create: `incarnation`, `epoch`, `next_seq`, `status`, `commit`. acquire: `incarnation`, `epoch`. commit: also `next_seq`,
    `count` of events, `commit`, `status`. `outcome` is one of the words above; `seen` is the register that the answer told,
    where it told one.
    """

    kind: str
    invoked: int
    responded: int | None
    outcome: str = UNKNOWN
    incarnation: str = ""
    epoch: int = 0
    next_seq: int = 0
    count: int = 0
    commit: str = ""
    status: int = 0
    is_open: bool = True
    seen: Register | None = None
    by: str = ""

    @property
    def is_settled(self) -> bool:
        return self.responded is not None and self.outcome != UNKNOWN


def apply(register: Register | None, call: Call) -> tuple[Register | None, str, Register | None]:
    """The register after the call, its outcome, and what an answer may tell of the register."""
    if call.kind == "head":
        return register, ABSENT if register is None else "found", register
    if call.kind == "create":
        if register is not None:
            return register, EXISTS, register
        made = Register(call.incarnation, call.epoch, call.next_seq, call.status, call.commit, call.is_open)
        return made, CREATED, made
    if register is None or register.incarnation != call.incarnation:
        return register, FENCED, register
    if call.kind == "acquire":
        if register.epoch != call.epoch or not register.is_open:
            return register, FENCED, register
        taken = register._replace(epoch=call.epoch + 1)
        return taken, COMMITTED, taken
    assert call.kind == "commit", f"a call of kind {call.kind!r}"
    if register.last_commit == call.commit:
        return register, COMMITTED, register
    if register.epoch != call.epoch or register.next_seq != call.next_seq:
        return register, FENCED, register
    written = register._replace(
        next_seq=call.next_seq + call.count, last_commit=call.commit, status=call.status, is_open=call.is_open
    )
    return written, COMMITTED, written


def _explains(call: Call, outcome: str, told: Register | None) -> bool:
    """An answer that tells nothing of the register binds only the outcome."""
    return outcome == call.outcome and (call.seen is None or call.seen == told)


def check(calls: Sequence[Call], initial: Register | None = None) -> str | None:
    """None for a linearizable history, else which calls could not be explained. Raises RuntimeError beyond
    CONFIGURATIONS_MAX."""
    ordered = sorted(calls, key=lambda call: call.invoked)
    settled = sum(1 << place for place, call in enumerate(ordered) if call.is_settled)
    waiting: list[tuple[int, Register | None]] = [(0, initial)]
    seen = {(0, initial)}
    furthest, best = 0, -1
    while waiting:
        done, register = waiting.pop()
        if done & settled == settled:
            return None
        if (count := (done & settled).bit_count()) > best:
            furthest, best = done, count
        for place in _next(ordered, done):
            call = ordered[place]
            after, outcome, told = apply(register, call)
            if call.is_settled and not _explains(call, outcome, told):
                continue
            if not call.is_settled and after == register:
                continue  # without an effect it explains nothing, now or ever
            reached = (done | 1 << place, after)
            if reached not in seen:
                if len(seen) >= CONFIGURATIONS_MAX:
                    raise RuntimeError(f"more than {CONFIGURATIONS_MAX} configurations: check shorter histories")
                seen.add(reached)
                waiting.append(reached)
    return _tell(ordered, furthest)


def _next(ordered: Sequence[Call], done: int) -> list[int]:
    """Calls that may come next: invoked before the first response among the calls that must still come."""
    found: list[int] = []
    until: int | None = None
    for place, call in enumerate(ordered):
        if done >> place & 1:
            continue
        if until is not None and call.invoked > until:
            break
        found.append(place)
        if call.is_settled and call.responded is not None and (until is None or call.responded < until):
            until = call.responded
    return [place for place in found if until is None or ordered[place].invoked <= until]


def _tell(ordered: Sequence[Call], done: int) -> str:
    left = [ordered[place] for place in _next(ordered, done) if ordered[place].is_settled]
    told = "; ".join(
        f"{call.by} {call.kind} epoch {call.epoch} seq {call.next_seq}: {call.outcome} {call.seen}" for call in left
    )
    return f"no order of the calls explains their answers; {done.bit_count()} can be placed, then none of: {told}"
