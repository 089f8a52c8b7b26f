"""What a worker may append: checked before the journal is asked. The fence is the journal's; this catches a broken worker."""

from __future__ import annotations

from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w

OPEN = frozenset({h.RUNNING, h.COMPENSATING, h.COMPENSATION_STUCK, h.HELD})
_ENDS = frozenset({"saga_ended", "saga_terminated"})


class Rejected(Exception):
    """The commit is no continuation of any history; the message names both sides."""


def check_commit(commit: w.Commit) -> None:
    """Raises Rejected."""
    if not commit.events:
        raise Rejected("a commit without events")
    if len(commit.commit_id) != 16 or len(commit.incarnation) != 16:
        raise Rejected("commit_id and incarnation have 16 bytes each")
    first, time_ms = commit.events[0].seq, 0
    if first < 1:
        raise Rejected(f"the first event has seq {first}; event 0 is written by start")
    last = len(commit.events) - 1
    for place, event in enumerate(commit.events):
        kind = event.WhichOneof("kind")
        if event.seq != first + place:
            raise Rejected(f"event {event.seq} stands where {first + place} was due")
        if event.time_ms < time_ms:
            raise Rejected(f"event {event.seq} is older than the one before it")
        time_ms = event.time_ms
        if kind is None or kind == "saga_started":
            raise Rejected(f"event {event.seq} is of kind {kind}; a worker can't append that")
        if kind == "saga_ended" and event.saga_ended.HasField("next") != (event.saga_ended.status == h.CONTINUED):
            raise Rejected(f"event {event.seq}: a run that is CONTINUED says how the next one starts, and no other does")
        if (kind in _ENDS) != (place == last and commit.status not in OPEN):
            raise Rejected(f"event {event.seq} is {kind}, the status after the commit {h.Status.Name(commit.status)}")
