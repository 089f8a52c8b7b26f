"""Random tokens: `dst_ID_SECRET`, 256 bits of secret, of which the ledger keeps a hash. What is read from it is kept here, and
read again every TOKENS_READ_SECONDS: a revoked one is gone at every server of the cell soon, and a call costs no read."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace

from durable_saga.pb import access_pb2 as a
from durable_saga.pb.limits import TIME_MS_MAX, WHO_CHARACTERS_MAX
from durable_saga.pb.roles import includes
from durable_saga_server.access.roles import Identity, grant_of
from durable_saga_server.clock import Clock
from durable_saga_server.failures import ServiceError
from durable_saga_server.journal import JournalError
from durable_saga_server.journal.ledger import Ledger, TokenRow

log = logging.getLogger(__name__)
PREFIX = "dst_"
TOKENS_READ_SECONDS = 2.0
UNKNOWN_SECONDS = 0.2
TOKENS_STALE_MS = 60_000
"""While the journal can't be read, what is known of it is believed for so long."""
TOKENS_MAX = 10_000


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def identity_of(row: TokenRow) -> Identity | None:
    """None: what stands there is of a later version, or damaged; nobody gets in by it."""
    try:
        rights = a.Rights.FromString(row.rights)
        grant = grant_of(rights.roles, rights.namespaces, rights.saga_types)
    except Exception as error:
        log.error("token %s can't be read, so nobody can use it: %s", row.id, error)
        return None
    return Identity(row.name, "token", (grant,), row.expires_ms, row.id)


def message_of(row: TokenRow) -> a.Token:
    found = a.Token(
        id=row.id, name=row.name, made_ms=row.made_ms, made_by=row.made_by, expires_ms=row.expires_ms, revoked_ms=row.revoked_ms
    )
    try:
        found.rights.ParseFromString(row.rights)
    except Exception as error:
        log.error("the rights of token %s can't be read: %s", row.id, error)
    return found


class Tokens:
    """What a server knows of them."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known: dict[str, tuple[bytes, Identity]] = {}
        self._read_ms = 0
        self._reads = 0
        self._reading = asyncio.Lock()

    async def read(self) -> None:
        """Raises JournalError."""
        known = {}
        self._reads += 1
        for row in await self._ledger.tokens():
            if not row.revoked_ms and (identity := identity_of(row)) is not None:
                known[row.id] = (row.digest, identity)
        self._known, self._read_ms = known, self._clock.now_ms()

    async def read_again(self) -> None:
        """What can't be read is told, and what is known stays for a while."""
        try:
            await self.read()
        except JournalError as error:
            log.warning("the tokens can't be read: %s", error)

    def is_good(self, token: str) -> bool:
        """Of an id that was found before: it was not revoked since, as far as that can be known."""
        return token in self._known and not self._is_stale

    async def find(self, text: str) -> Identity | None:
        """None: it is none of ours, or no longer. Raises ServiceError: that can't be known now."""
        self._check_age()
        if (found := self._look(text)) is None:
            await self._read_anew()  # it may be a new one
            found = self._look(text)
        return found

    async def _read_anew(self) -> None:
        """For all who wait for it, and not more often than every UNKNOWN_SECONDS: forged tokens cost no more."""
        reads = self._reads
        async with self._reading:
            if self._reads == reads:
                await self._clock.sleep(max(self._read_ms / 1000 + UNKNOWN_SECONDS - self._clock.now_ms() / 1000, 0.0))
                await self.read_again()

    @property
    def _is_stale(self) -> bool:
        return self._clock.now_ms() > self._read_ms + TOKENS_STALE_MS

    def _check_age(self) -> None:
        if self._is_stale:
            raise ServiceError(
                "UNAVAILABLE", "the server can't read its tokens from the journal now: try again", retry_after_ms=1_000
            )

    def _look(self, text: str) -> Identity | None:
        name = text.removeprefix(PREFIX).partition("_")[0]
        digest, identity = self._known.get(name, (b"", None))
        if identity is None or not hmac.compare_digest(digest, digest_of(text)):
            return None
        return None if 0 < identity.expires_ms <= self._clock.now_ms() else identity


class TokenBook:
    """Makes, lists and revokes them."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def make(self, name: str, rights: a.Rights, lifetime_ms: int, who: str) -> tuple[str, TokenRow]:
        """The token, and its row. Raises ServiceError and JournalError."""
        if not 1 <= len(name) <= WHO_CHARACTERS_MAX or not name.isprintable():
            raise ServiceError(
                "INVALID_ARGUMENT", f"the name of a token must have 1 to {WHO_CHARACTERS_MAX} characters that can be printed"
            )
        try:
            grant = grant_of(rights.roles, rights.namespaces, rights.saga_types)
        except ValueError as error:
            raise ServiceError("INVALID_ARGUMENT", str(error)) from None
        if len(await self._ledger.tokens()) >= TOKENS_MAX:
            raise ServiceError(
                "RESOURCE_EXHAUSTED", f"there are already {TOKENS_MAX} tokens, the most that are allowed (TOKENS_MAX)"
            )
        now_ms = self._clock.now_ms()
        token_id = secrets.token_hex(6)
        token = f"{PREFIX}{token_id}_{secrets.token_urlsafe(32)}"
        row = TokenRow(
            token_id, name, digest_of(token), grant.to_message().SerializeToString(), now_ms, who,
            min(now_ms + lifetime_ms, TIME_MS_MAX) if lifetime_ms else 0,
        )  # fmt: skip
        await self._ledger.put_token(row)
        return token, row

    async def rows(self, namespace: str) -> Sequence[TokenRow]:
        """Those that are for this namespace alone; all, where none is given."""
        return [row for row in await self._ledger.tokens() if not namespace or _is_within(row, namespace)]

    async def revoke(self, token: str, namespace: str) -> TokenRow:
        """Raises ServiceError and JournalError. A second time changes nothing."""
        row = next((one for one in await self.rows(namespace) if one.id == token), None)
        if row is None:
            raise ServiceError(
                "NOT_FOUND", f"there is no token {token!r}" + (f" for namespace {namespace!r} alone" if namespace else "")
            )
        if not row.revoked_ms:
            row = replace(row, revoked_ms=self._clock.now_ms())
            await self._ledger.put_token(row)
        return row


def _is_within(row: TokenRow, namespace: str) -> bool:
    namespaces = message_of(row).rights.namespaces
    return bool(namespaces) and all(includes([namespace], one) for one in namespaces)
