"""What stands in a log of a run that is owned: rows of commits that the head does not hold yet. Decided without I/O.

A run that is *held* has its head and its tail in the memory of the one process that writes them. Its head in the journal names
the log, the *term* (one higher each time that the log of a run is another one, or is taken from its writer) and how many events
stand with it. A conditional write carries the tail into the head's partition; what is left of it in the log counts no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Commit, Head
from durable_saga_server.journal.rules import after_commit, attributes_in

TAIL_EVENTS_MAX = 200
TAIL_BYTES_MAX = 128 * 1024
"""Of one run in a log; the commit that passes one of them is a conditional write, which carries the tail with it."""


class TailRow(NamedTuple):
    """A commit as a log has it. `seq`: of its first event. The log, the run, its incarnation and the term are the key."""

    seq: int
    commit_id: bytes
    now_ms: int
    wake_at_ms: int
    events: Sequence[bytes]


@dataclass(slots=True, eq=False)
class Held:
    """A run as its writer knows it, or as somebody has just read it.

    `head` is what follows from all that is committed. `base` is how many of its events stand with the head in the journal,
    after the commit `stands`; `tail` are the others. `log` is "" for a run that is in none. `unsettled`: the id of a commit
    whose outcome is unknown, `by_condition` whether it was a conditional write. `used`: when it was last written, by
    the clock of the loop."""

    head: Head
    base: int
    stands: bytes
    log: str = ""
    term: int | None = None
    tail: list[bytes] = field(default_factory=list)
    tail_bytes: int = 0
    unsettled: bytes = b""
    by_condition: bool = False
    used: float = 0.0

    def takes(self, commit: Commit) -> bool:
        """It is the next one, as far as is known here. Somebody else may have gone on, so a no is looked at again."""
        head = self.head
        return (
            head.incarnation == commit.incarnation
            and head.epoch == commit.epoch
            and (head.next_seq == commit.next_seq or head.last_commit == commit.commit_id)
            and self.unsettled in (b"", commit.commit_id)
        )

    def is_plain(self, commit: Commit, size: int) -> bool:
        """A row in the log is enough: some events and when to look again, and nothing else."""
        return (
            not (self.unsettled and self.by_condition)
            and commit.status == self.head.status
            and not commit.release
            and bool(commit.events)
            and not self.head.blocked
            and len(self.tail) + len(commit.events) <= TAIL_EVENTS_MAX
            and self.tail_bytes + size <= TAIL_BYTES_MAX
            and commit.build in ("", self.head.build)
            and commit.paused is None
            and not attributes_in(commit.events)
        )

    def add(self, commit: Commit, events: Sequence[bytes]) -> None:
        """It is committed, and stands in the log."""
        self.head, self.unsettled = after_commit(self.head, commit), b""
        self.tail += events
        self.tail_bytes += sum(map(len, events))

    def keep(self, head: Head, log: str, term: int | None) -> None:
        """All that is committed stands with the head now."""
        self.head, self.base, self.stands, self.log, self.term = head, head.next_seq, head.last_commit, log, term
        self.tail, self.tail_bytes, self.unsettled, self.by_condition = [], 0, b"", False

    @property
    def condition(self) -> tuple[Any, ...]:
        """What a conditional write asks for, so that it is applied to what was read."""
        return self.head.incarnation, self.head.epoch, self.base, self.stands, self.term

    def next_term(self, log: str) -> int | None:
        """Of a conditional write after which the run is in this log."""
        return self.term if log == self.log else (self.term or 0) + 1


def row_of(commit: Commit, events: Sequence[bytes]) -> TailRow:
    return TailRow(commit.next_seq, commit.commit_id, commit.now_ms, commit.wake_at_ms, events)


def adopted(head: Head, log: str, term: int | None, rows: Iterable[TailRow]) -> Held:
    """What `rows` of this log and term, in order of seq, add to a head that stands in the journal: as many as follow each other
    without a gap."""
    held = Held(head, head.next_seq, head.last_commit, log, term)
    for row in rows:
        if row.seq != held.head.next_seq:
            break
        held.head = replace(
            held.head, next_seq=row.seq + len(row.events), last_commit=row.commit_id, updated_ms=row.now_ms,
            wake_at_ms=row.wake_at_ms, blocked="",
        )  # fmt: skip
        held.tail += row.events
    held.tail_bytes = sum(map(len, held.tail))
    return held


def is_in_log(head: Head, log: str) -> bool:
    """Only an open run has rows in a log that count."""
    return bool(log) and head.status in OPEN


def part_of(held: Held, from_seq: int, limit: int) -> Sequence[Any]:
    """Events of the tail, as they were written."""
    first = max(from_seq - held.base, 0)
    return held.tail[first : max(from_seq + limit - held.base, 0)]
