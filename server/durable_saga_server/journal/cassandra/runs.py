"""Heads and events on Cassandra. The conditions of a write stand in CQL; its values come from `rules`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_saga.pb import history_pb2 as h
from durable_saga_server.clock import Clock
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import (
    Commit,
    Committed,
    Created,
    Exists,
    Fenced,
    Head,
    Hint,
    JournalError,
    JournalUnavailable,
    Outcome,
    Run,
    Unknown,
)
from durable_saga_server.journal.cassandra.heads import GLANCE, head_columns, read_head
from durable_saga_server.journal.cassandra.held_runs import LOOKS_MAX, event_rows
from durable_saga_server.journal.cassandra.hints import CassandraHints
from durable_saga_server.journal.cassandra.index import CassandraIndex
from durable_saga_server.journal.cassandra.listing import Listing
from durable_saga_server.journal.cassandra.logged import Logged, attribute_rows, mark_rows
from durable_saga_server.journal.cassandra.own_logs import OwnLogs
from durable_saga_server.journal.cassandra.purging import Purging
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.damage import READ_BYTES_MAX, cut_bytes, read_events
from durable_saga_server.journal.rules import keys_in

COMMITS_AT_ONCE_MAX = 128
LOGGED_COMMITS_AT_ONCE_MAX = 2_000
"""Rows of a log: they travel together."""
BLOCKED_KNOWN_MAX = 100_000
"""Runs whose heads were seen blocked: the commit that ends it changes their row in the listing."""


class CassandraRuns:
    """A hint and the keys that events declare are written before them, the row of the listing behind them."""

    def __init__(
        self, session: Session, clock: Clock, hints: CassandraHints, index: CassandraIndex, listing: Listing, purging: Purging,
        logs: OwnLogs,
    ) -> None:  # fmt: skip
        self._session, self._clock = session, clock
        self._hints = hints
        self._index = index
        self._listing = listing
        self._purging = purging
        self._logs, self._logged = logs, Logged(session, logs)
        self._blocked: dict[Run, None] = {}
        self._room = asyncio.Semaphore(LOGGED_COMMITS_AT_ONCE_MAX if logs.writes else COMMITS_AT_ONCE_MAX)

    async def create(self, head: Head, event: h.Event, hint: Hint | None = None) -> Created | Exists | Unknown:
        if hint is not None:
            await self._hints.add(hint)
        await self._index.declare(head.run, keys_in([event]))
        run, log = head.run, self._logs.name_for(head)
        outcome = await self._session.conditional(
            ("create_head", (*run, *head_columns(head), head.build or None, log or None, 1)),
            *event_rows(run, event.seq, [event.SerializeToString()]), *attribute_rows(run, [event]),
        )  # fmt: skip
        if isinstance(outcome, Unknown):
            return outcome
        if not outcome[0]:
            there = await self.head(head.run)
            return Unknown("the head went away") if there is None else Exists(there)
        self._listing.began(head)
        self._logged.began(head, log, 1)
        return Created(head)

    async def head(self, run: Run) -> Head | None:
        return self._noted(await self._logged.head(run))

    async def glance(self, run: Run) -> Head | None:
        return await read_head(self._session, GLANCE, run)

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        if self._logs.writes:
            return self._noted_in(await self._logged.acquire(run, incarnation, epoch, owner, now_ms))
        outcome = await self._session.conditional(("acquire", (epoch + 1, owner, now_ms, *run, incarnation, epoch)))
        if isinstance(outcome, Unknown):
            return outcome
        if not outcome[0] and outcome[1].get("log"):
            return self._noted_in(await self._logged.acquire(run, incarnation, epoch, owner, now_ms))
        head = await self.head(run)
        if outcome[0] and head is not None and head.epoch == epoch + 1 and head.owner == owner:
            return Committed(head)
        return Fenced(head)

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        answers = await asyncio.gather(*(self._commit(commit) for commit in commits), return_exceptions=True)
        outcomes: list[Outcome] = []
        for answer in answers:
            if isinstance(answer, JournalError) and len(commits) > 1:
                outcomes.append(Unknown(str(answer)))  # one of many: sent again on its own
            elif isinstance(answer, BaseException):
                raise answer
            else:
                outcomes.append(answer)
        return outcomes

    async def _commit(self, commit: Commit) -> Outcome:
        async with self._room:
            await self._index.declare(commit.run, keys_in(commit.events))
            outcome = await (self._logged.commit(commit) if self._logs.writes else self._by_condition(commit))
            if isinstance(outcome, Committed):
                if commit.consumed:
                    stamp = self._clock.now_ms() * 1000
                    await asyncio.gather(*(self._session.read("consume", stamp, *commit.run, one) for one in commit.consumed))
                if self._is_listed_anew(commit):
                    self._listing.changed(commit.run, commit)
                elif commit.build:
                    self._listing.told_build(commit.run, commit)
            return outcome

    def _noted(self, head: Head | None) -> Head | None:
        if head is not None and head.blocked:
            self._blocked[head.run] = None
            if len(self._blocked) > BLOCKED_KNOWN_MAX:
                del self._blocked[next(iter(self._blocked))]
        return head

    def _noted_in(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Committed):
            self._noted(outcome.head)
        return outcome

    def _is_listed_anew(self, commit: Commit) -> bool:
        """Whether its row in the listing is another one after this commit. A run is listed as running from its start."""
        if commit.run in self._blocked and not commit.blocked:
            del self._blocked[commit.run]
            return True
        if commit.status != h.RUNNING or commit.blocked or commit.paused is not None or commit.doing is not None:
            return True
        return any(event.WhichOneof("kind") in ("recover_requested", "attributes_set") for event in commit.events)

    async def _by_condition(self, commit: Commit) -> Outcome:
        """Unless the run is in a log."""
        closed = commit.status not in OPEN
        run = commit.run
        values = (
            commit.next_seq + len(commit.events), commit.commit_id, commit.status, commit.now_ms,
            commit.now_ms if closed else 0, commit.wake_at_ms, commit.blocked if commit.release else "",
            *run, commit.incarnation, commit.epoch, commit.next_seq, commit.commit_id,
        )  # fmt: skip
        name = "commit_and_release" if commit.release or closed else "commit"
        rows = [("event", (*run, event.seq, event.SerializeToString())) for event in commit.events]
        outcome = await self._session.conditional((name, values), *rows, *mark_rows(commit))
        if isinstance(outcome, Unknown):
            return outcome
        applied, row = outcome
        if not applied and row.get("log"):
            return await self._logged.commit(commit)  # its last commit may stand in the log
        if applied or (row.get("last_commit") == commit.commit_id and row.get("incarnation") == commit.incarnation):
            return Committed()
        return Fenced()

    async def events(self, run: Run, from_seq: int, limit: int) -> Sequence[h.Event]:
        first = max(from_seq, 0)
        until = from_seq + limit
        for _ in range(LOOKS_MAX):
            rows = [event for (event,) in await self._session.read("events", *run, first, until)]
            behind = first + len(rows)
            if behind < until and sum(map(len, rows)) < READ_BYTES_MAX:
                base, tail = await self._logged.tail(run, behind, until - behind)
                if base > behind:
                    continue  # they were in a log when the rows were read, and stand with the head now
                rows += tail
            return read_events(run, cut_bytes(enumerate(rows, first)))
        return read_events(run, cut_bytes(enumerate(rows, first)))

    async def advance(self, run: Run, incarnation: bytes, newest: int) -> None:
        outcome = await self._session.conditional(("advance", (newest, *run, incarnation, newest)))
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(outcome.reason)

    async def purge(self, run: Run, incarnation: bytes, before_ms: int) -> Outcome:
        return await self._purging.purge(await self.head(run), run, incarnation, before_ms, self._clock.now_ms())
