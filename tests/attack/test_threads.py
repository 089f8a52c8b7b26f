"""The threads of a SQLite journal outlive every job, and a bad one takes no other along."""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
import uuid

import pytest
from durable_saga_server.journal import (
    Commit,
    Committed,
    Created,
    Filter,
    Head,
    Hint,
    JournalDamaged,
    JournalError,
    Run,
    Unknown,
)
from durable_saga_server.journal import sqlite_hands as hands
from durable_saga_server.journal.sqlite import SqliteJournal

from durable_saga.pb import history_pb2 as h

RUN = Run("n", "s")


async def opened(folder: pathlib.Path) -> SqliteJournal:
    journal = SqliteJournal(folder / "j.db")
    await journal.initialize()
    return journal


def head_of(run: Run) -> Head:
    return Head(run, b"i" * 16, "t", h.RUNNING, "", 1, 1, uuid.uuid4().bytes, 1, 1)


async def create(journal: SqliteJournal, run: Run) -> bool:
    event = h.Event(seq=0, time_ms=1, saga_started=h.SagaStarted(saga_type="t"))
    return isinstance(await journal.runs.create(head_of(run), event), Created)


def commit(run: Run, now_ms: int = 2) -> Commit:
    event = h.Event(seq=1, time_ms=2, step_scheduled=h.StepScheduled(call="1"))
    return Commit(run, b"i" * 16, 1, uuid.uuid4().bytes, 1, [event], h.RUNNING, now_ms)


@pytest.mark.parametrize(
    "page", ["99999999999999999999/0/x", "1/99999999999999999999/x", "²/0/x", "1/2147483648/x", "-1/0/x", "9" * 5_000 + "/0/x"]
)
def test_a_page_token_that_nobody_gave_out_is_refused_and_reading_goes_on(tmp_path: pathlib.Path, page: str) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        assert await create(journal, RUN)
        with pytest.raises(ValueError, match="was not given out by this journal"):
            await journal.index.listing(Filter("n"), 10, page)
        assert [head.run for head in (await journal.index.listing(Filter("n"), 10, "")).heads] == [RUN]
        await journal.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [OverflowError, ValueError, KeyError, RecursionError, MemoryError, SystemExit])
def test_a_job_that_raises_whatever_it_may_is_answered_and_its_thread_goes_on(
    tmp_path: pathlib.Path, error: type[BaseException]
) -> None:
    def wrong(_: sqlite3.Connection) -> None:
        raise error("of this job")

    async def scenario() -> None:
        journal = await opened(tmp_path)
        for ask in (journal._hands.read, journal._hands._write_in_thread):
            with pytest.raises((JournalError, ValueError, KeyError, RecursionError), match="of this job"):
                await asyncio.wait_for(ask(wrong), 10)
        assert await create(journal, RUN)
        assert await journal.runs.events(RUN, 0, 10)
        await journal.close()

    asyncio.run(scenario())


def test_a_value_out_of_range_fails_alone_in_its_transaction(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        hints = [Hint(2**64, Run("n", f"h{number}")) if number % 7 == 3 else Hint(5, RUN) for number in range(50)]
        runs = [Run("n", f"s{number}") for number in range(50)]
        asked = [*(journal.hints.add(one) for one in hints), *(create(journal, run) for run in runs)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(one, JournalError) for one in answers[:50]] == [number % 7 == 3 for number in range(50)]
        assert all(one is True for one in answers[50:])
        assert len((await journal.index.listing(Filter("n"), 100, "")).heads) == 50
        await journal.close()

    asyncio.run(scenario())


def test_a_commit_out_of_range_is_unknown_with_its_batch_and_fails_alone(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        runs = [Run("n", f"s{number}") for number in range(3)]
        for run in runs:
            assert await create(journal, run)
        batch = [commit(runs[0]), commit(runs[1], 2**64), commit(runs[2])]
        assert [type(one) for one in await journal.runs.commit_many(batch)] == [Unknown] * 3, "nothing is written"
        for one in (batch[0], batch[2]):
            assert [type(one) for one in await journal.runs.commit_many([one])] == [Committed]
        with pytest.raises(JournalError):
            await journal.runs.commit_many([batch[1]])
        await journal.close()

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is what the test brings about
def test_a_thread_that_ended_all_the_same_begins_anew(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hands, "WATCH_SECONDS", 0.05)

    def end(_: object) -> None:
        raise SystemExit  # ends a thread without a word

    async def scenario() -> None:
        journal = await opened(tmp_path)
        assert await create(journal, RUN)
        for hand in (journal._hands._reads, journal._hands._writes):
            thread = hand._thread
            assert thread is not None
            monkeypatch.setattr(hand, "_done", end)
            with pytest.raises(JournalError, match="ended while it was at work"):
                await asyncio.wait_for(journal._hands._hand(hand, lambda db: 1), 10)
            monkeypatch.undo()
            monkeypatch.setattr(hands, "WATCH_SECONDS", 0.05)
        assert len(await journal.runs.events(RUN, 0, 10)) == 1
        assert await journal._hands._write_in_thread(lambda db: 7) == 7
        await journal.close()

    asyncio.run(scenario())
    assert "is started again" in caplog.text


def test_a_read_that_does_not_end_is_broken_off(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(hands, "READ_SECONDS_MAX", 0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    async def scenario() -> None:
        journal = await opened(tmp_path)
        with pytest.raises(JournalError, match="took too long"):
            await asyncio.wait_for(journal._hands.read(lambda db: db.execute(endless).fetchone()), 20)
        assert await create(journal, RUN)
        assert len(await journal.runs.events(RUN, 0, 10)) == 1
        await journal.close()

    asyncio.run(scenario())


def damaged(path: pathlib.Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    database.execute(statement, values)
    database.commit()
    database.close()


def test_a_damaged_event_is_told_with_what_is_left_and_others_are_read(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        other = Run("n", "other")
        for run in (RUN, other):
            assert await create(journal, run)
            assert [type(one) for one in await journal.runs.commit_many([commit(run)])] == [Committed]
        damaged(tmp_path / "j.db", "UPDATE events SET event = ? WHERE head = 1 AND seq = 0", b"\xff\xff\xff")
        with pytest.raises(JournalDamaged, match="event 0 can't be read") as caught:
            await journal.runs.events(RUN, 0, 10)
        assert [event.seq for event in caught.value.left] == [1]
        assert len(await journal.runs.events(other, 0, 10)) == 2
        await journal.close()

    asyncio.run(scenario())


def test_a_file_that_is_cut_off_and_a_folder_are_damaged_and_not_waited_for(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        for number in range(300):
            assert await create(journal, Run("n", f"s{number}"))
        await journal.close()
        path = tmp_path / "j.db"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(JournalDamaged, match="is damaged"):
            await SqliteJournal(path).initialize()
        with pytest.raises(JournalDamaged, match="is a folder"):
            await SqliteJournal(tmp_path).initialize()

    asyncio.run(scenario())
