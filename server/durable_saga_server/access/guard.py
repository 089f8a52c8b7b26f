"""Who a caller is: by a bearer token, else by a client certificate. A server without a guard asks nobody.

It looks after who was let in: once a second each open stream is asked whether its caller is still good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from durable_saga_server.access.auditing import Auditor
from durable_saga_server.access.caller import Caller
from durable_saga_server.access.certificates import Certificates
from durable_saga_server.access.jwts import Jwts, NotGood
from durable_saga_server.access.policy import Policy
from durable_saga_server.access.roles import Identity
from durable_saga_server.access.tokens import PREFIX, TOKENS_READ_SECONDS, Tokens
from durable_saga_server.clock import Clock
from durable_saga_server.failures import ServiceError
from durable_saga_server.journal.ledger import Ledger
from durable_saga_server.tending import tend

LOOK_SECONDS = 1.0
SCHEME = "bearer"


class Guard:
    """Call `start()` when the journal is open. Without [jwt] in `policy` it takes no JWTs, without `tokens` none of ours."""

    def __init__(self, ledger: Ledger, clock: Clock, *, policy: Policy | None = None, tokens: bool = True) -> None:
        """Raises ValueError where a package is missing that the policy needs."""
        self._clock = clock
        self._policy = policy or Policy()
        try:
            self._jwts = Jwts(self._policy, clock) if self._policy.jwt is not None else None
            self._certificates = Certificates() if self._policy.has_names else None
        except ImportError as error:
            needs = "JWTs and client certificates need `pip install 'durable-saga[server,identity]'`"
            raise ValueError(f"{error}: {needs}") from error
        self._tokens = Tokens(ledger, clock) if tokens else None
        self._streams: dict[Caller, None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises JournalError."""
        if self._tokens is not None:
            await self._tokens.read()
            self._tasks.append(tend("tokens", self._read_tokens, self._clock))
        self._tasks.append(tend("callers", self._look_after, self._clock))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def caller(self, context: Any, auditor: Auditor) -> Caller:
        """Of a gRPC call. Raises ServiceError."""
        return Caller(await self._identify(context), origin_of(context), self._is_good, auditor)

    async def look_again(self) -> None:
        """The tokens have changed: now, not soon."""
        if self._tokens is not None:
            await self._tokens.read_again()
        self._look_at_all()

    @contextmanager
    def watching(self, caller: Caller) -> Iterator[None]:
        """While its stream is open."""
        self._streams[caller] = None
        try:
            yield
        finally:
            caller.over = None
            del self._streams[caller]

    async def _identify(self, context: Any) -> Identity:
        shown = next((value for name, value in context.invocation_metadata() or () if name == "authorization"), None)
        if shown is not None:
            return await self.bearer(shown)
        if self._certificates is not None and (found := self._certificates.read(context.auth_context())) is not None:
            names, until_ms = found
            identity = Identity(names[0], "certificate", tuple(self._policy.of_names(names)), until_ms)
            if self._is_good(identity):
                return identity
            raise ServiceError("UNAUTHENTICATED", "the client certificate has expired")
        raise ServiceError("UNAUTHENTICATED", f"this server needs to know who calls: show {self._wanted()}")

    def _wanted(self) -> str:
        ways = [
            "a token (DURABLE_SAGA_TOKEN or connect(token=…))" if self._tokens is not None else "",
            f"a JWT of {self._policy.jwt.issuer}" if self._policy.jwt is not None else "",
            "a client certificate" if self._certificates is not None else "",
        ]
        return " or ".join(one for one in ways if one)

    async def bearer(self, shown: str | bytes) -> Identity:
        """What stands behind `authorization`. Raises ServiceError."""
        text = shown if isinstance(shown, str) else shown.decode(errors="replace")
        kind, _, token = text.partition(" ")
        token = token.strip()
        if kind.lower() != SCHEME or not token:
            raise ServiceError("UNAUTHENTICATED", "the authorization header must be `Bearer` and a token")
        if token.startswith(PREFIX):
            if self._tokens is None:
                raise ServiceError(
                    "UNAUTHENTICATED", "this server does not accept tokens of its own: it was started without --tokens"
                )
            if (identity := await self._tokens.find(token)) is None:
                raise ServiceError("UNAUTHENTICATED", "the token is unknown, expired or revoked")
            return identity
        if self._jwts is None:
            raise ServiceError("UNAUTHENTICATED", "this isn't a token of this server, and the server does not accept JWTs")
        try:
            return await self._jwts.identify(token)
        except NotGood as error:
            raise ServiceError("UNAUTHENTICATED", f"the JWT is refused: {error}") from None

    def _is_good(self, identity: Identity) -> bool:
        if 0 < identity.expires_ms <= self._clock.now_ms():
            return False
        return not identity.token or self._tokens is None or self._tokens.is_good(identity.token)

    async def _look_after(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            self._look_at_all()

    def _look_at_all(self) -> None:
        for caller in list(self._streams):
            caller.look()

    async def _read_tokens(self) -> None:
        assert self._tokens is not None, "it is tended only where there are some"
        while True:
            await self._clock.sleep(TOKENS_READ_SECONDS)
            await self._tokens.read_again()


def origin_of(context: Any) -> str:
    """ipv4:192.0.2.7:40022, as gRPC has it."""
    return str(context.peer())[:200]
