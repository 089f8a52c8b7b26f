"""The parts of a day in the listing: every server puts a run into the same one, pages and tallies read all of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from typing import Any

import pytest
from durable_saga_server.journal import Commit, Committed, Created, Filter, Head, JournalUnavailable, Run
from durable_saga_server.journal.cassandra import CassandraJournal, index, parts, schema
from durable_saga_server.journal.cassandra.parts import Parts, begins_ms, ends_ms, part_of
from hypothesis import given
from hypothesis import strategies as st

from durable_saga.pb import history_pb2 as h

DAY_MS = schema.LISTING_DAY_MS
DAY = 20_000
minutes = st.integers(1, DAY_MS // 60_000 - 1)
opened_parts = st.lists(minutes.map(lambda one: DAY * DAY_MS + one * 60_000), unique=True, max_size=6).map(sorted)
times = st.integers(DAY * DAY_MS, (DAY + 1) * DAY_MS - 1)


@given(opened_parts, times)
def test_a_part_holds_what_was_started_between_its_beginning_and_its_end(opened: list[int], started_ms: int) -> None:
    part, every = part_of(started_ms, opened), [DAY, *opened]
    assert begins_ms(part) <= started_ms < ends_ms(part, every)
    assert sum(begins_ms(one) <= started_ms < ends_ms(one, every) for one in every if begins_ms(one) < ends_ms(one, every)) == 1


@given(opened_parts, times, times)
def test_a_part_that_is_announced_moves_nothing_that_began_before(opened: list[int], begins: int, started_ms: int) -> None:
    if started_ms < begins:
        assert part_of(started_ms, opened) == part_of(started_ms, sorted({*opened, begins}))


class Table:
    """The rows of `listing_days`. Some writes fail: `lost` ones never took place, of the others only the answer is missing."""

    def __init__(self) -> None:
        self.days: set[tuple[str, int]] = set()
        self.fails = ""

    async def read(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        if name == "days_between":
            namespace, first, last, limit = values
            found = sorted((day for of, day in self.days if of == namespace and first <= day <= last), reverse=True)
            return [(day,) for day in found[:limit]]
        else:
            assert name == "day_put"
            fails, self.fails = self.fails, ""
            if fails != "lost":
                self.days.add((values[0], values[1]))
            if fails:
                raise JournalUnavailable("no answer")
        return []


class Clock:
    def __init__(self) -> None:
        self.ms = DAY * DAY_MS + 5

    def now_ms(self) -> int:
        return self.ms

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits")


acts = st.tuples(
    st.integers(0, 2),
    st.sampled_from([0, 1, 500, 20_000, 70_000, 900_000]),
    st.sampled_from(["", "", "", "lost", "not answered"]),
)


async def written_together(plan: list[tuple[int, int, str]]) -> None:
    """Any server writes a row of a run that is started now, and again later rows of the runs before."""
    table, clock = Table(), Clock()
    servers = [Parts(table, clock) for _ in range(3)]  # type: ignore[arg-type]  # as much of both as it needs
    where: dict[int, int] = {}
    for who, passes, fails in plan:
        clock.ms += passes
        for started_ms in {clock.ms, *list(where)[-3:]}:
            part = await servers[who].of("n", started_ms)
            assert where.setdefault(started_ms, part) == part
        await servers[who].register("n", part)
        table.fails = fails
        try:
            await servers[who].wrote("n", part, parts.PART_ROWS_MAX // 2)
        except JournalUnavailable:
            pass
        table.fails = ""
    for started_ms, part in where.items():
        for one in [*servers, Parts(table, clock)]:  # type: ignore[arg-type]
            assert await one.of("n", started_ms) == part


@given(st.lists(acts, max_size=60))
def test_all_servers_put_a_run_into_the_same_part_whatever_they_know(plan: list[tuple[int, int, str]]) -> None:
    asyncio.run(written_together(plan))


def test_a_server_that_did_not_look_for_long_is_a_bug_that_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Parts._look
    plan = [(1, 0, ""), (0, 0, ""), (0, 1, ""), (0, 70_000, ""), (1, 1, "")]  # 0 opens a part, of which 1 does not hear
    asyncio.run(written_together(plan))

    async def never_again(self: Any, namespace: str, started_ms: int) -> Any:
        return self._known.get((namespace, started_ms // DAY_MS)) or await look(self, namespace, started_ms)

    monkeypatch.setattr(Parts, "_look", never_again)
    with pytest.raises(AssertionError):
        asyncio.run(written_together(plan))


async def begin(journal: CassandraJournal, saga: str, started_ms: int) -> Head:
    head = Head(Run("n", saga), uuid.uuid4().bytes, "order", h.RUNNING, "w", 1, 1, b"c" * 16, started_ms, started_ms)
    event = h.Event(seq=0, time_ms=started_ms, saga_started=h.SagaStarted(saga_type="order"))
    assert isinstance(await journal.runs.create(head, event), Created)
    return head


async def end(journal: CassandraJournal, head: Head, now_ms: int) -> None:
    event = h.Event(seq=1, time_ms=now_ms, saga_ended=h.SagaEnded(status=h.COMPLETED))
    commit = Commit(head.run, head.incarnation, 1, uuid.uuid4().bytes, 1, [event], h.COMPLETED, now_ms)
    assert isinstance((await journal.runs.commit_many([commit]))[0], Committed)


@pytest.mark.cassandra
@pytest.mark.timeout(300)
def test_pages_filters_tallies_and_purges_go_through_all_parts(cassandra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_ROWS_MAX", 20)
    clock = Clock()
    clock.ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS - 2 * DAY_MS  # the day before yesterday

    async def forever(seconds: float) -> None:
        await asyncio.Event().wait()

    clock.sleep = forever  # type: ignore[method-assign]

    async def scenario() -> None:
        keyspace = f"parts_{uuid.uuid4().hex[:8]}"
        one, other = (CassandraJournal([cassandra], keyspace, strict=False, replication_factor=1, clock=clock) for _ in "12")
        await one.initialize()
        await other.initialize()
        names, heads = list[str](), dict[str, Head]()
        for number in range(90):
            clock.ms += 10_000
            names.append(f"s{number}")
            heads[names[-1]] = await begin((one, other)[number % 2], names[-1], clock.ms)
            if number % 10 == 9:
                await one._listing.settle()
                await other._listing.settle()
        opened = {part for (part,) in await one._session.read("days", "n")}
        assert len(opened) >= 3, opened
        counted = Counter(day for (day,) in await one._session.run("SELECT day FROM listing"))
        assert set(counted) <= opened
        assert max(counted.values()) <= 60, "what comes until the next part begins, by two servers"
        for at, name in enumerate(names):
            if at % 9:
                await end((one, other)[at % 3 % 2], heads[name], clock.ms)  # by the other one too
        await other._listing.settle()
        for journal in (one, other):
            found, page = list[str](), ""
            while True:
                got = await journal.index.listing(Filter("n"), 7, page)
                found, page = found + [head.run.saga for head in got.heads], got.next_page
                if not page:
                    break
            assert found == names[::-1]
            running = await journal.index.listing(Filter("n", "order", frozenset({h.RUNNING})), 50, "")
            assert [head.run.saga for head in running.heads] == names[::9][::-1]
            between = Filter("n", started_after_ms=heads["s30"].started_ms, started_before_ms=heads["s60"].started_ms)
            assert [head.run.saga for head in (await journal.index.listing(between, 50, "")).heads] == names[59:29:-1]
            assert {(of.status, of.count) for of in await journal.index.tallies("n")} == {(h.RUNNING, 10), (h.COMPLETED, 80)}
        await tallied_later(one, other, clock, [heads[name] for name in names])

    asyncio.run(scenario())


async def tallied_later(one: CassandraJournal, other: CassandraJournal, clock: Clock, heads: list[Head]) -> None:
    """An hour later parts have summaries; what is open in them is looked up, and what is purged is gone."""
    read, asked = one._session.read, Counter[str]()

    async def noted(name: str, *values: Any) -> list[tuple[Any, ...]]:
        asked[name] += 1
        return await read(name, *values)

    async def tallies(journal: CassandraJournal) -> dict[int, int]:
        asked.clear()
        return {of.status: of.count for of in await journal.index.tallies("n")}

    one._session.read = noted  # type: ignore[method-assign]
    clock.ms += 2 * index.PASSING_AFTER_MS
    assert await tallies(one) == {h.RUNNING: 10, h.COMPLETED: 80}
    before = asked["count_part"]
    assert await tallies(one) == {h.RUNNING: 10, h.COMPLETED: 80}
    assert asked["count_part"] == 1 < before, "the last part is not over"
    await end(other, heads[9], clock.ms)
    await other._listing.settle()
    assert await tallies(one) == {h.RUNNING: 9, h.COMPLETED: 81}
    for head in heads[::9]:
        if head is not heads[9]:
            await end(other, head, clock.ms)
    await other._listing.settle()
    clock.ms += 2 * DAY_MS - 3_600_000
    assert await tallies(one) == {h.COMPLETED: 90}
    assert await tallies(one) == {h.COMPLETED: 90}
    for head in heads[:-1]:
        assert isinstance(await other.runs.purge(head.run, head.incarnation, clock.ms), Committed)
    assert await tallies(one) == {h.COMPLETED: 1}
    clock.ms += 3_600_000
    assert await tallies(one) == {h.COMPLETED: 1}
    assert len(await read("days", "n")) == 1, "the part of the last one"
    assert [head.run.saga for head in (await one.index.listing(Filter("n"), 9, "")).heads] == [heads[-1].run.saga]
    await one.close()
    await other.close()
