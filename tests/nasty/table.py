"""The table of nasty user code: every entry and every saga of it."""

from __future__ import annotations

from typing import Any

from tests.nasty import attempts, coding, dying, timing
from tests.nasty.entry import Entry

_TABLES = (coding.TABLE, timing.TABLE, dying.TABLE)
ENTRIES: list[Entry] = [*attempts.ENTRIES, *(one for table in _TABLES for one in table.entries)]
SAGAS: list[Any] = [*attempts.SAGAS, *(one for table in _TABLES for one in table.sagas)]
BY_NAME = {one.name: one for one in ENTRIES}
