"""A SQLite file that is deleted or replaced under a running engine: nothing is acknowledged that it would not keep."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
from collections.abc import Callable

import pytest
from durable_saga_server.journal import Hint, JournalUnavailable, Run
from durable_saga_server.journal.sqlite import SqliteJournal


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
        await journal.add_hint(Hint(1, Run("n", "a")))
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
