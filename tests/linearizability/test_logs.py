"""Runs in logs on a real Cassandra: linearizable when statements get lost, come late or are not answered; and each rule of the
protocol is needed: without it, the same clients find a history that has no order, or one that lost something.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from durable_saga_server.journal import Commit, JournalError, JournalUnavailable, Run
from durable_saga_server.journal.cassandra import CassandraJournal, held_runs, log, logged
from durable_saga_server.journal.cassandra.heads import GLANCE, read_placed
from durable_saga_server.journal.cassandra.tails import Held, adopted, row_of

from tests.linearizability.checker import check
from tests.linearizability.clients import drive
from tests.linearizability.faulty_session import Faults
from tests.linearizability.test_stores import stands

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(400)]
SEEDS_MAX = 40
"""Within so many each planted bug is found."""


async def wrong(
    address: str, seeds: Sequence[int], share: float = 0.0, commits: Sequence[str] = ("log", "log")
) -> str:  # fmt: skip
    """What is found first; empty: nothing in any of the seeds."""
    keyspace = f"logs_{uuid.uuid4().hex[:8]}"
    journals = [CassandraJournal([address], keyspace, strict=False, replication_factor=1, commits=one) for one in commits]
    for one in journals:
        await one.initialize()
    try:
        for seed in seeds:
            if found := await _wrong_in(journals, seed, share):
                return found
    finally:
        for one in journals:
            await one.close()
    return ""


async def _wrong_in(journals: Sequence[CassandraJournal], seed: int, share: float) -> str:
    faults = [Faults(one, seed * 10 + at, share) for at, one in enumerate(journals)] if share else []
    recorder, acknowledged = await drive(journals, uuid.uuid4().hex, seed)
    for one in faults:
        await one.settle()
    assert not faults or sum(one.happened for one in faults) > 5, "something happened"
    for run, calls in recorder.calls().items():
        if found := check(calls):
            return f"seed {seed}, {run.saga}: {found}"
    try:
        await stands(journals[0], recorder.calls(), acknowledged, seed)
    except AssertionError as error:
        return f"seed {seed}: {error}"
    return ""


@pytest.mark.parametrize("other", ["log", "conditional"])
def test_they_are_linearizable_while_statements_are_lost_late_or_not_answered(cassandra: str, other: str) -> None:
    assert not asyncio.run(wrong(cassandra, range(100, 108), 0.06, ("log", other)))


# --- planted bugs ----------------------------------------------------------------------------------------------------------


async def _nothing(*_: Any) -> None: ...


async def _act_on_the_acknowledgement(self: Any, rows: Any) -> None:
    try:
        await self._session.write_together("log_row", [log.values_of(self.name, one.term, one.row) for one in rows])
        for one in rows:
            one.done.set_result(True)
    finally:
        self._batches -= 1
        self._go_on()


async def _validate_before(self: Any, rows: Any) -> None:
    try:
        fence = await log.read_fence(self._session, self.name)
        await asyncio.sleep(0.02)
        await self._session.write_together("log_row", [log.values_of(self.name, one.term, one.row) for one in rows])
        for one in rows:
            one.done.set_result(fence.holds(one.term))
    finally:
        self._batches -= 1
        self._go_on()


_read_rows, _revoke, _write = log.read_rows, log.revoke, log.Log._write


async def _slowly(self: Any, rows: Any) -> None:
    """Not wrong: it makes room for what is."""
    await asyncio.sleep(0.02)
    await _write(self, rows)


async def _read_then_revoke(session: Any, name: str, term: Any, from_seq: int) -> Any:
    rows = await _read_rows(session, name, term, from_seq)
    await asyncio.sleep(0.02)
    await _revoke(session, name, term)
    return rows


async def _no_rows(*_: Any) -> list[Any]:
    return []


async def _in_memory(self: Any, held: Held) -> Any:
    placed = await read_placed(self._session, GLANCE, held.head.run)
    return None if placed is None else placed[0]


async def _without_the_fence(self: Any, head: Any, name: str, term: Any) -> Any:
    key = (head.run, head.incarnation, term or 0)
    await asyncio.sleep(0.02)
    return adopted(head, name, term, await _read_rows(self._session, name, key, head.next_seq))


PLANTED: dict[str, list[tuple[Any, str, Any]]] = {
    "acts on the acknowledgement": [(log.Log, "_write", _act_on_the_acknowledgement)],
    "a validation that began before": [(log.Log, "_write", _validate_before)],
    "no revocation": [(held_runs, "revoke", _nothing)],
    "the taker reads before it revokes": [(held_runs, "read_rows", _read_then_revoke), (held_runs, "revoke", _nothing)],
    "the tail is not adopted": [(held_runs, "read_rows", _no_rows)],
    "a look at what is held without its fence": [(logged.Logged, "_still_held", _in_memory)],
    "a look at the tail without its fence": [(logged.Logged, "_tail_of", _without_the_fence), (log.Log, "_write", _slowly)],
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_broken_rule_is_found(cassandra: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, what, other in PLANTED[name]:
        monkeypatch.setattr(where, what, other)
    assert asyncio.run(wrong(cassandra, range(SEEDS_MAX)))


@pytest.mark.parametrize("error", [JournalError("odd"), RuntimeError("odd")], ids=repr)
def test_an_error_that_nobody_knows_is_an_unknown_outcome(error: Exception) -> None:
    """A row may be there: nobody is told that it is not, nor waits for ever."""
    told: list[str] = []

    class Fails:
        async def write_together(self, *_: Any) -> None:
            raise error

        async def read(self, *_: Any) -> list[Any]:
            raise error

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        one = log.Log(Fails(), "l", 0)  # type: ignore[arg-type]
        with pytest.raises(JournalUnavailable, match="odd"):
            await one.append((Run("n", "s"), b"i", 1), row_of(_commit(), []))
        with pytest.raises(JournalUnavailable, match="odd"):
            await one.validate()

    asyncio.run(scenario())
    assert len(told) == (0 if isinstance(error, JournalError) else 2)


def _commit() -> Commit:
    return Commit(Run("n", "s"), b"i", 1, b"c", 1, [], 1, 1)
