"""What a log adds to a head is what conditional commits would have made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from durable_saga_server.journal import Commit, Head, Run
from durable_saga_server.journal.cassandra.tails import (
    TAIL_BYTES_MAX,
    TAIL_EVENTS_MAX,
    Held,
    TailRow,
    adopted,
    part_of,
    row_of,
)
from durable_saga_server.journal.rules import after_commit
from hypothesis import given
from hypothesis import strategies as st

from durable_saga.pb import history_pb2 as h

RUN = Run("n", "s")
HEAD = Head(RUN, b"i", "t", h.RUNNING, "w", 1, 3, b"c0", 1, 2)
SIZES = st.lists(st.integers(1, 4), max_size=12)


def event(seq: int) -> h.Event:
    return h.Event(seq=seq, step_scheduled=h.StepScheduled(call=str(seq)))


def commits(sizes: Sequence[int]) -> list[Commit]:
    found, seq = [], HEAD.next_seq
    for number, size in enumerate(sizes, 1):
        events = [event(seq + at) for at in range(size)]
        found.append(Commit(RUN, b"i", 1, b"c%d" % number, seq, events, h.RUNNING, 10 + number, wake_at_ms=number))
        seq += size
    return found


def written(commit: Commit) -> list[bytes]:
    return [one.SerializeToString() for one in commit.events]


@given(SIZES)
def test_who_reads_a_log_knows_what_its_writer_knows(sizes: list[int]) -> None:
    held, expected = Held(HEAD, HEAD.next_seq, HEAD.last_commit, "l", 1), HEAD
    rows = []
    for commit in commits(sizes):
        assert held.takes(commit)
        assert held.is_plain(commit, 10)
        rows.append(row_of(commit, written(commit)))
        held.add(commit, written(commit))
        expected = after_commit(expected, commit)
        assert not held.takes(commit) or held.head.last_commit == commit.commit_id
    read = adopted(HEAD, "l", 1, rows)
    assert read.head == held.head == expected
    assert (read.tail, read.tail_bytes, read.base, read.stands) == (held.tail, held.tail_bytes, 3, b"c0")
    everything = [data for commit in commits(sizes) for data in written(commit)]
    assert read.tail == everything


@given(SIZES, st.data())
def test_a_gap_ends_what_counts(sizes: list[int], data: st.DataObject) -> None:
    rows = [row_of(commit, written(commit)) for commit in commits(sizes)]
    lost = data.draw(st.sets(st.integers(0, max(len(rows) - 1, 0))))
    there = [row for at, row in enumerate(rows) if at not in lost]
    whole = next((at for at in range(len(rows)) if at in lost), len(rows))
    assert adopted(HEAD, "l", 1, there).head.next_seq == 3 + sum(sizes[:whole])


@given(SIZES, st.integers(0, 60), st.integers(0, 30))
def test_a_part_of_a_history_is_found_where_it_stands(sizes: list[int], first: int, limit: int) -> None:
    held = adopted(HEAD, "l", 1, [row_of(commit, written(commit)) for commit in commits(sizes)])
    wanted = [event(seq).SerializeToString() for seq in range(max(first, 3), min(first + limit, 3 + sum(sizes)))]
    assert list(part_of(held, first, limit)) == wanted


def test_what_is_more_than_events_is_a_conditional_write() -> None:
    (commit,) = commits([1])
    held = Held(HEAD, 3, b"c0", "l", 1)
    others = {
        "another status": Commit(RUN, b"i", 1, b"c", 3, commit.events, h.COMPENSATING, 11),
        "a release": Commit(RUN, b"i", 1, b"c", 3, commit.events, h.RUNNING, 11, release=True),
        "no events": Commit(RUN, b"i", 1, b"c", 3, [], h.RUNNING, 11),
        "attributes": Commit(
            RUN, b"i", 1, b"c", 3, [h.Event(seq=3, attributes_set=h.AttributesSet(attributes={"a": "b"}))], h.RUNNING, 11
        ),
        "another build": replace(commit, build="b2"),
    }
    assert {name for name, one in others.items() if held.is_plain(one, 10)} == set()
    held.head = replace(HEAD, build="b1")
    assert held.is_plain(replace(commit, build="b1"), 10), "the start has told it: a first commit is as any other"
    assert held.is_plain(commit, TAIL_BYTES_MAX)
    assert not held.is_plain(commit, TAIL_BYTES_MAX + 1)
    held.tail = [b""] * TAIL_EVENTS_MAX
    assert not held.is_plain(commit, 10)


def test_nothing_but_the_same_commit_follows_an_unknown_one() -> None:
    (commit,) = commits([1])
    held = Held(HEAD, 3, b"c0", "l", 1, unsettled=b"other")
    assert not held.takes(commit)
    held.unsettled = commit.commit_id
    assert held.takes(commit)
    held.by_condition = True
    assert not held.is_plain(commit, 10), "a conditional write stays one"


def test_a_row_is_the_commit_that_it_came_from() -> None:
    (commit,) = commits([2])
    assert row_of(commit, written(commit)) == TailRow(3, b"c1", 11, 1, written(commit))
