"""What a write does to a head, decided without I/O; the stores only carry it out.

Memory and SQLite decide with these functions under their own lock. Cassandra states the same conditions in CQL and uses
`after_commit` for the values; the agreement test holds the three together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from durable_saga.pb import history_pb2 as h
from durable_saga.pb.limits import RUN_NUMBER_MAX, TIME_MS_MAX
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import (
    SHARDS,
    Attributes,
    Commit,
    Committed,
    Fenced,
    Filter,
    Head,
    Hint,
    Outcome,
    Run,
    Standing,
    Switch,
    Tally,
)

DIGITS_MAX = 18
_WITH_KEYS = frozenset({"saga_started", "key_declared"})
_WITH_ATTRIBUTES = frozenset({"saga_started", "attributes_set"})
TallyKind = tuple[str, int, str, bool, bool]
"""Type, status, build, whether it is blocked, and paused."""
StandingKind = tuple[str, int, str, str]
"""Type, sub-state, name, type of failure."""
_BY_STATUS: dict[int, int] = {h.COMPENSATION_STUCK: h.STUCK, h.HELD: h.FAILED_AND_HELD}
NOTEWORTHY = frozenset({h.COMPENSATION_STUCK, h.COMPENSATED, h.FAILED, h.CANCELLED, h.TERMINATED, h.HELD})


def decide_acquire(head: Head | None, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
    if head is None or head.incarnation != incarnation or head.epoch != epoch or head.status not in OPEN:
        return Fenced(head)
    return Committed(replace(head, epoch=epoch + 1, owner=owner, updated_ms=now_ms))


def decide_commit(head: Head | None, commit: Commit) -> Outcome:
    """Committed with the head as it is after it, or Fenced. An earlier copy of the same commit counts as this one."""
    if head is None or head.incarnation != commit.incarnation:
        return Fenced(head)
    if head.last_commit == commit.commit_id:
        return Committed(head)
    if head.epoch != commit.epoch or head.next_seq != commit.next_seq:
        return Fenced(head)
    return Committed(after_commit(head, commit))


def decide_purge(head: Head | None, incarnation: bytes) -> Outcome:
    if head is None:
        return Committed()
    return Fenced(head) if head.incarnation != incarnation or head.status in OPEN else Committed(head)


def decide_switch(before: Switch | None, switch: Switch) -> bool:
    """Whether it is written now, or was by an earlier copy of the call."""
    return switch == before or switch.version == (1 if before is None else before.version + 1)


def begins_later(head: Head, now_ms: int) -> bool:
    """It was started for a later time, and that has not come: nobody gets it before."""
    return head.next_seq == 1 and head.wake_at_ms > now_ms and not head.owner and not head.blocked and head.status in OPEN


def is_noteworthy(head: Head) -> bool:
    """A monitor looks at it."""
    return head.status in NOTEWORTHY or bool(head.blocked)


def tally_kind(head: Head) -> TallyKind:
    """What it is counted as."""
    if head.status not in OPEN:
        return head.saga_type, head.status, "", False, False
    return head.saga_type, head.status, head.build, bool(head.blocked), bool(head.paused)


def sub_state(head: Head) -> int:
    """What an open run does or waits for, the first that counts; 0: it is at work, or has ended."""
    if head.status not in OPEN:
        return h.SUB_STATE_UNSPECIFIED
    if head.blocked:
        return h.BLOCKED
    if head.paused:
        return h.PAUSED
    if head.status in _BY_STATUS:
        return _BY_STATUS[head.status]
    return head.doing.state or (h.UNWINDING if head.status == h.COMPENSATING else h.SUB_STATE_UNSPECIFIED)


def standing_kind(head: Head) -> StandingKind:
    """What it is counted as where its sub-state is not 0."""
    return head.saga_type, sub_state(head), head.doing.name, head.doing.failure_type


def standings_of(counted: Mapping[StandingKind, int]) -> list[Standing]:
    return sorted(Standing(*kind, count) for kind, count in counted.items() if kind[1] and count > 0)


def tallies_of(counted: Mapping[TallyKind, int]) -> list[Tally]:
    found = []
    for (saga_type, status, build, is_blocked, is_paused), count in counted.items():
        found.append(Tally(saga_type, status, count, build, is_blocked, is_paused))
    return sorted(found)


def in_order(messages: Iterable[h.InboxMessage]) -> list[h.InboxMessage]:
    """As a run reads its inbox."""
    return sorted(messages, key=lambda one: (one.received_ms, one.place, one.message_id))


def after_commit(head: Head, commit: Commit) -> Head:
    """Field by field: `dataclasses.replace` takes three times as long, of every step."""
    closed = commit.status not in OPEN
    return Head(
        head.run, head.incarnation, head.saga_type, commit.status, "" if commit.release or closed else head.owner, head.epoch,
        commit.next_seq + len(commit.events), commit.commit_id, head.started_ms, commit.now_ms,
        commit.now_ms if closed else 0, commit.wake_at_ms, commit.blocked if commit.release else "", head.newest,
        attributes_in(commit.events, head.attributes), commit.build or head.build,
        head.paused if commit.paused is None else commit.paused, head.doing if commit.doing is None else commit.doing,
    )  # fmt: skip


def cut_hints(rows: list[tuple[int, str, str, int]], limit: int) -> list[tuple[int, str, str, int]]:
    """At most `limit` rows of (due_ms, …), ordered, but never cut inside one due_ms."""
    if len(rows) <= limit:
        return rows
    last = rows[limit - 1][0]
    return [row for row in rows if row[0] <= last]


def hints_of(shard: int, rows: Iterable[tuple[int, str, str, int]]) -> list[Hint]:
    """Rows of (due_ms, namespace, saga, run) of one shard."""
    mailbox = shard if shard >= SHARDS else 0
    return [Hint(row[0], Run(*row[1:]), mailbox) for row in rows]


def passes(head: Head, wanted: Filter) -> bool:
    return (
        head.run.namespace == wanted.namespace
        and (not wanted.saga_type or head.saga_type == wanted.saga_type)
        and (not wanted.statuses or head.status in wanted.statuses)
        and head.started_ms >= wanted.started_after_ms
        and (not wanted.started_before_ms or head.started_ms < wanted.started_before_ms)
        and set(wanted.attributes) <= set(head.attributes)
        and (not wanted.build or head.build == wanted.build)
        and (not wanted.blocked or bool(head.blocked))
        and (not wanted.paused or bool(head.paused))
        and (not wanted.sub_states or (head.status in OPEN and sub_state(head) in wanted.sub_states))
        and (not wanted.failure_type or head.doing.failure_type == wanted.failure_type)
        and (not wanted.ended_after_ms or head.ended_ms >= wanted.ended_after_ms)
        and (not wanted.ended_before_ms or 0 < head.ended_ms < wanted.ended_before_ms)
        and head.run.saga.startswith(wanted.id_prefix)
    )


def keys_in(events: Iterable[h.Event]) -> list[str]:
    """The correlation keys that events declare."""
    found: list[str] = []
    for event in events:
        if (kind := event.WhichOneof("kind")) in _WITH_KEYS:
            if kind == "saga_started":
                found += event.saga_started.keys
            else:
                found.append(event.key_declared.key)
    return found


def attributes_in(events: Iterable[h.Event], before: Attributes = ()) -> Attributes:
    """The search attributes after events that may set some."""
    found: dict[str, str] = {}
    for event in events:
        if (kind := event.WhichOneof("kind")) in _WITH_ATTRIBUTES:
            found.update(getattr(event, kind).attributes)
    return tuple(sorted((dict(before) | found).items())) if found else before


def cut_changes(heads: Sequence[Head], limit: int) -> Sequence[Head]:
    """At most `limit` of heads ordered by updated_ms, but never cut inside one millisecond."""
    if len(heads) <= limit:
        return heads
    last = heads[limit - 1].updated_ms
    return [head for head in heads if head.updated_ms <= last]


def page_token(head: Head) -> str:
    return f"{head.started_ms}/{head.run.run}/{head.run.saga}"


def page_token_before(time_ms: int) -> str:
    """What was started before a time."""
    return f"{time_ms - 1}/0/"


def read_page_token(page: str) -> tuple[int, str, int]:
    """(started_ms, saga, run) after which the page begins. Raises ValueError."""
    parts = page.split("/", 2)
    if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) <= DIGITS_MAX for part in parts[:2]):
        started_ms, run = int(parts[0]), int(parts[1])
        if started_ms <= TIME_MS_MAX and run <= RUN_NUMBER_MAX:
            return started_ms, parts[2], run
    raise ValueError(f"page {page[:80]!r} was not given out by this journal: start from the first page")
