"""The files of a SQLite journal: their owner's alone, no links, one file after a clean stop."""

from __future__ import annotations

import asyncio
import os
import pathlib
import stat
import subprocess
import sys

import pytest
from durable_saga_server.journal import Hint, JournalDamaged, JournalUnavailable, Run
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.sqlite_place import LOOK_SECONDS

KILLED = """
import asyncio, os, sys
from durable_saga_server.journal import Hint, Run
from durable_saga_server.journal.sqlite import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.initialize()
    await journal.hints.add(Hint(1, Run("n", "a")))
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def modes(folder: pathlib.Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.lstat().st_mode) for one in folder.iterdir()}


async def used(path: pathlib.Path) -> dict[str, int]:
    """The files while it is open and was written to, by the loop and by the thread."""
    journal = SqliteJournal(path)
    await journal.initialize()
    for _ in range(3):
        await asyncio.gather(*(journal.hints.add(Hint(n, Run("n", f"{n}"))) for n in range(100)))
    await journal.hints.due(0, 0, 100, 100)
    found = modes(path.parent)
    await journal.close()
    return found


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_and_those_beside_it_are_their_owners_alone_and_a_clean_stop_leaves_one(
    tmp_path: pathlib.Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        found = asyncio.run(used(tmp_path / "j.db"))
    finally:
        os.umask(before)
    assert found == {"j.db": 0o600, "j.db-wal": 0o600, "j.db-shm": 0o600}
    assert modes(tmp_path) == {"j.db": 0o600}


def test_files_that_an_earlier_version_left_open_to_others_are_narrowed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.db"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert set(modes(tmp_path)) == {"j.db", "j.db-wal", "j.db-shm"}
    for one in tmp_path.iterdir():
        one.chmod(0o644)
    assert set(asyncio.run(used(path)).values()) == {0o600}
    assert modes(tmp_path) == {"j.db": 0o600}


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("is_dangling", [True, False])
def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: pathlib.Path, suffix: str, is_dangling: bool) -> None:
    target = tmp_path / "somebody's"
    if not is_dangling:
        target.write_bytes(b"not yours")
        target.chmod(0o644)
    (tmp_path / f"j.db{suffix}").symlink_to(target)

    async def scenario() -> None:
        with pytest.raises(JournalDamaged, match="symbolic link"):
            await SqliteJournal(tmp_path / "j.db").initialize()

    asyncio.run(scenario())
    assert target.exists() is not is_dangling
    if not is_dangling:
        assert target.read_bytes() == b"not yours"
        assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_what_is_no_ordinary_file_is_said(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    async def scenario() -> None:
        with pytest.raises(JournalDamaged, match="an ordinary file"):
            await SqliteJournal(tmp_path / "pipe").initialize()
        with pytest.raises(JournalDamaged, match="is a folder"):
            await SqliteJournal(tmp_path).initialize()
        with pytest.raises(JournalUnavailable, match="does not exist, so make it first"):
            await SqliteJournal(tmp_path / "nowhere" / "j.db").initialize()

    asyncio.run(scenario())


def test_a_link_put_in_place_of_the_open_file_gets_nothing_acknowledged(tmp_path: pathlib.Path) -> None:
    async def scenario() -> None:
        path, moved = tmp_path / "j.db", tmp_path / "moved.db"
        journal = SqliteJournal(path)
        await journal.initialize()
        await journal.hints.add(Hint(1, Run("n", "a")))
        path.rename(moved)
        path.symlink_to(moved)
        await asyncio.sleep(2 * LOOK_SECONDS)
        with pytest.raises(JournalUnavailable, match="deleted or replaced"):
            await journal.hints.add(Hint(2, Run("n", "b")))
        await journal.close()

    asyncio.run(scenario())
