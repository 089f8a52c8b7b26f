"""What a disk does to the SQLite journal: full, too new, absent, or the process dies behind an acknowledgement."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import pathlib
import sqlite3
import subprocess
import sys
import threading
import uuid

import pytest
from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import (
    Commit,
    Committed,
    Created,
    Doing,
    Filter,
    Head,
    JournalFull,
    JournalUnavailable,
    Run,
    SchemaTooNew,
    Standing,
    Tally,
    sqlite_hands,
)
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.sqlite_hands import QUIET_SECONDS, THREAD_EVERY
from durable_saga_server.journal.sqlite_migrating import migrate
from durable_saga_server.journal.sqlite_pages import _drives, read_page

from durable_saga.pb import history_pb2 as h

WRITER = """
import asyncio, sys
from tests.journal.test_sqlite import create
from durable_saga_server.journal import sqlite_hands
from durable_saga_server.journal.sqlite import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.initialize()
    async def chain(name):
        number = 0
        while True:
            await create(journal, f"{name}-{number}")
            print(f"{name}-{number}", flush=True)
            number += 1
    await asyncio.gather(*(chain(name) for name in "abcdefgh"))
asyncio.run(main())
"""


async def create(journal: SqliteJournal, saga: str) -> bool:
    head = Head(Run("n", saga), uuid.uuid4().bytes, "t", h.RUNNING, "", 1, 1, uuid.uuid4().bytes, 1, 1)
    event = h.Event(seq=0, time_ms=1, saga_started=h.SagaStarted(saga_type="t" * 500))
    return isinstance(await journal.runs.create(head, event), Created)


async def fill(journal: SqliteJournal, acknowledged: list[str]) -> None:
    while True:
        saga = f"s-{len(acknowledged)}"
        await create(journal, saga)
        acknowledged.append(saga)


async def limit_pages(journal: SqliteJournal, pages: int) -> None:
    def limit(db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    await journal._hands._write_in_thread(limit)
    await journal._hands.look(limit)  # each connection has its own limit


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(500)]
    process.kill()
    acknowledged += process.stdout.read().split("\n")[:-1]
    process.stdout.close()
    process.wait()

    async def missing() -> list[str]:
        journal = SqliteJournal(path)
        await journal.initialize()
        found = [saga for saga in acknowledged if await journal.runs.head(Run("n", saga)) is None]
        await journal.close()
        return found

    assert asyncio.run(missing()) == []


def test_a_full_disk_refuses_and_loses_nothing_that_was_acknowledged(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "j.db")
        await journal.initialize()
        await limit_pages(journal, 60)
        acknowledged: list[str] = []
        with pytest.raises(JournalFull, match="free some disk space"):
            await fill(journal, acknowledged)
        assert len(acknowledged) > 10
        for saga in acknowledged:
            assert await journal.runs.head(Run("n", saga)) is not None
        await limit_pages(journal, 1_000_000)
        assert await create(journal, "after"), "it goes on when there is room again"
        await journal.close()

    asyncio.run(scenario())


def test_lone_writes_are_made_by_the_loop_and_the_log_stays_small(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "j.db")
        await journal.initialize()
        threads: collections.Counter[int] = collections.Counter()
        for _ in range(20 * THREAD_EVERY):
            await journal._hands.write(lambda db: threads.update([threading.get_ident()]))
            await create(journal, uuid.uuid4().hex)
            await asyncio.sleep(2 * QUIET_SECONDS)
        assert threads[threading.get_ident()] > 0
        assert (tmp_path / "j.db-wal").stat().st_size < 10_000_000, "the thread moves it into the file now and then"
        threads.clear()
        await asyncio.gather(*(journal._hands.write(lambda db: threads.update([threading.get_ident()])) for _ in range(50)))
        assert threads[threading.get_ident()] <= 1, "what comes together is written together, by the thread"
        await journal.close()

    asyncio.run(scenario())


def test_the_loop_goes_on_while_another_process_holds_the_file(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "j.db")
        await journal.initialize()
        other = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
        for saga in ("a", "b", "c"):
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(create(journal, saga))
            for _ in range(20):
                await asyncio.wait_for(asyncio.sleep(0.005), 1)
            assert not waiting.done()
            other.execute("ROLLBACK")
            assert await waiting
        other.close()
        await journal.close()

    asyncio.run(scenario())


def test_a_fault_of_ours_in_a_write_leaves_no_transaction_open(tmp_path: pathlib.Path) -> None:
    def wrong(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM heads")
        raise KeyError("ours")

    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "j.db")
        await journal.initialize()
        assert await create(journal, "kept")
        for write in (journal._hands.write, journal._hands._write_in_thread):
            await asyncio.sleep(2 * QUIET_SECONDS)
            with pytest.raises(KeyError, match="ours"):
                await write(wrong)
        assert await journal.runs.head(Run("n", "kept")) is not None
        assert await create(journal, "after")
        await journal.close()

    asyncio.run(scenario())


def test_a_journal_of_a_newer_version_and_a_folder_that_is_not_there_are_refused(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "j.db")
        await journal.initialize()
        await journal.close()
        database = sqlite3.connect(tmp_path / "j.db")
        database.execute("UPDATE journal_schema SET version = 9")
        database.commit()
        database.close()
        with pytest.raises(SchemaTooNew, match="upgrade"):
            await SqliteJournal(tmp_path / "j.db").initialize()
        with pytest.raises(JournalUnavailable, match="can't be used now"):
            await SqliteJournal(tmp_path / "absent" / "j.db").initialize()

    asyncio.run(scenario())


VERSION_3 = """
DROP TRIGGER heads_removed; DROP TABLE search_attributes; DROP TABLE heads; DROP TABLE events;
CREATE TABLE heads (
  namespace TEXT, saga TEXT, run INTEGER, incarnation BLOB, saga_type TEXT, status INTEGER, owner TEXT, epoch INTEGER,
  next_seq INTEGER, last_commit BLOB, started_ms INTEGER, updated_ms INTEGER, ended_ms INTEGER, wake_at_ms INTEGER,
  blocked TEXT, newest INTEGER DEFAULT 0, PRIMARY KEY (namespace, saga, run)) WITHOUT ROWID;
CREATE INDEX heads_by_start ON heads (namespace, started_ms DESC, saga, run);
CREATE TABLE events (
  namespace TEXT, saga TEXT, run INTEGER, seq INTEGER, event BLOB NOT NULL,
  PRIMARY KEY (namespace, saga, run, seq)) WITHOUT ROWID;
UPDATE journal_schema SET version = 3;
INSERT INTO heads VALUES ('n', 'old', 1, x'61', 't', 1, '', 1, 2, x'62', 1, 1, 0, 0, '', 0);
INSERT INTO heads VALUES ('n', 'older', 1, x'61', 't', 1, '', 1, 1, x'62', 0, 1, 0, 0, '', 0);
"""


def test_a_journal_of_version_3_is_migrated_with_its_events(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.db"

    async def scenario() -> None:
        journal = SqliteJournal(path)
        await journal.initialize()
        await journal.close()
        database = sqlite3.connect(path, isolation_level=None)
        database.executescript(VERSION_3)
        events = {("old", seq): h.Event(seq=seq, time_ms=5 + seq) for seq in (0, 1)} | {("older", 0): h.Event(seq=0, time_ms=4)}
        for (saga, seq), event in events.items():
            database.execute("INSERT INTO events VALUES ('n', ?, 1, ?, ?)", (saga, seq, event.SerializeToString()))
        await journal.initialize()
        for saga, count in (("old", 2), ("older", 1)):
            assert await journal.runs.events(Run("n", saga), 0, 9) == [events[saga, seq] for seq in range(count)]
        tables = database.execute("SELECT name FROM sqlite_master WHERE name LIKE '%_4'").fetchall()
        assert not tables, "what was set aside is gone"
        head = Head(Run("n", "new"), b"i" * 16, "t", h.RUNNING, "", 1, 1, b"c" * 16, 2, 2, attributes=(("customer", "c-7"),))
        await journal.runs.create(head, h.Event(seq=0, time_ms=2))
        assert [one.run.saga for one in (await journal.index.listing(Filter("n"), 9, "")).heads] == ["new", "old", "older"]
        assert list((await journal.index.listing(Filter("n", attributes=head.attributes), 9, "")).heads) == [head]
        commit = Commit(Run("n", "old"), b"a", 1, b"d", 2, [h.Event(seq=2, time_ms=9)], h.RUNNING, 9)
        assert [type(one) for one in await journal.runs.commit_many([commit])] == [Committed]
        assert len(await journal.runs.events(Run("n", "old"), 0, 9)) == 3
        await journal.close()
        database.execute("DELETE FROM heads WHERE saga = 'new'")
        assert database.execute("SELECT count(*) FROM search_attributes").fetchone() == (0,)
        database.close()

    asyncio.run(scenario())


# A journal as version 6 made it: nobody tells what a run does.
VERSION_6 = """
DROP TRIGGER heads_begun; DROP TRIGGER heads_standing; DROP TABLE standings; DROP INDEX heads_by_type;
DROP INDEX heads_by_state; DROP INDEX heads_by_failure; DROP INDEX heads_by_end;
ALTER TABLE heads DROP COLUMN state; ALTER TABLE heads DROP COLUMN sub_state;
ALTER TABLE heads DROP COLUMN doing; ALTER TABLE heads DROP COLUMN failure_type; ALTER TABLE heads DROP COLUMN attempt;
ALTER TABLE heads DROP COLUMN next_ms; ALTER TABLE heads DROP COLUMN since_ms; UPDATE journal_schema SET version = 6;
"""
# A journal as version 5 made it: blocked runs are counted with the others.
VERSION_5 = f"""{VERSION_6}
DROP INDEX heads_of_build; DROP INDEX heads_blocked; DROP INDEX heads_paused; DROP INDEX heads_by_change; DROP TABLE switches;
DROP TABLE tallies; ALTER TABLE heads DROP COLUMN build; ALTER TABLE heads DROP COLUMN paused;
CREATE TABLE tallies (
  namespace TEXT, saga_type TEXT, status INTEGER, count INTEGER NOT NULL,
  PRIMARY KEY (namespace, saga_type, status)) WITHOUT ROWID;
CREATE INDEX heads_by_change ON heads (namespace, updated_ms, saga, run) WHERE status NOT IN (1, 2, 4);
INSERT INTO tallies VALUES ('n', 't', 1, 3), ('n', 't', 4, 1), ('n', 't', 5, 0);
UPDATE journal_schema SET version = 5;
"""


def test_a_journal_of_version_5_is_migrated_and_tells_its_blocked_runs(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.db"

    async def scenario() -> None:
        journal = SqliteJournal(path)
        await journal.initialize()
        for saga in ("a", "b", "stands", "over"):
            assert await create(journal, saga)
        for saga, blocked in (("stands", "no such step"), ("over", "")):
            head = await journal.runs.head(Run("n", saga))
            assert head is not None
            status = h.RUNNING if blocked else h.COMPLETED
            ends = Commit(head.run, head.incarnation, 1, b"d", 1, [], status, 9, release=True, blocked=blocked)
            assert isinstance((await journal.runs.commit_many([ends]))[0], Committed)
        await journal.close()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.executescript(VERSION_5)
        await journal.initialize()
        counted = [Tally("t", h.RUNNING, 1, blocked=True), Tally("t", h.RUNNING, 2), Tally("t", h.COMPLETED, 1)]
        assert await journal.index.tallies("n") == sorted(counted)
        assert [one.run.saga for one in (await journal.index.listing(Filter("n", blocked=True), 9, "")).heads] == ["stands"]
        assert [one.run.saga for one in await journal.index.changes("n", 0, 9)] == ["stands"]
        assert (await journal.index.standings("n")).groups == [Standing("t", h.BLOCKED, "", "", 1)]
        goes_on = Commit(Run("n", "stands"), b"", 1, b"e", 1, [h.Event(seq=1)], h.RUNNING, 10, build="b7", paused="ann: bank")
        head = await journal.runs.head(goes_on.run)
        assert head is not None
        await journal.runs.commit_many([dataclasses.replace(goes_on, incarnation=head.incarnation)])
        assert Tally("t", h.RUNNING, 1, "b7", paused=True) in await journal.index.tallies("n")
        assert (await journal.index.standings("n")).groups == [Standing("t", h.PAUSED, "", "", 1)]
        await journal.close()

    asyncio.run(scenario())


def test_what_a_server_of_version_6_writes_beside_this_one_is_counted(tmp_path: pathlib.Path) -> None:
    """It knows neither the columns nor the counts, and ends a run of which this version had told that it is retrying."""

    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "j.db")
        await journal.initialize()
        assert await create(journal, "a")
        assert await create(journal, "b")
        for saga in ("a", "b"):
            head = await journal.runs.head(Run("n", saga))
            assert head is not None
            doing = Doing(h.RETRYING, "charge", "builtins.OSError", 1, 99, 5)
            tries = Commit(head.run, head.incarnation, 1, b"d", 1, [h.Event(seq=1)], h.RUNNING, 9, doing=doing)
            assert isinstance((await journal.runs.commit_many([tries]))[0], Committed)
        retrying = Standing("t", h.RETRYING, "charge", "builtins.OSError", 2)
        assert (await journal.index.standings("n")).groups == [retrying]
        with contextlib.closing(sqlite3.connect(tmp_path / "j.db", isolation_level=None)) as database:
            database.execute("UPDATE heads SET status = 4, blocked = '', build = '', paused = '' WHERE saga = 'a'")
            database.execute("INSERT INTO tallies VALUES ('n', 't', 4, '', 0, 0, 1)")
        assert (await journal.index.standings("n")).groups == [dataclasses.replace(retrying, count=1)]
        found = await journal.index.listing(Filter("n", sub_states=frozenset({h.RETRYING})), 9, "")
        assert [(one.run.saga, one.doing) for one in found.heads] == [("b", doing)]
        await journal.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter("n", statuses=frozenset({h.RUNNING}), build="b"), "heads_of_build"),
        (Filter("n", blocked=True), "heads_blocked"),
        (Filter("n", paused=True), "heads_paused"),
        (Filter("n", "t", OPEN, blocked=True, build="b"), "heads_blocked"),
        (Filter("n", "t", sub_states=frozenset({h.RETRYING})), "heads_by_state"),
        (Filter("n", "t", failure_type="builtins.ValueError"), "heads_by_failure"),
        (Filter("n", "t"), "heads_by_type"),
        (Filter("n", "t", id_prefix="a"), "sqlite_autoindex_heads_1"),
        (Filter("n", ended_after_ms=5), "heads_by_end"),
    ],
)
def test_what_is_rare_is_found_by_an_index_of_its_own(tmp_path: pathlib.Path, wanted: Filter, index: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db", isolation_level=None)) as database:
        migrate(database)
        source, where, _ = next(iter(_drives(database, wanted)))
        select = f"SELECT * FROM{source} WHERE {where} ORDER BY started_ms DESC, saga, run"
        plans = [row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {select}", where.values)]
        assert any(f"INDEX {index}" in plan for plan in plans), plans
        is_small = wanted.id_prefix or wanted.ended_after_ms
        assert is_small or not any("B-TREE" in plan for plan in plans), "the index has them in the order of the listing"
        assert read_page(database, wanted, 10, "").heads == []


def test_a_fresh_file_that_many_open_at_the_same_moment_is_locked_for_none_of_them(tmp_path: pathlib.Path) -> None:
    """SQLite tells some of those who switch it to its write-ahead log at once that it is locked, without waiting."""
    errors: list[Exception] = []

    def use(path: str, together: threading.Barrier) -> None:
        together.wait()
        try:
            connection = sqlite_hands._connect(path, 10_000)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
            connection.execute("COMMIT")
            connection.close()
        except Exception as error:
            errors.append(error)

    for number in range(100):
        together = threading.Barrier(8)
        threads = [threading.Thread(target=use, args=(str(tmp_path / f"{number}.db"), together)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
