"""A head as a row on Cassandra, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from durable_saga_server.journal import Doing, Head, Run
from durable_saga_server.journal.cassandra.session import Session

LINEARIZABLE, GLANCE = "head", "head_seen"
"""The statements that read one: after every write that is acknowledged or under way; or as a quorum has it."""


async def read_head(session: Session, statement: str, run: Run) -> Head | None:
    """What stands with the head: of a run that is in a log, less than there is. Raises JournalUnavailable."""
    found = await read_placed(session, statement, run)
    return None if found is None else found[0]


async def read_placed(session: Session, statement: str, run: Run) -> tuple[Head, str, int | None] | None:
    """The same with its log, "" for none, and its term. Raises JournalUnavailable."""
    rows = await session.read(statement, *run)
    if not rows or rows[0][1] is None:
        return None
    *columns, newest, attributes, build, paused, log, term = rows[0]
    return head_of(run, columns, attributes, build, paused, newest or 0), log or "", term


def head_columns(head: Head) -> tuple[Any, ...]:
    return (
        head.saga_type, head.incarnation, head.status, head.owner, head.epoch, head.next_seq, head.last_commit,
        head.started_ms, head.updated_ms, head.ended_ms, head.wake_at_ms, head.blocked,
    )  # fmt: skip


def head_of(
    run: Run, row: Sequence[Any], attributes: Mapping[str, str] | None = None, build: str | None = "",
    paused: str | None = "", newest: int = 0, doing: Doing | None = None,
) -> Head:  # fmt: skip
    saga_type, incarnation, status, owner, epoch, next_seq, last_commit, started, updated, ended, wake, blocked = row
    return Head(
        run, incarnation, saga_type, status, owner or "", epoch, next_seq, last_commit, started, updated, ended, wake,
        blocked or "", newest, tuple(sorted((attributes or {}).items())), build or "", paused or "", doing or Doing(),
    )  # fmt: skip


def doing_of(row: Sequence[Any]) -> Doing:
    """Of schema.DOING_COLUMNS, which may be empty."""
    state, name, failure_type, attempt, next_ms, since_ms = row
    return Doing(state or 0, name or "", failure_type or "", attempt or 0, next_ms or 0, since_ms or 0)
