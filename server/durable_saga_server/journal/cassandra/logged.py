"""Runs whose steps are rows in a log: held in memory by the process that writes the log, read back by everybody else.

The states and the failure cases stand in docs/commit-protocol.md, "Logs". A commit ends in one of three ways: a row that was
validated, a conditional write that names the term, or an unknown outcome, after which the identical commit comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durable_saga.pb import history_pb2 as h
from durable_saga_server.journal import Commit, Committed, Fenced, Head, JournalUnavailable, Outcome, Run, Unknown
from durable_saga_server.journal.cassandra.heads import GLANCE, LINEARIZABLE, read_placed
from durable_saga_server.journal.cassandra.held_runs import LOOKS_MAX, HeldRuns, event_rows, term_of
from durable_saga_server.journal.cassandra.log import read_fence, read_rows
from durable_saga_server.journal.cassandra.tails import Held, adopted, is_in_log, part_of, row_of
from durable_saga_server.journal.rules import after_commit, attributes_in, decide_acquire, decide_commit


class Logged(HeldRuns):
    """Without a current log it writes no rows, and still goes on with runs that others have in theirs. Every method raises
    JournalUnavailable."""

    # --- commits -------------------------------------------------------------------------------------------------------------

    async def commit(self, commit: Commit) -> Outcome:
        """As Runs.commit_many() says, for one."""
        async with self._alone(commit.run):
            return await self._commit(commit, [event.SerializeToString() for event in commit.events])

    async def _commit(self, commit: Commit, events: Sequence[bytes]) -> Outcome:
        held, is_sent = self._held.get(commit.run), False
        if held is not None and held.takes(commit):
            if not held.unsettled and held.head.last_commit == commit.commit_id:
                if await self._still_held(held) is not None:
                    return Committed()
            else:
                log = self._logs.current
                is_sent = log is not None and held.log == log.name and held.is_plain(commit, sum(map(len, events)))
                outcome = await (self._append(held, commit, events) if is_sent else self._turn(held, commit, events))
                if outcome is not None:
                    return outcome
        if held is not None:
            self._forget(held)
        try:
            outcome = await self._commit_unheld(commit, events)
        except JournalUnavailable as error:
            if is_sent:
                return Unknown(error.message)
            raise
        if is_sent and isinstance(outcome, Fenced):
            return Unknown("somebody else has taken the run, and may have counted this commit")
        return outcome

    async def _append(self, held: Held, commit: Commit, events: Sequence[bytes]) -> Outcome | None:
        """None: the fence says no, so somebody else may have the run."""
        log = self._logs.of(held.log)
        assert log is not None, "its own"
        held.unsettled, held.used = commit.commit_id, asyncio.get_running_loop().time()
        try:
            is_committed = await log.append(term_of(held), row_of(commit, events))
        except JournalUnavailable as error:
            return Unknown(error.message)
        if not is_committed:
            return None
        held.add(commit, events)
        return Committed()

    async def _turn(self, held: Held, commit: Commit, events: Sequence[bytes]) -> Outcome | None:
        """By a conditional write, which carries the tail. None: it was not applied."""
        after, run = after_commit(held.head, commit), commit.run
        log = self._logs.name_for(after)
        term = held.next_term(log)
        values = (
            after.next_seq, after.last_commit, after.status, after.updated_ms, after.ended_ms, after.wake_at_ms, after.blocked,
            after.owner, log or None, term, *run, *held.condition,
        )  # fmt: skip
        held.unsettled, held.by_condition, held.used = commit.commit_id, True, asyncio.get_running_loop().time()
        rows = event_rows(run, held.base, [*held.tail, *events])
        outcome = await self._conditional(("turn", values), *rows, *mark_rows(commit))
        if isinstance(outcome, Unknown):
            return outcome
        applied, row = outcome
        if applied:
            self._keep(held, after, log, term)
            return Committed()
        if (row.get("incarnation"), row.get("last_commit"), row.get("term")) == (commit.incarnation, commit.commit_id, term):
            self._forget(held)  # an earlier copy, perhaps into another log
            return Committed()
        return None  # under another term more may stand in a log than the head tells

    async def _commit_unheld(self, commit: Commit, events: Sequence[bytes]) -> Outcome:
        """Of a run that this process does not hold, or no more: what stands there decides."""
        for _ in range(LOOKS_MAX):
            held = await self._read(commit.run)
            if held is None:
                return Fenced()
            decided = decide_commit(held.head, commit)
            if isinstance(decided, Fenced):
                if await self._is_certain(held):
                    return decided
            elif held.head.last_commit != commit.commit_id:
                outcome = await self._turn(held, commit, events)
                if outcome is not None:
                    return outcome
            elif await self._settle(held):
                return Committed(held.head)
        return Unknown("others are at work on the run")

    async def _is_certain(self, held: Held) -> bool:
        """Something may be told of a run that was read. Another taker may have read less of its tail: it has to stand with the
        head before. Where no tail was found, the log may have been dropped meanwhile, with a tail that somebody else moved:
        what stood with the head has to stand there still."""
        if held.tail:
            return await self._settle(held)
        if not is_in_log(held.head, held.log):
            return True
        return await read_placed(self._session, LINEARIZABLE, held.head.run) == (held.head, held.log, held.term)

    # --- take-over -----------------------------------------------------------------------------------------------------------

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        """As Runs.acquire() says."""
        async with self._alone(run):
            held = self._held.pop(run, None)
            if held is not None and not held.unsettled:  # what is held may be out of date: then it is not applied
                decided = decide_acquire(held.head, incarnation, epoch, owner, now_ms)
                if isinstance(decided, Committed) and (outcome := await self._take(held, decided)) is not None:
                    return outcome
            for _ in range(LOOKS_MAX):
                held = await self._read(run)
                if held is None:
                    return Fenced()
                decided = decide_acquire(held.head, incarnation, epoch, owner, now_ms)
                if isinstance(decided, Committed):
                    if (outcome := await self._take(held, decided)) is not None:
                        return outcome
                elif await self._is_certain(held):
                    return decided
            return Unknown("others are at work on the run")

    async def _take(self, held: Held, decided: Committed) -> Outcome | None:
        """None: it was not applied, so the run is another one than was read."""
        assert decided.head is not None, "decided by a head"
        after, run = decided.head, decided.head.run
        log = self._logs.name_for(after)
        term = (held.term or 0) + 1
        values = (
            after.epoch, after.owner, after.updated_ms, after.next_seq, after.last_commit, after.wake_at_ms, log or None, term,
            *run, *held.condition,
        )  # fmt: skip
        outcome = await self._conditional(("take", values), *event_rows(run, held.base, held.tail))
        if isinstance(outcome, Unknown):
            return outcome
        if not outcome[0]:
            return None
        self._keep(held, after, log, term)
        return Committed(after)

    # --- looks ---------------------------------------------------------------------------------------------------------------

    async def head(self, run: Run) -> Head | None:
        """As Runs.head() says."""
        held = self._held.get(run)
        if held is not None and not held.unsettled and (placed := await self._still_held(held)) is not None:
            return replace(held.head, newest=placed.newest, attributes=placed.attributes)
        for _ in range(LOOKS_MAX):
            stands = await read_placed(self._session, LINEARIZABLE, run)
            if stands is None:
                return None
            head, log, term = stands
            if not is_in_log(head, log):
                return head
            found = await self._tail_of(head, log, term)
            if found is not None:
                return found.head
        return await self._settled(run)

    async def tail(self, run: Run, from_seq: int, limit: int) -> tuple[int, Sequence[bytes]]:
        """How many events stand with the head, and those behind, from `from_seq` on."""
        held = self._held.get(run)
        if held is not None and not held.unsettled and await self._still_held(held) is not None:
            return held.base, part_of(held, from_seq, limit)
        for _ in range(LOOKS_MAX):
            stands = await read_placed(self._session, GLANCE, run)
            if stands is None:
                return 0, []
            head, log, term = stands
            if not is_in_log(head, log):
                return head.next_seq, []
            found = await self._tail_of(head, log, term)
            if found is not None:
                return found.base, part_of(found, from_seq, limit)
        settled = await self._settled(run)
        return (0 if settled is None else settled.next_seq), []

    async def _still_held(self, held: Held) -> Head | None:
        """A glance at the head, if nobody has taken the run, nor anything is under way, at the end of a read that began now."""
        log = self._logs.of(held.log)
        if log is None:
            return None
        fence, placed = await asyncio.gather(log.validate(), read_placed(self._session, GLANCE, held.head.run))
        if not fence.holds(term_of(held)):
            self._forget(held)
            return None
        is_same = self._held.get(held.head.run) is held and not held.unsettled
        return placed[0] if placed is not None and is_same else None

    async def _tail_of(self, head: Head, log: str, term: int | None) -> Held | None:
        """None: it is being taken from its writer."""
        key = (head.run, head.incarnation, term or 0)
        found = adopted(head, log, term, await read_rows(self._session, log, key, head.next_seq))
        return found if (await read_fence(self._session, log)).holds(key) else None


def attribute_rows(run: Run, events: Sequence[h.Event]) -> list[tuple[str, tuple[Any, ...]]]:
    """The part of a conditional batch that sets search attributes, if the events set some."""
    added = attributes_in(events)
    return [("set_attributes", (dict(added), *run))] if added else []


def mark_rows(commit: Commit) -> list[tuple[str, tuple[Any, ...]]]:
    """The same of all that a commit rarely sets."""
    rows = attribute_rows(commit.run, commit.events)
    if commit.build:
        rows.append(("set_build", (commit.build, *commit.run)))
    if commit.paused is not None:
        rows.append(("set_paused", (commit.paused, *commit.run)))
    return rows
