"""What only Cassandra's journal has: tables made by many at once, settings of every node, migration, pages over many days."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from cassandra.cluster import Cluster
from cassandra.io.libevreactor import LibevConnection
from durable_saga_server.journal import (
    INBOX_BYTES_MAX,
    Commit,
    Committed,
    Created,
    Doing,
    Filter,
    Head,
    InboxFull,
    JournalError,
    Run,
    Standing,
    Unknown,
    WeakSettings,
)
from durable_saga_server.journal.cassandra import CassandraJournal, schema
from durable_saga_server.journal.cassandra.inbox import FULL_MS
from durable_saga_server.journal.cassandra.listing import list_row
from durable_saga_server.journal.cassandra.pages import PARTS_PER_PAGE_MAX
from durable_saga_server.journal.cassandra.session import Session
from durable_saga_server.journal.cassandra.settings import slow_node, weak_node, weak_replication
from durable_saga_server.journal.rules import attributes_in

from durable_saga.pb import history_pb2 as h
from tests.cassandra_node import CassandraNode, free_port

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(400)]
DAY_MS = schema.LISTING_DAY_MS
GOSSIP_SECONDS_MAX = 60.0
INITIALIZE = """
import asyncio, sys
from durable_saga_server.journal.cassandra import CassandraJournal
async def main():
    journal = CassandraJournal([sys.argv[1]], sys.argv[2], strict=False, replication_factor=1, tables=sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    await journal.initialize()
    await journal.close()
asyncio.run(main())
"""
VERSION_3 = (
    "CREATE TABLE journal_schema (one int PRIMARY KEY, version int)",
    "CREATE TABLE runs (namespace text, saga text, run int, seq bigint, event blob, incarnation blob, saga_type text,"
    " status int, owner text, epoch bigint, next_seq bigint, last_commit blob, started_ms bigint, updated_ms bigint,"
    " ended_ms bigint, wake_at_ms bigint, blocked text, newest int, PRIMARY KEY ((namespace, saga, run), seq))",
    "CREATE TABLE listing (namespace text, day bigint, started_ms bigint, saga text, run int, incarnation blob,"
    " saga_type text, status int, owner text, epoch bigint, next_seq bigint, last_commit blob, updated_ms bigint,"
    " ended_ms bigint, wake_at_ms bigint, blocked text, PRIMARY KEY ((namespace, day), started_ms, saga, run))"
    " WITH CLUSTERING ORDER BY (started_ms DESC, saga ASC, run ASC)",
    "CREATE TABLE listing_days (namespace text, day bigint, PRIMARY KEY (namespace, day)) WITH CLUSTERING ORDER BY (day DESC)",
    "INSERT INTO listing_days (namespace, day) VALUES ('n', 0)",
    "INSERT INTO listing (namespace, day, started_ms, saga, run, incarnation, saga_type, status, epoch, next_seq,"
    " last_commit, updated_ms, ended_ms, wake_at_ms) VALUES ('n', 0, 5, 'old', 1, 0x00, 'order', 4, 1, 2, 0x00, 6, 6, 0)",
    "INSERT INTO journal_schema (one, version) VALUES (1, 3)",
)


def new_keyspace() -> str:
    return f"alone_{uuid.uuid4().hex[:8]}"


def journal_in(address: str, keyspace: str) -> CassandraJournal:
    return CassandraJournal([address], keyspace, strict=False, replication_factor=1)


async def create(
    journal: CassandraJournal, saga: str, started_ms: int, *, owner: str = "", build: str = "", **attributes: str
) -> None:
    event = h.Event(seq=0, time_ms=started_ms, saga_started=h.SagaStarted(saga_type="order", attributes=attributes))
    head = Head(
        Run("n", saga), uuid.uuid4().bytes, "order", h.RUNNING, owner, 1, 1, uuid.uuid4().bytes, started_ms, started_ms,
        attributes=attributes_in([event]), build=build,
    )  # fmt: skip
    assert isinstance(await journal.runs.create(head, event), Created)


@pytest.mark.parametrize("tables", ["", "shop_"])
def test_four_processes_make_the_tables_of_a_fresh_keyspace_at_once(cassandra: str, tables: str) -> None:
    keyspace = new_keyspace()
    command = [sys.executable, "-c", INITIALIZE, cassandra, keyspace, tables]
    several = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for one in several:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in several:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    ended = [(one.communicate(timeout=200)[1], one.returncode) for one in several]
    assert [errors for errors, code in ended if code] == []

    async def look() -> None:
        session = Session([cassandra], keyspace, datacenter="", tables=tables)
        await session.open()
        names = await session.run(f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'")
        versions = await session.run("SELECT version FROM journal_schema")
        await session.close()
        assert len(names) == len(schema.TABLES)
        assert all(name.startswith(tables) for (name,) in names)
        assert versions == [(schema.SCHEMA_VERSION,)]

    asyncio.run(look())


def test_tables_of_the_version_before_are_migrated_with_what_they_hold(cassandra: str) -> None:
    async def scenario() -> None:
        keyspace = new_keyspace()
        session = Session([cassandra], keyspace, datacenter="")
        await session.open()
        replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
        await session.run(f"CREATE KEYSPACE {keyspace} WITH replication = {replication}")
        for text in VERSION_3:
            await session.run(text.replace("CREATE TABLE ", f"CREATE TABLE {keyspace}."))
        await session.close()
        journals = [journal_in(cassandra, keyspace) for _ in range(3)]
        await asyncio.gather(*(journal.initialize() for journal in journals))
        await create(journals[0], "new", 7, customer="c-7", build="b7")
        await journals[0].index.listing(Filter("n"), 1, "")  # what this one has changed is written
        for journal in journals:
            found = await journal.index.listing(Filter("n", "order", frozenset({h.COMPLETED, h.RUNNING})), 10, "")
            assert [one.run.saga for one in found.heads] == ["new", "old"]
            found = await journal.index.listing(Filter("n", attributes=(("customer", "c-7"),)), 10, "")
            assert [(one.run.saga, one.attributes) for one in found.heads] == [("new", (("customer", "c-7"),))]
            found = await journal.index.listing(Filter("n", statuses=frozenset({h.RUNNING}), build="b7"), 10, "")
            assert [one.run.saga for one in found.heads] == ["new"]
            assert not (await journal.index.listing(Filter("n", blocked=True, paused=True), 10, "")).heads
            await journal.close()

    asyncio.run(scenario())


def test_what_cassandra_does_not_take_is_an_error_that_asks_for_somebody(cassandra: str) -> None:
    async def scenario() -> None:
        keyspace = new_keyspace()
        journal = journal_in(cassandra, keyspace)
        await journal.initialize()
        await create(journal, "s", 7)
        head = await journal.runs.head(Run("n", "s"))
        assert head is not None
        end = h.Event(seq=1, time_ms=8, saga_ended=h.SagaEnded(status=h.COMPLETED))
        commit = Commit(head.run, head.incarnation, 1, uuid.uuid4().bytes, 1, [end], h.COMPLETED, 8)
        for table in ("inbox", "runs"):
            await journal._session.run(f"DROP TABLE {keyspace}.{table}")
        for asked in (
            journal.inbox.unread(head.run),
            journal.runs.commit_many([commit]),
            journal._session.select("SELECT run FROM runs"),
        ):
            with pytest.raises(JournalError, match="did not accept a") as told:
                await asked
            assert not told.value.code, "coming again does not help"
        assert isinstance((await journal.runs.commit_many([commit, commit]))[0], Unknown)
        await journal.close()

    asyncio.run(scenario())


def test_what_a_slow_server_writes_late_does_not_replace_what_is_newer(cassandra: str) -> None:
    async def scenario() -> None:
        keyspace = new_keyspace()
        slow, other = journal_in(cassandra, keyspace), journal_in(cassandra, keyspace)
        await asyncio.gather(slow.initialize(), other.initialize())
        await create(slow, "s", time.time_ns() // 1_000_000)
        seen = await slow.runs.head(Run("n", "s"))
        assert seen is not None
        end = h.Event(seq=1, time_ms=seen.updated_ms + 1, saga_ended=h.SagaEnded(status=h.COMPLETED))
        commit = Commit(
            seen.run, seen.incarnation, 1, uuid.uuid4().bytes, 1, [end], h.COMPLETED, seen.updated_ms + 1
        )  # fmt: skip
        assert isinstance((await other.runs.commit_many([commit]))[0], Committed)
        await other.index.listing(Filter("n"), 1, "")
        await slow._session.read("list_put", *list_row(seen, seen.started_ms // DAY_MS))
        for journal in (slow, other):
            assert [one.status for one in (await journal.index.listing(Filter("n"), 1, "")).heads] == [h.COMPLETED]
            assert list((await journal.index.listing(Filter("n", "", frozenset({h.RUNNING})), 1, "")).heads) == []
            await journal.close()

    asyncio.run(scenario())


def test_a_monitor_meets_a_change_whose_server_died_before_it_wrote_the_row(cassandra: str) -> None:
    """However late it is written: by then a monitor has read on."""

    async def scenario() -> None:
        keyspace = new_keyspace()
        dead, other = journal_in(cassandra, keyspace), journal_in(cassandra, keyspace)
        await asyncio.gather(dead.initialize(), other.initialize())
        failed_ms = time.time_ns() // 1_000_000 - 60_000
        await create(dead, "s", failed_ms - 10)
        seen = await dead.runs.head(Run("n", "s"))
        assert seen is not None
        end = h.Event(seq=1, time_ms=failed_ms, saga_ended=h.SagaEnded(status=h.COMPENSATED))
        await other.index.listing(Filter("n"), 1, "")
        dead._listing._start = lambda: None  # type: ignore[method-assign]
        commit = Commit(seen.run, seen.incarnation, 1, uuid.uuid4().bytes, 1, [end], h.COMPENSATED, failed_ms)
        assert isinstance((await dead.runs.commit_many([commit]))[0], Committed)
        read_ms = time.time_ns() // 1_000_000
        assert list(await other.index.changes("n", failed_ms - 1, 10)) == []
        found = []
        ended = await other.runs.head(seen.run)
        assert ended is not None
        for _ in range(3):
            other.index.list_again(ended)  # its hint comes up, several times
            found = list(await other.index.changes("n", read_ms - 1, 10))
        assert [(one.run.saga, one.status, one.updated_ms >= read_ms) for one in found] == [("s", h.COMPENSATED, True)]
        later = await other._session.read("changes", "n", read_ms // DAY_MS, read_ms - 1, 10)
        assert len(later) == 1, "written late once, however often it is listed"
        first = (await other.index.changes("n", failed_ms - 1, 10))[0]
        assert (first.run, first.status) == (seen.run, h.COMPENSATED), "and a monitor that looks far back meets it once"
        for journal in (dead, other):
            await journal.close()

    asyncio.run(scenario())


def test_an_inbox_has_a_limit_in_bytes_and_takes_more_when_some_is_read(cassandra: str) -> None:
    async def play() -> None:
        journal = CassandraJournal([cassandra], f"inbox_{uuid.uuid4().hex[:8]}", strict=False, replication_factor=1)
        await journal.initialize()
        run, other = Run("n", "full"), Run("n", "other")
        message = h.InboxMessage(received_ms=1)
        message.signal.input.data = b"x" * (INBOX_BYTES_MAX // 40)
        ids = [f"m{number:03}" for number in range(80)]
        put: list[str] = []

        async def fill() -> None:
            for message.message_id in ids:
                assert await journal.inbox.put(run, message)
                put.append(message.message_id)

        with pytest.raises(InboxFull, match="INBOX_BYTES_MAX"):
            await fill()
        assert 38 <= len(put) <= 60, "a quarter more than the limit, at most"
        with pytest.raises(InboxFull, match="INBOX_BYTES_MAX"):
            await journal.inbox.put(run, message)
        assert not await journal.inbox.put(run, h.InboxMessage(message_id=put[0])), "a repetition needs no room"
        assert await journal.inbox.put(other, message), "other runs have their own"
        head = Head(run, b"i" * 16, "t", h.RUNNING, "w", 1, 1, b"c" * 16, 1, 1)
        await journal.runs.create(head, h.Event(seq=0, time_ms=1, saga_started=h.SagaStarted(saga_type="t")))
        event = h.Event(seq=1, time_ms=2, step_scheduled=h.StepScheduled(call="1", name="s"))
        commit = Commit(run, b"i" * 16, 1, b"d" * 16, 1, [event], h.RUNNING, 2, 0, put[:30])
        (outcome,) = await journal.runs.commit_many([commit])
        assert isinstance(outcome, Committed)
        await asyncio.sleep(FULL_MS / 1000)
        assert await journal.inbox.put(run, message)
        await journal.close()

    asyncio.run(play())


def test_a_row_that_is_written_without_reading_its_head_is_the_head(cassandra: str) -> None:
    """Known from the start and the commit; with an owner, with a take-over between, with an attribute, without an end."""

    async def scenario() -> None:
        journal = journal_in(cassandra, new_keyspace())
        await journal.initialize()
        now_ms = time.time_ns() // 1_000_000
        for number, (saga, owner) in enumerate([("ends", "w"), ("taken", ""), ("named", "w"), ("goes on", "w"), ("waits", "")]):
            await create(journal, saga, now_ms + number, owner=owner, customer="c-7")
        for saga in ("ends", "taken", "named"):
            head = await journal.runs.head(Run("n", saga))
            assert head is not None
            if saga == "taken":
                await journal.runs.acquire(head.run, head.incarnation, head.epoch, "other", now_ms + 10)
            events = [h.Event(seq=1, time_ms=now_ms + 20, saga_ended=h.SagaEnded(status=h.COMPLETED))]
            if saga == "named":
                events = [h.Event(seq=1, time_ms=now_ms, attributes_set=h.AttributesSet(attributes={"city": "Ulm"})),
                          h.Event(seq=2, time_ms=now_ms + 20, saga_ended=h.SagaEnded(status=h.COMPLETED))]  # fmt: skip
            epoch = head.epoch + (saga == "taken")
            commit = Commit(head.run, head.incarnation, epoch, uuid.uuid4().bytes, 1, events, h.COMPLETED, now_ms + 20)
            assert isinstance((await journal.runs.commit_many([commit]))[0], Committed)
        listed = (await journal.index.listing(Filter("n"), 10, "")).heads
        assert [one.run.saga for one in listed] == ["waits", "goes on", "named", "taken", "ends"]
        assert list(listed) == [await journal.runs.head(one.run) for one in listed]
        await journal.close()

    asyncio.run(scenario())


def test_sagas_are_found_by_what_they_do_by_failure_by_end_and_by_prefix(cassandra: str) -> None:
    """What is told once stays until something else is told, also where another server writes the row."""

    async def scenario() -> None:
        keyspace, now_ms = new_keyspace(), time.time_ns() // 1_000_000
        journal, other = journal_in(cassandra, keyspace), journal_in(cassandra, keyspace)
        await journal.initialize()
        await other.initialize()
        ids = ("order-0000000000001", "order-0000000000002", "örder")
        for number, saga in enumerate(ids):
            await create(journal, saga, now_ms + number, owner="w")

        async def commit(by: CassandraJournal, saga: str, seq: int, status: int, doing: Doing | None) -> None:
            head = await by.runs.head(Run("n", saga))
            assert head is not None
            events = [h.Event(seq=seq, time_ms=now_ms + 20 + seq, timer_fired=h.TimerFired(due_ms=seq))]
            one = Commit(head.run, head.incarnation, head.epoch, uuid.uuid4().bytes, seq, events, status, now_ms + 20 + seq)
            assert isinstance((await by.runs.commit_many([dataclasses.replace(one, doing=doing)]))[0], Committed)

        async def found(**asked: Any) -> list[str]:
            return [one.run.saga for one in (await journal.index.listing(Filter("n", **asked), 10, "")).heads]

        retrying, bank = frozenset({h.RETRYING}), "builtins.OSError"
        doing = Doing(h.RETRYING, "charge", bank, 2, now_ms + 99, now_ms)
        await commit(journal, ids[0], 1, h.RUNNING, doing)
        assert await found(sub_states=retrying) == await found(failure_type=bank) == [ids[0]]
        await commit(journal, ids[0], 2, h.RUNNING, None)
        head = await other.runs.head(Run("n", ids[0]))
        assert head is not None
        other.index.list_again(head)
        await other.index.listing(Filter("n"), 1, "")
        (one,) = (await journal.index.listing(Filter("n", "", sub_states=retrying), 10, "")).heads
        assert one.doing == doing
        assert (await journal.index.standings("n")).groups == [Standing("order", h.RETRYING, "charge", bank, 1)]
        await commit(journal, ids[0], 3, h.RUNNING, Doing())
        assert await found(sub_states=retrying) == []
        assert (await journal.index.standings("n")).groups == []
        await commit(journal, ids[1], 1, h.FAILED, Doing(0, "book", bank))
        assert await found(failure_type=bank, statuses=frozenset({h.FAILED})) == [ids[1]]
        assert await found(ended_after_ms=now_ms + 21, ended_before_ms=now_ms + 22) == [ids[1]]
        assert await found(ended_after_ms=now_ms + 22) == []
        for prefix, wanted in (("order-", [ids[1], ids[0]]), (ids[1], [ids[1]]), ("ö", [ids[2]]), ("p", [])):
            assert await found(id_prefix=prefix) == wanted
        await journal.close()
        await other.close()

    asyncio.run(scenario())


def test_a_page_looks_at_so_many_days_and_the_next_one_goes_on(cassandra: str) -> None:
    async def scenario() -> None:
        journal = journal_in(cassandra, new_keyspace())
        await journal.initialize()
        first = time.time_ns() // 1_000_000 // DAY_MS - PARTS_PER_PAGE_MAX - 20
        await create(journal, "oldest", first * DAY_MS, customer="c-7")
        for day in range(1, PARTS_PER_PAGE_MAX + 10):
            await create(journal, f"s{day}", (first + day) * DAY_MS + DAY_MS - 1, customer="c-8")
        wanted = Filter("n", attributes=(("customer", "c-7"),))
        empty = await journal.index.listing(wanted, 10, "")
        assert list(empty.heads) == []
        rest = await journal.index.listing(wanted, 10, empty.next_page)
        assert [one.run.saga for one in rest.heads] == ["oldest"]
        assert rest.next_page == ""
        everything, page = list[str](), ""
        while True:
            found = await journal.index.listing(Filter("n"), 7, page)
            everything, page = everything + [one.run.saga for one in found.heads], found.next_page
            if not page:
                break
        assert everything == [*(f"s{day}" for day in range(PARTS_PER_PAGE_MAX + 9, 0, -1)), "oldest"]
        await journal.close()

    asyncio.run(scenario())


def wait_for_each_other(addresses: list[str]) -> None:
    """A node that has just started hears of the others a little later."""
    for address in addresses:
        host, _, port = address.partition(":")
        until = time.monotonic() + GOSSIP_SECONDS_MAX
        while time.monotonic() < until:
            with Cluster([host], port=int(port), connection_class=LibevConnection, protocol_version=5) as cluster:
                cluster.connect()
                if len([one for one in cluster.metadata.all_hosts() if one.is_up]) == len(addresses):
                    break
            time.sleep(0.5)


@pytest.fixture
def pair() -> Iterator[list[str]]:
    """A cluster of a node that syncs its commit log before it answers, and one that does not."""
    ports = free_port(), free_port()
    nodes = [
        CassandraNode("group", host="127.0.0.1", ports=ports),
        CassandraNode("periodic", host="127.0.0.2", ports=ports),
    ]
    try:
        for node in nodes:
            node.start()
        wait_for_each_other([node.address for node in nodes])
        yield [node.address for node in nodes]
    finally:
        for node in nodes:
            node.stop()


def test_the_settings_of_every_node_are_checked_not_only_of_the_one_that_answers(
    pair: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        good, weak = pair
        keyspace = new_keyspace()
        for asked in pair:
            journal = CassandraJournal([asked], keyspace, replication_factor=2)
            with pytest.raises(WeakSettings) as refused:
                await journal.initialize()
            words = str(refused.value)
            assert f"node {weak}: commitlog_sync is periodic" in words
            assert f"node {good}" not in words
            assert f"keyspace {keyspace} has 2 replicas" in words
            assert "paxos" not in words
        journal = CassandraJournal([good], keyspace, strict=False, replication_factor=2)
        await journal.initialize()
        await journal.close()
        assert f"node {weak}: commitlog_sync is periodic" in caplog.text

    asyncio.run(scenario())


def test_each_weak_setting_is_named_with_what_to_do() -> None:
    assert weak_node("c1", {"commitlog_sync": "batch"}) == slow_node("c1", {"paxos_variant": "v2"}) == []
    (paxos,), (sync,) = slow_node("c1", {"paxos_variant": "v1"}), weak_node("c1", {"commitlog_sync": "periodic"})
    assert paxos.startswith("node c1: paxos_variant is v1, which is safe")
    assert "write `commitlog_sync: group`" in sync
    assert "durability=replicas" in sync
    assert len(weak_node("c1", {})) == len(slow_node("c1", {})) == 1, "what is not known is not taken for good"
    assert weak_replication("k", {"class": "NetworkTopologyStrategy", "a": "3", "b": "5"}) == []
    (words,) = weak_replication("k", {"class": "NetworkTopologyStrategy", "a": "3", "b": "1"})
    assert "keyspace k has 1 replicas" in words
    assert "ALTER KEYSPACE" in words
