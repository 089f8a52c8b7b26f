"""The inbox in SQLite: its bound is exact, and what a message costs does not grow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from durable_saga_server.journal import INBOX_MESSAGES_MAX, InboxFull, Run
from durable_saga_server.journal.sqlite_hands import Hands
from durable_saga_server.journal.sqlite_inbox import COUNT_EVERY, SqliteInbox
from durable_saga_server.journal.sqlite_migrating import migrate

from durable_saga.pb import history_pb2 as h

RUN = Run("n", "s")
OPERATIONS = 1_000
"""Of SQLite's virtual machine, at a time."""


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


@pytest.fixture
def inbox() -> SqliteInbox:
    return SqliteInbox(Hands(":memory:"))  # what it does in a transaction needs none


def put(db: sqlite3.Connection, inbox: SqliteInbox, numbers: range) -> None:
    for number in numbers:
        assert inbox._put(db, RUN, h.InboxMessage(message_id=f"m{number:06}", received_ms=number))


def read(db: sqlite3.Connection, numbers: range) -> None:
    db.executemany("UPDATE inbox SET message = NULL WHERE message_id = ?", [(f"m{number:06}",) for number in numbers])


def cost(db: sqlite3.Connection, inbox: SqliteInbox, numbers: range) -> int:
    """How often SQLite did OPERATIONS while these were put."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(step, OPERATIONS)
    put(db, inbox, numbers)
    db.set_progress_handler(None, 0)
    return steps


def test_a_message_costs_the_same_however_many_were_sent_before(db: sqlite3.Connection, inbox: SqliteInbox) -> None:
    at_first = cost(db, inbox, range(1_024))
    put(db, inbox, range(1_024, 9_000))
    read(db, range(4_000))
    later = cost(db, inbox, range(9_000, 9_000 + 1_024))
    counts = 1_024 // COUNT_EVERY
    assert later - at_first < 2 * counts * 9_000 * 10 // OPERATIONS, "no more than a few counts of some thousand messages"


def test_an_inbox_takes_as_many_as_its_bound_says_and_one_more_for_each_that_is_read(
    db: sqlite3.Connection, inbox: SqliteInbox
) -> None:
    put(db, inbox, range(INBOX_MESSAGES_MAX))
    with pytest.raises(InboxFull):
        put(db, inbox, range(INBOX_MESSAGES_MAX, INBOX_MESSAGES_MAX + 1))
    read(db, range(3))
    put(db, inbox, range(INBOX_MESSAGES_MAX, INBOX_MESSAGES_MAX + 3))
    with pytest.raises(InboxFull):
        put(db, inbox, range(INBOX_MESSAGES_MAX + 3, INBOX_MESSAGES_MAX + 4))
    assert db.execute("SELECT count(*) FROM inbox WHERE message IS NOT NULL").fetchone() == (INBOX_MESSAGES_MAX,)
    assert not inbox._put(db, RUN, h.InboxMessage(message_id=f"m{INBOX_MESSAGES_MAX:06}")), "a repetition needs no room"
