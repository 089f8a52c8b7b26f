"""Copies of a SQLite journal: whole, of one moment, never over another file, and never of a damaged one."""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner
from durable_saga_server.journal import Filter, JournalDamaged, JournalError, SchemaTooNew
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.sqlite_backup import back_up, check, restore

from durable_saga.cli import main
from tests.journal.test_sqlite import create


async def filled(path: pathlib.Path, count: int = 20) -> None:
    journal = SqliteJournal(path)
    await journal.initialize()
    for number in range(count):
        await create(journal, f"s{number}")
    await journal.close()


async def sagas_of(path: pathlib.Path) -> list[str]:
    journal = SqliteJournal(path)
    await journal.initialize()
    found = await journal.index.listing(Filter("n"), 1_000, "")
    for head in found.heads:
        assert len(await journal.runs.events(head.run, 0, 10)) == head.next_seq
    await journal.close()
    return sorted(head.run.saga for head in found.heads)


def test_a_copy_holds_what_was_acknowledged_before_and_is_one_private_file(tmp_path: pathlib.Path) -> None:
    path, copy = tmp_path / "j.db", tmp_path / "copies" / "c.db"
    copy.parent.mkdir()

    async def scenario() -> None:
        journal = SqliteJournal(path)
        await journal.initialize()
        for number in range(20):
            await create(journal, f"s{number}")
        await asyncio.to_thread(back_up, str(path), str(copy))  # what is in the log only, too
        await create(journal, "later")
        await journal.close()

    asyncio.run(scenario())
    assert [one.name for one in copy.parent.iterdir()] == ["c.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert check(str(copy)) == 20
    assert [one.name for one in copy.parent.iterdir()] == ["c.db"], "looking leaves nothing"
    restore(str(copy), str(tmp_path / "again.db"))
    assert asyncio.run(sagas_of(tmp_path / "again.db")) == sorted(f"s{number}" for number in range(20))


def test_a_copy_made_while_another_process_writes_is_of_one_moment(tmp_path: pathlib.Path) -> None:
    """The writer makes sagas in order, each after the acknowledgement of the one before."""
    path = tmp_path / "j.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=pathlib.Path(__file__).parents[2]
    )
    assert writer.stdout is not None
    try:
        for turn in range(5):
            acknowledged = 0
            for _ in range(100):
                acknowledged = int(writer.stdout.readline())
            copy = tmp_path / f"c{turn}.db"
            back_up(str(path), str(copy))
            count = check(str(copy))
            assert count > acknowledged, "all that was acknowledged before it began"
            assert asyncio.run(sagas_of(copy)) == sorted(f"s{number}" for number in range(count)), "and nothing with a gap"
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


WRITER = """
import asyncio, sys
from tests.journal.test_sqlite import create
from durable_saga_server.journal.sqlite import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.initialize()
    number = 0
    while True:
        await create(journal, f"s{number}")
        print(number, flush=True)
        number += 1
        await asyncio.sleep(0.0005)

asyncio.run(main())
"""


def test_nothing_is_overwritten(tmp_path: pathlib.Path) -> None:
    path, copy = tmp_path / "j.db", tmp_path / "c.db"
    asyncio.run(filled(path))
    back_up(str(path), str(copy))
    before = copy.read_bytes()
    with pytest.raises(JournalError, match="already exists"):
        back_up(str(path), str(copy))
    with pytest.raises(JournalError, match="move it away first"):
        restore(str(copy), str(path))
    path.unlink()
    (tmp_path / "j.db-wal").write_bytes(b"of the former one")
    with pytest.raises(JournalError, match=r"j\.db-wal exists"):
        restore(str(copy), str(path))
    assert copy.read_bytes() == before
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere.db")
    with pytest.raises(JournalError, match="already exists"):
        back_up(str(copy), str(tmp_path / "link.db"))


def test_what_is_not_whole_is_neither_copied_nor_restored(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.db"
    asyncio.run(filled(path))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    with pytest.raises(JournalDamaged):
        back_up(str(path), str(tmp_path / "c.db"))
    path.write_bytes(b"no journal" * 1_000)
    with pytest.raises(JournalDamaged, match="isn't a journal"):
        restore(str(path), str(tmp_path / "new.db"))
    path.write_bytes(whole)
    database = sqlite3.connect(path)
    database.execute("DELETE FROM events WHERE head = 7")
    database.commit()
    database.close()
    with pytest.raises(JournalDamaged, match="events of saga s6, run 1, are missing"):
        back_up(str(path), str(tmp_path / "c.db"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["j.db"], "nothing half is left"


def test_other_files_are_named_as_what_they_are(tmp_path: pathlib.Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        back_up(str(tmp_path / "none.db"), str(tmp_path / "c.db"))
    with pytest.raises(JournalError, match="there is no copy"):
        restore(str(tmp_path / "none.db"), str(tmp_path / "c.db"))
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE a (b)")
    other.close()
    with pytest.raises(JournalError):
        back_up(str(tmp_path / "other.db"), str(tmp_path / "c.db"))
    asyncio.run(filled(tmp_path / "j.db"))
    newer = sqlite3.connect(tmp_path / "j.db")
    newer.execute("UPDATE journal_schema SET version = 999")
    newer.commit()
    newer.close()
    with pytest.raises(SchemaTooNew, match="999"):
        restore(str(tmp_path / "j.db"), str(tmp_path / "c.db"))


def test_a_person_backs_up_checks_and_restores(tmp_path: pathlib.Path) -> None:
    asyncio.run(filled(tmp_path / "j.db", 3))
    url, again, copy = f"sqlite:///{tmp_path}/j.db", f"sqlite:///{tmp_path}/again.db", str(tmp_path / "c.db")
    run = CliRunner().invoke
    assert "complete" in run(main, ["journal", "backup", copy, "--journal", url]).output
    assert "complete, 3 runs" in run(main, ["journal", "check", copy]).output
    assert "complete" in run(main, ["journal", "restore", copy, "--journal", again]).output
    assert asyncio.run(sagas_of(tmp_path / "again.db")) == ["s0", "s1", "s2"]
    refused = run(main, ["journal", "backup", copy, "--journal", url])
    assert refused.exit_code == 1
    assert "already exists" in refused.output
    assert "Cassandra" in run(main, ["journal", "backup", copy, "--journal", "cassandra://a/b"]).output
    assert "no file" in run(main, ["journal", "check", str(tmp_path / "none")]).output
    assert run(main, ["journal", "check", str(tmp_path / "c.db")]).exit_code == 0
