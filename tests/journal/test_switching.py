"""A keyspace goes from conditional commits to logs and back, on a real Cassandra: what the others left is read and finished."""

from __future__ import annotations

import pytest
from durable_saga_server.journal import Committed, Fenced, Head, Run
from durable_saga_server.journal.cassandra import CassandraJournal

from durable_saga.pb import history_pb2 as h
from tests.journal.test_logs import INCARNATION, ask, begin, commit, numbers, play, settled

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(300)]
SAGAS = ("at work", "parked", "blocked", "taken", "ended")
HEAD = "namespace = 'n' AND saga = '{}' AND run = 1 AND seq = -1"


async def leave(journal: CassandraJournal) -> None:
    """A run of every kind, as a server of this journal leaves it."""
    for saga in SAGAS:
        await begin(journal, saga)
        assert isinstance(await settled(journal, commit(saga, 1)), Committed)
    for saga, more in (
        ("parked", {"release": True, "wake_at_ms": 99}),
        ("blocked", {"release": True, "blocked": "no code"}),
        ("ended", {"status": h.COMPLETED}),
    ):
        assert isinstance(await settled(journal, commit(saga, 3, **more)), Committed)


async def head_of(journal: CassandraJournal, saga: str) -> Head:
    head = await journal.runs.head(Run("n", saga))
    assert head is not None
    return head


async def finish(journal: CassandraJournal, saga: str) -> None:
    """By another worker, if nobody has it or its worker is gone; else by the same."""
    head = await head_of(journal, saga)
    if not head.owner or saga == "taken":
        outcome = await journal.runs.acquire(head.run, INCARNATION, head.epoch, "v", 50)
        assert isinstance(outcome, Committed)
        assert outcome.head is not None
        head = outcome.head
    for seq in (head.next_seq, head.next_seq + 2):
        assert isinstance(await settled(journal, commit(saga, seq, epoch=head.epoch)), Committed)
    last = commit(saga, head.next_seq + 4, epoch=head.epoch, status=h.COMPLETED)
    assert isinstance(await settled(journal, last), Committed)
    assert await numbers(journal, saga) == list(range(head.next_seq + 6))


async def check(before: CassandraJournal, after: CassandraJournal) -> None:
    """What one left is the same for the other, who finishes it, and both see that."""
    for saga in SAGAS:
        assert await head_of(before, saga) == await head_of(after, saga)
        assert await numbers(before, saga) == await numbers(after, saga)
    for saga in SAGAS:
        if saga != "ended":
            stale = commit(saga, (await head_of(before, saga)).next_seq)
            await finish(after, saga)
            assert isinstance(await settled(before, stale), Fenced)
        assert await head_of(before, saga) == await head_of(after, saga)
        assert await numbers(before, saga) == await numbers(after, saga)
        assert (await head_of(before, saga)).status == h.COMPLETED
        assert isinstance(await after.runs.purge(Run("n", saga), INCARNATION, 2**40), Committed)
        assert await before.runs.head(Run("n", saga)) is None


@pytest.mark.parametrize("has_terms", [True, False])
def test_what_conditional_commits_wrote_is_finished_in_logs(cassandra: str, has_terms: bool) -> None:
    """The versions before logs wrote no term."""

    async def scenario(one: CassandraJournal, other: CassandraJournal) -> None:
        await leave(one)
        if not has_terms:
            for saga in SAGAS:
                await ask(one, f"UPDATE runs SET term = null WHERE {HEAD.format(saga)} IF EXISTS")
        await check(one, other)
        assert {saga for (saga,) in await ask(other, "SELECT saga FROM logs")} == set(SAGAS) - {"ended"}

    play(cassandra, scenario, ("conditional", "log"))


def test_what_stands_in_logs_is_finished_by_conditional_commits(cassandra: str) -> None:
    async def scenario(one: CassandraJournal, other: CassandraJournal) -> None:
        await leave(one)
        assert {saga for (saga,) in await ask(other, "SELECT saga FROM logs")} == set(SAGAS)
        await check(one, other)
        assert one._logs.current is not None
        assert {log for (log,) in await ask(other, "SELECT log FROM logs")} == {one._logs.current.name}

    play(cassandra, scenario, ("log", "conditional"))


def test_a_worker_goes_from_a_server_with_a_log_to_one_without_and_back(cassandra: str) -> None:
    """Under one epoch, with all that it has committed, and with the commit that it did not get an answer for."""

    async def scenario(one: CassandraJournal, other: CassandraJournal) -> None:
        await begin(one, "s")
        for seq in range(1, 21, 4):
            for through, first in ((one, seq), (other, seq + 2)):
                sent = commit("s", first)
                assert isinstance(await settled(through, sent), Committed)
                assert isinstance(await settled(one, sent), Committed)
                assert isinstance(await settled(other, sent), Committed)
        assert await numbers(one, "s") == await numbers(other, "s") == list(range(21))

    play(cassandra, scenario, ("log", "conditional"))
