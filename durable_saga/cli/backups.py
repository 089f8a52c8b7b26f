"""Copies of a SQLite journal: make one while it is in use, look whether one is whole, begin a journal from one."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import click

_journal = click.option("--journal", envvar="DURABLE_SAGA_JOURNAL", required=True, help="sqlite:///FILE")
_copy = click.argument("file", type=click.Path(dir_okay=False))


@click.group()
def journal() -> None:
    """Back up and restore a SQLite journal. See docs/backup.md."""


@journal.command()
@_copy
@_journal
def backup(file: str, journal: str) -> None:
    """Copy the journal to FILE, which must not exist yet. Servers and workers may keep running."""
    from durable_saga_server.journal import JournalError
    from durable_saga_server.journal.sqlite_backup import back_up

    try:
        size = back_up(_path_of(journal), file)
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    print(f"{os.path.abspath(file)}: {size} bytes, complete", flush=True)


@journal.command()
@_copy
@_journal
def restore(file: str, journal: str) -> None:
    """Restore the journal from the copy FILE. The journal must not exist yet, so no server may be using it."""
    from durable_saga_server.journal import JournalError
    from durable_saga_server.journal.sqlite_backup import restore as begin_from

    try:
        size = begin_from(file, _path_of(journal))
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    print(f"{_path_of(journal)}: {size} bytes, complete", flush=True)


@journal.command()
@_copy
def check(file: str) -> None:
    """Check that FILE is a complete journal, and show how many runs it holds."""
    from durable_saga_server.journal import JournalError
    from durable_saga_server.journal.sqlite_backup import check as look

    if not os.path.isfile(file):
        raise click.ClickException(f"there is no file {file}")
    try:
        runs = look(file)
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    print(f"{os.path.abspath(file)}: complete, {runs} runs", flush=True)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        raise click.ClickException(
            f"{url!r} isn't a SQLite journal (sqlite:///FILE); to back up Cassandra, use its snapshots (docs/backup.md)"
        )
    return parts.path[1:]


COMMANDS: tuple[click.Command, ...] = (journal,)
