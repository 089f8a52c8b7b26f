"""Broken variants of the log protocol that the model refuted (docs/commit-model.md), planted into the real code of the logs, or
into the replicas below it. The simulation with logs must find each within its stated seeds.
"""

from __future__ import annotations

import asyncio
from typing import Any

from durable_saga_server.journal import Committed, JournalUnavailable, Unknown
from durable_saga_server.journal.cassandra import held_runs, log, logged, own_logs, tails
from durable_saga_server.journal.cassandra.heads import GLANCE, read_placed
from durable_saga_server.journal.cassandra.log import Fence, Log, values_of
from durable_saga_server.journal.cassandra.logged import Logged
from durable_saga_server.journal.cassandra.tails import Held, adopted

from tests.simulation.log_session import SimulatedSession
from tests.simulation.log_tables import LogTables
from tests.simulation.planted import SEEDS_EASY, Bug

REVOCATIONS_KEPT_US = 3_000_000


async def _act_on_the_acknowledgement(self: Any, rows: Any) -> None:
    try:
        await self._session.write_together("log_row", [values_of(self.name, one.term, one.row) for one in rows])
    except JournalUnavailable as error:
        log._fail(rows, error)
    else:
        for one in rows:
            if not one.done.done():
                one.done.set_result(True)
    finally:
        self._batches -= 1
        self._go_on()


async def _validate_before(self: Any, rows: Any) -> None:
    try:
        fence = await log.read_fence(self._session, self.name)
        await self._session.write_together("log_row", [values_of(self.name, one.term, one.row) for one in rows])
    except JournalUnavailable as error:
        log._fail(rows, error)
    else:
        for one in rows:
            if not one.done.done():
                one.done.set_result(fence.holds(one.term))
    finally:
        self._batches -= 1
        self._go_on()


async def _nothing(*_: Any) -> None: ...


async def _no_rows(*_: Any) -> list[Any]:
    return []


_read_rows, _revoke, _read_fence = log.read_rows, log.revoke, log.read_fence
_waiting: set[asyncio.Task[Any]] = set()


async def _revoke_without_waiting(session: Any, name: str, term: Any) -> None:
    async def quietly() -> None:
        try:
            await _revoke(session, name, term)
        except JournalUnavailable:
            pass  # the bug: nobody waits for it

    task = asyncio.get_running_loop().create_task(quietly())
    _waiting.add(task)
    task.add_done_callback(_waiting.discard)


async def _read_then_revoke(session: Any, name: str, term: Any, from_seq: int) -> Any:
    rows = await _read_rows(session, name, term, from_seq)
    await _revoke(session, name, term)
    return rows


async def _look_without_the_fence(self: Any, head: Any, name: str, term: Any) -> Any:
    return adopted(
        head, name, term, await _read_rows(self._session, name, (head.run, head.incarnation, term or 0), head.next_seq)
    )


def _take_anything(self: Any, commit: Any) -> bool:
    """It forgets that a row is unsettled."""
    head = self.head
    return bool((head.incarnation, head.epoch, head.next_seq) == (commit.incarnation, commit.epoch, commit.next_seq))


_turn = Logged._turn


async def _go_on_after_unknown(self: Any, held: Any, commit: Any, events: Any) -> Any:
    outcome = await _turn(self, held, commit, events)
    return Committed() if isinstance(outcome, Unknown) else outcome


async def _go_on_after_unknown_release(self: Any, held: Any, commit: Any, events: Any) -> Any:
    outcome = await _turn(self, held, commit, events)
    return Committed() if isinstance(outcome, Unknown) and commit.release else outcome


async def _turn_without_tail(self: Any, held: Any, commit: Any, events: Any) -> Any:
    """As if the rows before were not acknowledged yet."""
    tail, held.tail = held.tail, []
    try:
        return await _turn(self, held, commit, events)
    finally:
        held.tail = tail if held.tail == [] and held.base != held.head.next_seq else held.tail


_take = Logged._take


async def _take_in_memory(self: Any, held: Any, decided: Any) -> Any:
    """What is adopted is known to the taker, and not written."""
    held.tail = []
    return await _take(self, held, decided)


def _a_gone_fence_is_open(self: Any, term: Any) -> bool:
    return term not in self.revoked


def _stands_somewhere(self: Any, run: Any, *condition: Any, is_open: bool = False) -> Any:
    """The term alone; neither how many events stand nor the last commit."""
    row = self.rows.get(run)
    if row is None or (row["incarnation"], row["epoch"], row["term"]) != (*condition[:2], condition[4]):
        return None
    return None if is_open and row["status"] not in (1, 2, 3, 9) else row


def _term_without_incarnation(held: Any) -> Any:
    return held.head.run, b"", held.term or 0


async def _read_without_incarnation(session: Any, name: str, term: Any, from_seq: int) -> Any:
    return await _read_rows(session, name, (term[0], b"", term[2]), from_seq)


def _no_incarnation(self: Any, incarnation: bytes) -> bytes:
    """The oracle goes by the same key: it does not find that alone."""
    return b""


async def _collect_while_open(self: Any, before_ms: int) -> int:
    for name, used_ms in await self._session.read("known_logs"):
        if name not in self._all and used_ms <= before_ms:
            await self._session.read("log_drop", name)
            await self._session.read("log_forget", name)
    return 0


async def _collect_without_a_look(self: Any, before_ms: int) -> int:
    for name, used_ms in await self._session.read("known_logs"):
        if name not in self._all and used_ms <= before_ms:
            await self._session.read("fence_close", name)
            await self._session.read("log_drop", name)
            await self._session.read("log_forget", name)
    return 0


async def _from_memory(self: Any, held: Held) -> Any:
    placed = await read_placed(self._session, GLANCE, held.head.run)
    return None if placed is None else placed[0]


_ONE, _TERM, _ROWS = (SimulatedSession, "needs"), _term_without_incarnation, _read_without_incarnation
_READS_FIRST = [(held_runs, "read_rows", _read_then_revoke), (held_runs, "revoke", _nothing)]
_NO_KEY = [
    (held_runs, "term_of", _TERM), (logged, "term_of", _TERM), (held_runs, "read_rows", _ROWS), (logged, "read_rows", _ROWS),
    (LogTables, "_in_key", _no_incarnation),
]  # fmt: skip

BUGS = [
    Bug("acting on the acknowledgement", SEEDS_EASY, [(Log, "_write", _act_on_the_acknowledgement)]),
    Bug("no revocation", SEEDS_EASY, [(held_runs, "revoke", _nothing)]),
    Bug("a validation that began before the acknowledgement", SEEDS_EASY, [(Log, "_write", _validate_before)]),
    Bug("a validation at ONE", SEEDS_EASY, [(*_ONE, {"fence": 1})]),
    Bug("an append at ONE", SEEDS_EASY, [(*_ONE, {"log_row": 1})]),
    Bug("a read of the tail at ONE", SEEDS_EASY, [(*_ONE, {"log_rows": 1})]),
    Bug(
        "a taker that does not wait for its revocation", SEEDS_EASY, [(held_runs, "revoke", _revoke_without_waiting)], first=40
    ),
    Bug("a taker that reads before it revokes", SEEDS_EASY, _READS_FIRST, first=120),
    Bug("no read repair", SEEDS_EASY, [(SimulatedSession, "repairs", False)]),
    Bug("a taker that does not read", SEEDS_EASY, [(held_runs, "read_rows", _no_rows)]),
    Bug("what is adopted is not written", SEEDS_EASY, [(Logged, "_take", _take_in_memory)]),
    Bug("a look without the fence", SEEDS_EASY, [(Logged, "_tail_of", _look_without_the_fence)]),
    Bug("a look at what is held without the fence", SEEDS_EASY, [(Logged, "_still_held", _from_memory)]),
    Bug("new content after an unknown outcome", SEEDS_EASY, [(tails.Held, "takes", _take_anything)], first=480),
    Bug("going on after an unknown change or turn", SEEDS_EASY, [(Logged, "_turn", _go_on_after_unknown)]),
    Bug("going on after an unknown release", SEEDS_EASY, [(Logged, "_turn", _go_on_after_unknown_release)]),
    Bug("a change that leaves out what stands in the log", SEEDS_EASY, [(Logged, "_turn", _turn_without_tail)]),
    Bug("revocations that expire", SEEDS_EASY, [(SimulatedSession, "revocations_kept_us", REVOCATIONS_KEPT_US)]),
    Bug("a fence that is gone counts as open", SEEDS_EASY, [(Fence, "holds", _a_gone_fence_is_open)]),
    Bug("no incarnation in the key of a row", SEEDS_EASY, _NO_KEY),
    Bug("a condition that does not name the place", SEEDS_EASY, [(LogTables, "_stands", _stands_somewhere)]),
    Bug("a log is dropped while its fence is open", SEEDS_EASY, [(own_logs.OwnLogs, "collect", _collect_while_open)]),
    Bug("a log is dropped without a look at the heads", SEEDS_EASY, [(own_logs.OwnLogs, "collect", _collect_without_a_look)]),
]
