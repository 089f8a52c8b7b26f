"""A journal whose calls are timed and whose errors are counted, for a server whose metrics somebody reads."""

from __future__ import annotations

import os
import shutil
from typing import Any

from durable_saga.telemetry import catalogue as metrics
from durable_saga.telemetry.instruments import Observed, Watching
from durable_saga_server.clock import Machine
from durable_saga_server.journal import Journal
from durable_saga_server.journal.wrapping import Call, WrappedJournal

SQLITE = "sqlite:///"
_FILES = {"journal": "", "wal": "-wal"}


class MeasuredJournal(WrappedJournal):
    async def around(self, name: str, call: Call, *args: Any) -> Any:
        began = Machine.monotonic()
        try:
            return await call(*args)
        except Exception as error:
            metrics.JOURNAL_ERRORS.add(1, name, type(error).__name__)
            raise
        finally:
            metrics.JOURNAL_DURATION.record(Machine.monotonic() - began, name)


def measured(journal: Journal, wanted: bool) -> Journal:
    return MeasuredJournal(journal) if wanted else journal


def watching_files(url: str) -> Watching:
    """The size of a SQLite journal, and what is free beside it; of another journal nothing."""
    if not url.startswith(SQLITE):
        return Watching()
    path = os.path.abspath(url.removeprefix(SQLITE))

    def sizes() -> Observed:
        return [(os.path.getsize(path + end), (name,)) for name, end in _FILES.items() if os.path.exists(path + end)]

    return Watching(
        (metrics.JOURNAL_BYTES, sizes), (metrics.DISK_FREE, lambda: [(shutil.disk_usage(os.path.dirname(path)).free, ())])
    )  # fmt: skip
