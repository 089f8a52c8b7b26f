"""The calls of the service Access: tokens and the audit log of a journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from durable_saga.pb import access_pb2 as a
from durable_saga.pb.roles import Role
from durable_saga_server.access.roles import Grant
from durable_saga_server.access.tokens import TokenBook, message_of
from durable_saga_server.clock import Clock
from durable_saga_server.failures import ServiceError, guard_journal
from durable_saga_server.journal.ledger import Entry, Ledger, Wanted

ROWS, ROWS_MAX = 100, 1_000
ANYBODY = a.Identity(rights=[Grant(frozenset({Role.ADMIN}), ("*",)).to_message()])
"""Where nobody is asked who they are."""


class AccessCalls:
    """`calls` by name; each raises ServiceError."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._book = TokenBook(ledger, clock)
        self.calls: Mapping[str, Callable[[Any], Awaitable[Any]]] = {
            "Identify": self.identify, "Grant": self.grant, "Tokens": self.tokens, "Revoke": self.revoke, "Audit": self.audit,
        }  # fmt: skip

    async def identify(self, _: a.IdentifyRequest) -> a.Identity:
        return ANYBODY

    @guard_journal
    async def grant(self, request: a.GrantRequest) -> a.GrantReply:
        token, row = await self._book.make(request.name, request.rights, request.lifetime_ms, request.who)
        return a.GrantReply(token=token, made=message_of(row))

    @guard_journal
    async def tokens(self, request: a.TokensRequest) -> a.TokensReply:
        return a.TokensReply(tokens=[message_of(row) for row in await self._book.rows(request.namespace)])

    @guard_journal
    async def revoke(self, request: a.RevokeRequest) -> a.RevokeReply:
        return a.RevokeReply(token=message_of(await self._book.revoke(request.id, request.namespace)))

    @guard_journal
    async def audit(self, request: a.AuditRequest) -> a.AuditReply:
        now_ms = self._clock.now_ms()
        wanted = Wanted(
            request.since_ms, request.until_ms or now_ms + 1, request.namespace, request.who, request.verb, request.saga
        )  # fmt: skip
        try:
            found = await self._ledger.entries(wanted, min(request.limit or ROWS, ROWS_MAX), request.page, now_ms)
        except ValueError as error:
            raise ServiceError("INVALID_ARGUMENT", str(error)) from None
        return a.AuditReply(entries=[_shown(one) for one in found.entries], next_page=found.next_page)


def _shown(entry: Entry) -> a.AuditEntry:
    """Of one that can't be read, what stands beside it."""
    try:
        return a.AuditEntry.FromString(entry.entry)
    except Exception as error:
        return a.AuditEntry(
            at_ms=entry.at_ms, who=entry.who, verb=entry.verb, namespace=entry.namespace, saga=entry.saga,
            outcome="DATA_LOSS", detail=f"the row is damaged: {error}",
        )  # fmt: skip
