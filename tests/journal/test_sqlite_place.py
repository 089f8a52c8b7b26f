"""A SQLite file that is deleted or replaced under a running engine: nothing is acknowledged that it would not keep."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
from collections.abc import Callable

import pytest
from durable_saga_server.journal import Hint, JournalUnavailable, Run
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.sqlite_place import LOOK_SECONDS, UNSETTLED_SECONDS, Place


def deleted(file: pathlib.Path) -> None:
    file.unlink()


def replaced(file: pathlib.Path) -> None:
    shutil.copy(file, file.with_suffix(".copy"))
    file.with_suffix(".copy").rename(file)


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("lose", [deleted, replaced])
@pytest.mark.parametrize("settled_seconds", [0, 2 * UNSETTLED_SECONDS])
def test_nothing_is_acknowledged_once_the_file_is_gone(
    tmp_path: pathlib.Path, lose: Callable[[pathlib.Path], None], suffix: str, caplog: pytest.LogCaptureFixture,
    settled_seconds: float,
) -> None:  # fmt: skip
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "journal.db")
        await journal.initialize()
        await journal.add_hint(Hint(1, Run("n", "a")))
        await asyncio.sleep(settled_seconds)
        await journal.add_hint(Hint(2, Run("n", "a")))
        lose(tmp_path / f"journal.db{suffix}")
        for number in range(5):
            writes = [journal.add_hint(Hint(number, Run("n", f"b{number}.{n}"))) for n in range(number + 1)]
            for outcome in await asyncio.gather(*writes, return_exceptions=True):
                assert isinstance(outcome, JournalUnavailable), outcome
                assert "deleted or replaced" in str(outcome)
        await journal.close()

    asyncio.run(scenario())
    assert sum("deleted or replaced" in record.message for record in caplog.records) == 1, "told once"


def test_the_very_file_put_back_goes_on(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        file, away = tmp_path / "journal.db", tmp_path / "away.db"
        journal = SqliteJournal(file)
        await journal.initialize()
        file.rename(away)
        with pytest.raises(JournalUnavailable):
            await journal.add_hint(Hint(1, Run("n", "a")))
        away.rename(file)
        await journal.add_hint(Hint(1, Run("n", "a")))
        await journal.close()

    asyncio.run(scenario())
    assert "back at its place" in caplog.text


class Looked(Place):
    looks = 0

    def _look(self) -> None:
        self.looks += 1
        super()._look()


def test_the_files_are_looked_at_while_their_folder_changes_and_then_now_and_again(tmp_path: pathlib.Path) -> None:
    now = [100.0]
    (tmp_path / "journal.db").touch()
    place = Looked(str(tmp_path / "journal.db"), lambda: now[0])
    place.remember()
    for _ in range(3):
        place.check()
    assert place.looks == 3, "its folder may have changed within the same tick"
    now[0] += 2 * UNSETTLED_SECONDS
    for _ in range(3):
        place.check()
    assert place.looks == 3
    now[0] += LOOK_SECONDS
    for _ in range(3):
        place.check()
    assert place.looks == 4
    (tmp_path / "another").touch()
    place.check()
    assert place.looks == 5
    (tmp_path / "journal.db").unlink()
    for _ in range(3):
        with pytest.raises(JournalUnavailable):
            place.check()
