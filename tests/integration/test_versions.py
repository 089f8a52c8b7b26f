"""Which versions a program, a journal and a process say they have."""

from __future__ import annotations

import asyncio
import json
import pathlib
import sqlite3
import subprocess
import sys

import pytest
from durable_saga_server.journal import JournalError
from durable_saga_server.journal.open import open_journal, schema_found, schema_written
from durable_saga_server.journal.sqlite_rows import SCHEMA_VERSION

from durable_saga import connect
from durable_saga.errors import Unavailable
from durable_saga.pb.payloads import DETERMINISM_RULES
from durable_saga.pb.versions import PROTOCOL
from durable_saga.transport.statuses import error_for


def told(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "durable_saga", "versions", *arguments], capture_output=True, text=True)


async def _open_and_close(url: str) -> None:
    journal = open_journal(url)
    await journal.initialize()
    await journal.close()


def test_the_command_tells_what_the_program_has_and_what_a_journal_has_without_changing_it(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    asyncio.run(_open_and_close(url))
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("UPDATE journal_schema SET version = 3")
    db.close()
    found = json.loads(told("--journal", url).stdout)
    assert found["protocol"] == PROTOCOL
    assert found["rules"] == DETERMINISM_RULES
    assert found["schema_sqlite"] == SCHEMA_VERSION == schema_written(url)
    assert found["journal"] == 3
    assert asyncio.run(schema_found(url)) == 3, "it was only looked at"


def test_a_journal_that_is_not_there_is_not_made(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(JournalError, match="there is no journal"):
        asyncio.run(schema_found(url))
    failed = told("--journal", url)
    assert failed.returncode == 1
    assert "there is no journal" in failed.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_no_journal_is_said_to_be_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, and long enough to be looked at as one")
    with pytest.raises(JournalError):
        asyncio.run(schema_found(f"sqlite:///{tmp_path}/notes.db"))


def test_a_call_that_an_older_server_does_not_know_says_what_to_upgrade() -> None:
    error = error_for("UNIMPLEMENTED", "Method not found!")
    assert isinstance(error, Unavailable)
    assert "upgrade the servers first" in str(error)


def test_the_schema_of_a_journal_in_memory_is_none() -> None:
    async def scenario() -> None:
        async with connect("memory:"):
            assert await schema_found("memory:") == 0

    asyncio.run(scenario())


def test_the_page_names_the_versions_of_today() -> None:
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "versions.md").read_text()
    assert f"| {SCHEMA_VERSION} in SQLite, {schema_written('cassandra://c1/sagas')} on Cassandra |" in page
    assert f"| of the rules of determinism | {DETERMINISM_RULES} |" in page
    assert f"| of the protocol | {PROTOCOL} |" in page
