"""How people come in: with the page's one token, with a bearer of their own that the server knows, or without being asked.

Wrong tokens cost a second each, and then a lock-out of their address.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from durable_saga.client import raw
from durable_saga.client.client import Client
from durable_saga.clock import Clock
from durable_saga.errors import NotAllowed, NotKnown
from durable_saga.page.engine import read
from durable_saga.page.lockout import Lockout
from durable_saga.page.refusing import Refused
from durable_saga.page.sessions import Login, session_of
from durable_saga.pb.roles import CALLS, covers
from durable_saga.transport.credentials import bearer_of

TOKEN_CHARACTERS_MIN = 16
WRONG_TOKEN_SECONDS = 1.0
ADDRESS_CHARACTERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Entrance:
    """`token`: the page's. `of_server` makes the client of who shows a bearer, where those are taken. `behind_proxy`: it tells
    the addresses of browsers."""

    clock: Clock
    token: str = ""
    of_server: Callable[[str], Client] | None = None
    behind_proxy: bool = False
    lockout: Lockout = field(default_factory=Lockout)

    @property
    def has_login(self) -> bool:
        return bool(self.token) or self.of_server is not None

    @property
    def asks_for_name(self) -> bool:
        """Nobody else knows it."""
        return self.of_server is None

    async def enter(self, connection: HTTPConnection, shown: str, who: str = "") -> Login:
        """Raises Refused, and what the server raises when it can't be asked."""
        address, now_ms = self.address_of(connection), self.clock.now_ms()
        if seconds := self.lockout.seconds_left(address, now_ms):
            raise Refused(429, f"Too many wrong tokens came from your address: try again in {seconds} s.", again=seconds)
        login = await self._login(shown, who, address)
        if login is None:
            self.lockout.wrong(address, now_ms)
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            raise Refused(403, "The token is wrong.")
        self.lockout.right(address)
        return login

    async def _login(self, shown: str, who: str, address: str) -> Login | None:
        if self.of_server is None:
            return Login(who) if hmac.compare_digest(shown.encode(), self.token.encode()) else None
        try:
            client = self.of_server(bearer_of(shown, "the token"))
        except ValueError:
            return None
        try:
            known = await read(raw.identify(client, login_from=address))
        except NotAllowed as error:
            await client.close()
            if not isinstance(error, NotKnown):
                raise
            return None
        except BaseException:
            await client.close()
            raise
        return Login(known.name, list(known.rights), client, known.expires_ms)

    def address_of(self, connection: HTTPConnection) -> str:
        """Of the browser; behind a proxy the one that the proxy itself has added, which is the last."""
        if self.behind_proxy and (told := connection.headers.getlist("x-forwarded-for")):
            return told[-1].rpartition(",")[2].strip()[:ADDRESS_CHARACTERS_MAX]
        return connection.client.host if connection.client is not None else ""


def may(connection: HTTPConnection, call: str, namespace: str) -> bool:
    """Whether who is logged in has a role for it. Where nobody is asked, everybody may."""
    login = session_of(connection).login
    if login is None or login.rights is None:
        return True
    return any(CALLS[call] & set(one.roles) and covers(one.namespaces, namespace) for one in login.rights)
