"""A history server whose journal is recorded when DURABLE_SAGA_RECORD names a folder; otherwise as `durable-saga server`.

DURABLE_SAGA_RECORD=FOLDER python -m tests.linearizability.server --journal URL --listen HOST:PORT [--no-strict]
"""

from __future__ import annotations

import asyncio
import logging

import click
import durable_saga_server.serving as serving
from durable_saga_server.journal import Journal
from durable_saga_server.journal.open import open_journal

from tests.linearizability.recording import recording


def _open(url: str, *, strict: bool = True) -> Journal:
    return recording(open_journal(url, strict=strict))


@click.command()
@click.option("--journal", required=True)
@click.option("--listen", default="127.0.0.1:7233")
@click.option("--strict/--no-strict", default=True)
def main(journal: str, listen: str, strict: bool) -> None:
    logging.basicConfig(level=logging.INFO)
    setattr(serving, "open_journal", _open)  # noqa: B010  # production URLs know of no recording
    asyncio.run(serving.serve(journal, listen, strict=strict, ready=lambda text: print(text, flush=True)))


if __name__ == "__main__":
    main()
