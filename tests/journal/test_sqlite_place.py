"""A SQLite file that is deleted or replaced under a running engine: nothing is acknowledged that it would not keep."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
from collections.abc import Callable

import pytest
from durable_saga_server.journal import Hint, JournalUnavailable, Run
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.sqlite_place import LOOK_SECONDS, Place


def deleted(file: pathlib.Path) -> None:
    file.unlink()


def replaced(file: pathlib.Path) -> None:
    shutil.copy(file, file.with_suffix(".copy"))
    file.with_suffix(".copy").rename(file)


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("lose", [deleted, replaced])
def test_nothing_is_acknowledged_once_the_file_is_gone(
    tmp_path: pathlib.Path, lose: Callable[[pathlib.Path], None], suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path / "journal.db")
        await journal.initialize()
        await journal.hints.add(Hint(1, Run("n", "a")))
        lose(tmp_path / f"journal.db{suffix}")
        await asyncio.sleep(2 * LOOK_SECONDS)
        for number in range(5):
            writes = [journal.hints.add(Hint(number, Run("n", f"b{number}.{n}"))) for n in range(number + 1)]
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
        await asyncio.sleep(2 * LOOK_SECONDS)
        with pytest.raises(JournalUnavailable):
            await journal.hints.add(Hint(1, Run("n", "a")))
        away.rename(file)
        await journal.hints.add(Hint(1, Run("n", "a")))
        await journal.close()

    asyncio.run(scenario())
    assert "back in its place" in caplog.text


class Looked(Place):
    looks = 0

    def _look(self) -> None:
        self.looks += 1
        super()._look()


def test_the_files_are_looked_at_now_and_again_and_each_time_once_they_are_gone(tmp_path: pathlib.Path) -> None:
    now = [100.0]
    (tmp_path / "journal.db").touch()
    place = Looked(str(tmp_path / "journal.db"), lambda: now[0])
    place.remember()
    for _ in range(3):
        place.check()
    assert place.looks == 1
    now[0] += 2 * LOOK_SECONDS
    (tmp_path / "journal.db").unlink()
    for looks in (2, 3, 4):
        with pytest.raises(JournalUnavailable):
            place.check()
        assert place.looks == looks
