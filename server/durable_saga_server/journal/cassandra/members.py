"""The members of the cell on Cassandra: rows that expire by themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence

from durable_saga_server.journal import Member
from durable_saga_server.journal.cassandra.session import Session


class CassandraMembers:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def beat(self, member: Member) -> None:
        lists = json.dumps(list(member.workers)), json.dumps(list(member.saga_types))
        await self._session.read("beat", member.name, member.address, member.beat, member.seen_ms, *lists)

    async def all(self) -> Sequence[Member]:
        rows = await self._session.read("members")
        return [Member(row[0], row[1], row[2], row[3], json.loads(row[4]), json.loads(row[5])) for row in rows]

    async def leave(self, name: str) -> None:
        await self._session.read("leave", name)
