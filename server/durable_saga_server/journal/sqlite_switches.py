"""What operators have set, in SQLite: a row for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durable_saga_server.journal import Switch
from durable_saga_server.journal.rules import decide_switch
from durable_saga_server.journal.sqlite_hands import Hands

_ALL = "SELECT namespace, name, value, version FROM switches"


class SqliteSwitches:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def all(self) -> Sequence[Switch]:
        return await self._hands.read(lambda db: [Switch(*row) for row in db.execute(f"{_ALL} ORDER BY namespace, name")])

    async def put(self, switch: Switch) -> bool:
        return await self._hands.write(lambda db: _put(db, switch))


def _put(db: sqlite3.Connection, switch: Switch) -> bool:
    key = switch.namespace, switch.name
    row = db.execute(f"{_ALL} WHERE namespace = ? AND name = ?", key).fetchone()
    is_written = decide_switch(None if row is None else Switch(*row), switch)
    if is_written:
        db.execute("INSERT OR REPLACE INTO switches VALUES (?,?,?,?)", (*key, switch.value, switch.version))
    return is_written
