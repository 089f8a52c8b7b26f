"""`durable-saga versions`: what this program is, speaks and writes, and which schema a journal has."""

from __future__ import annotations

from typing import Any

import click

from durable_saga.cli import output
from durable_saga.pb.payloads import DETERMINISM_RULES
from durable_saga.pb.versions import PROTOCOL, program_version


@click.command()
@click.option("--journal", envvar="DURABLE_SAGA_JOURNAL", default="", help="Look at this journal too; nothing in it changes.")
def versions(journal: str) -> None:
    """Show the versions of this program, and the schema version of a journal. See docs/versions.md."""
    found: dict[str, Any] = {"program": program_version(), "protocol": PROTOCOL, "rules": DETERMINISM_RULES}
    found |= {f"schema_{store}": schema for store, schema in _schemas().items()}
    if journal:
        found["journal"] = output.run(_found(journal))
    if output.is_terminal():
        output.table(("what", "version"), [(name, str(value)) for name, value in found.items()])
    else:
        output.print_json(found)


def _schemas() -> dict[str, int]:
    """Of the stores whose packages are installed."""
    found: dict[str, int] = {}
    try:
        from durable_saga_server.journal import sqlite_rows

        found["sqlite"] = sqlite_rows.SCHEMA_VERSION
        from durable_saga_server.journal.cassandra import schema

        found["cassandra"] = schema.SCHEMA_VERSION
    except ImportError:
        pass  # an extra
    return found


async def _found(url: str) -> int:
    from durable_saga_server.journal.open import schema_found

    return await schema_found(url)


COMMANDS: tuple[click.Command, ...] = (versions,)
