"""Claims in SQLite: a row for each item; `until_ms` NULL: confirmed."""

from __future__ import annotations

from durable_saga_server.journal.sqlite_hands import Hands


class SqliteClaims:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        insert = "INSERT INTO claims VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms"
        insert += " WHERE until_ms IS NOT NULL AND until_ms <= ?"
        values = (namespace, group, item, until_ms, now_ms)
        return await self._hands.write(lambda db: db.execute(insert, values).rowcount > 0)

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        insert = "INSERT INTO claims VALUES (?,?,?,NULL) ON CONFLICT DO UPDATE SET until_ms = NULL"
        await self._hands.write(lambda db: db.execute(insert, (namespace, group, item)).rowcount)
