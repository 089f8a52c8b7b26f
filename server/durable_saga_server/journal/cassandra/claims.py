"""Claims on Cassandra: a row for each item. Rows expire by themselves."""

from __future__ import annotations

from durable_saga_server.journal import JournalUnavailable, Unknown
from durable_saga_server.journal.cassandra.session import Session


class CassandraClaims:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, namespace: str, group: str, item: str, now_ms: int, until_ms: int) -> bool:
        """An unknown outcome is no claim: the item comes up again when the claim that may be there is over."""
        key = (namespace, group, item)
        outcome = await self._session.conditional(("claim_new", (*key, until_ms)))
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(outcome.reason)
        applied, row = outcome
        if applied:
            return True
        held_until = row.get("until_ms") or 0
        if row.get("done") or held_until > now_ms:
            return False
        outcome = await self._session.conditional(("claim_again", (until_ms, *key, held_until)))
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(outcome.reason)
        return outcome[0]

    async def confirm(self, namespace: str, group: str, item: str) -> None:
        outcome = await self._session.conditional(("claim_done", (namespace, group, item)))
        if isinstance(outcome, Unknown):
            raise JournalUnavailable(outcome.reason)
