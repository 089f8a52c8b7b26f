"""The members of the cell in SQLite: a row for each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from durable_saga_server.journal import MEMBER_KEPT_MS, Member
from durable_saga_server.journal.sqlite_hands import Hands


class SqliteMembers:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def beat(self, member: Member) -> None:
        lists = json.dumps(list(member.workers)), json.dumps(list(member.saga_types))
        row = (member.name, member.address, member.beat, member.seen_ms, *lists)

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO members VALUES (?,?,?,?,?,?)", row)
            db.execute("DELETE FROM members WHERE seen_ms <= ?", (member.seen_ms - MEMBER_KEPT_MS,))

        await self._hands.write(write)

    async def all(self) -> Sequence[Member]:
        select = "SELECT name, address, beat, seen_ms, workers, saga_types FROM members ORDER BY name"
        return await self._hands.read(lambda db: [_member(row) for row in db.execute(select)])

    async def leave(self, name: str) -> None:
        await self._hands.write(lambda db: db.execute("DELETE FROM members WHERE name = ?", (name,)).rowcount)


def _member(row: tuple[Any, ...]) -> Member:
    return Member(row[0], row[1], row[2], row[3], _names(row[4]), _names(row[5]))


def _names(text: object) -> list[str]:
    """None where a row is damaged: it goes when its member does not write it again."""
    try:
        return [str(name) for name in json.loads(str(text))]
    except (ValueError, TypeError):
        return []
