"""What the examples share: a journal in a temporary file, a client, and a worker for the sagas."""

from __future__ import annotations

import logging
import pathlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from durable_saga import Client, Worker, connect
from durable_saga.client.client import Handle
from durable_saga.declared.declarative import AnySaga
from durable_saga.errors import SagaError


@asynccontextmanager
async def playing(*sagas: AnySaga) -> AsyncIterator[Client]:
    """In a program of yours the journal is a file that stays, a server (`host:port`), or `cassandra://hosts/keyspace`."""
    logging.getLogger("durable_saga").setLevel(logging.ERROR)  # the failures here are on purpose
    with tempfile.TemporaryDirectory() as folder:
        journal = pathlib.Path(folder) / "sagas.db"
        async with connect(f"sqlite:///{journal}") as client, Worker(client, sagas=sagas):
            yield client


async def tell(handle: Handle[object]) -> None:
    """Wait for the end of a saga and say how it ended."""
    try:
        await handle.result()
    except SagaError:
        pass  # the overview says it
    found = await handle.overview()
    print(f"{handle.id}: {found.status}; completed {found.completed_steps}; undone {found.compensated_steps}")
