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

UNKNOWN, COMMITTED, FENCED = "unknown", "committed", "fenced"
CREATED, EXISTS, FOUND, ABSENT = "created", "exists", "found", "absent"
CONFIGURATIONS_MAX = 2_000_000


class Register(NamedTuple):
    """What decides about a run, of its head row, and who owns it."""

    incarnation: str
    epoch: int
    owner: str
    next_seq: int
    status: int
    last_commit: str
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """`kind` is create, acquire, commit or head. Times are of one monotonic clock; `responded` is None without a response.

    create: `incarnation`, `epoch`, `owner`, `next_seq`, `status`, `commit`. acquire: `incarnation`, `epoch`, `owner`. commit:
    `incarnation`, `epoch`, `next_seq`, `count` of events, `commit`, `status`, `releases`. `outcome` is one of the words
    above; `seen` is the register that a head or an acquire told.
    """

    kind: str
    invoked: int
    responded: int | None
    outcome: str = UNKNOWN
    incarnation: str = ""
    epoch: int = 0
    owner: str = ""
    next_seq: int = 0
    count: int = 0
    commit: str = ""
    status: int = 0
    is_open: bool = True
    releases: bool = False
    seen: Register | None = None
    by: str = ""

    @property
    def is_settled(self) -> bool:
        return self.responded is not None and self.outcome != UNKNOWN


def apply(register: Register | None, call: Call) -> tuple[Register | None, str]:
    """The register after the call, and its outcome."""
    if call.kind == "head":
        return register, ABSENT if register is None else FOUND
    if call.kind == "create":
        if register is not None:
            return register, EXISTS
        made = (call.incarnation, call.epoch, call.owner, call.next_seq, call.status, call.commit, call.is_open)
        return Register(*made), CREATED
    if register is None or register.incarnation != call.incarnation:
        return register, FENCED
    if call.kind == "acquire":
        if register.epoch != call.epoch or not register.is_open:
            return register, FENCED
        return register._replace(epoch=call.epoch + 1, owner=call.owner), COMMITTED
    assert call.kind == "commit", f"a call of kind {call.kind!r}"
    if register.last_commit == call.commit:
        return register, COMMITTED
    if register.epoch != call.epoch or register.next_seq != call.next_seq:
        return register, FENCED
    owner = "" if call.releases or not call.is_open else register.owner
    seq = call.next_seq + call.count
    written = register._replace(owner=owner, next_seq=seq, last_commit=call.commit, status=call.status, is_open=call.is_open)
    return written, COMMITTED


def _explains(call: Call, outcome: str, after: Register | None) -> bool:
    """Whether the answer of a settled call may be this one. An acquire that is fenced may have been carried out and then
    overtaken by another one before its answer was made: the caller owns nothing either way."""
    if call.kind == "acquire" and call.outcome == FENCED:
        return True
    if outcome != call.outcome:
        return False
    if call.kind == "acquire" and call.seen is not None and after is not None:
        return (call.seen.epoch, call.seen.owner) == (after.epoch, after.owner)
    return call.kind != "head" or call.seen == after


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
            after, outcome = apply(register, call)
            if call.is_settled and not _explains(call, outcome, after):
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
