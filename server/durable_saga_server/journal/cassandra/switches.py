"""What operators have set, on Cassandra: a row for each, in one partition."""

from __future__ import annotations

from collections.abc import Sequence

from durable_saga_server.journal import JournalUnavailable, Switch, Unknown
from durable_saga_server.journal.cassandra.session import Session


class CassandraSwitches:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def all(self) -> Sequence[Switch]:
        return [Switch(*row) for row in await self._session.read("switches")]

    async def put(self, switch: Switch) -> bool:
        key = switch.namespace, switch.name
        if switch.version == 1:
            outcome = await self._session.conditional(("switch_new", (*key, switch.value, 1)))
        else:
            values = switch.value, switch.version, *key, switch.version - 1
            outcome = await self._session.conditional(("switch_set", values))
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(outcome.reason)
        return outcome[0] or [Switch(*row) for row in await self._session.read("switch_is", *key)] == [switch]
