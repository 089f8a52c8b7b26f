"""Three replicas that plain writes reach late, in part, twice or never, and reads that see two of them.

A replica is a set of facts, held as a mask of bits; facts are only ever added. A write that was sent is a mask too: all of it
arrives at a replica or nothing (one partition, one batch). It may be under way for ever: a hint, a node that is down, a
loss, a sender that died. Deliveries are made lazily, which leaves nothing out: a write arrives at a replica no later than the
first read there that shows it, or the acknowledgement that counts it. A read asks two replicas, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

Fact = tuple[str | int, ...]
Part = tuple[str | int, ...]
Replicas = tuple[int, ...]
COUNT, QUORUM, ONE = 3, 2, 1


class Facts:
    """Which bit stands for which fact, and which facts are of one partition."""

    def __init__(self) -> None:
        self._bits: dict[Fact, int] = {}
        self._all: list[tuple[Part, Fact, int]] = []
        self._parts: dict[Part, int] = {}

    def bit(self, part: Part, *rest: str | int) -> int:
        fact = part + rest
        found = self._bits.get(fact)
        if found is None:
            found = self._bits[fact] = 1 << len(self._bits)
            self._all.append((part, rest, found))
            self._parts[part] = self._parts.get(part, 0) | found
        return found

    def of(self, part: Part) -> int:
        return self._parts.get(part, 0)

    def all(self) -> list[tuple[Part, Fact, int]]:
        return self._all


def in_order(replicas: Replicas) -> Replicas:
    """Replicas are alike: states that differ by their order alone are one."""
    return tuple(sorted(replicas))


def acknowledged(replicas: Replicas, write: int, need: int = QUORUM) -> Iterator[Replicas]:
    """Every way in which `need` replicas have it."""
    if sum(one & write == write for one in replicas) >= need:
        yield replicas
        return
    ways = (
        tuple(one | write if at in chosen else one for at, one in enumerate(replicas))
        for chosen in combinations(range(COUNT), need)
    )
    yield from dict.fromkeys(in_order(way) for way in ways)


def read_first(replicas: Replicas, sent: frozenset[int], part: int, mark: int) -> Iterator[tuple[Replicas, int]]:
    """The first replica of a read, which then bears `mark`, and what it shows of the facts `part`."""
    for at in _different(replicas):
        for held in _after_arrivals(replicas[at], sent, part):
            yield _with(replicas, at, held | mark), held & part


def read_second(
    replicas: Replicas, sent: frozenset[int], part: int, mark: int, seen: int, *, repairs: bool
) -> Iterator[tuple[Replicas, int]]:
    """The second replica, and what both have shown. `repairs`: they hold it all before the read is answered."""
    first = next(at for at in range(COUNT) if replicas[at] & mark)
    for at in _different(replicas):
        if at == first:
            continue
        for held in _after_arrivals(replicas[at], sent, part):
            both = seen | (held & part)
            added = both if repairs else 0
            after = _with(replicas, at, held | added)
            yield _with(after, first, (after[first] & ~mark) | added), both


def without(replicas: Replicas, mask: int) -> Replicas:
    return tuple(one & ~mask for one in replicas)


def under_way(sent: frozenset[int], replicas: Replicas) -> frozenset[int]:
    """A write that every replica holds is not under way any more."""
    everywhere = replicas[0] & replicas[1] & replicas[2]
    return frozenset(write for write in sent if write & ~everywhere)


def _different(replicas: Replicas) -> list[int]:
    return [at for at in range(COUNT) if replicas[at] not in replicas[:at]]


def _after_arrivals(held: int, sent: frozenset[int], part: int) -> set[int]:
    found = {held}
    for write in sent:
        if write & part & ~held:
            found |= {one | write for one in found}
    return found


def _with(replicas: Replicas, at: int, held: int) -> Replicas:
    return (*replicas[:at], held, *replicas[at + 1 :])
