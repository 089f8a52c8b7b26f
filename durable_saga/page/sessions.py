"""Sessions of browsers, kept here: a cookie holds 256 random bits that name one, and nothing to guess a token by. A log-out
ends it for everybody who has the cookie, and a restart of the page ends all."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from durable_saga.client.client import Client
from durable_saga.clock import Clock
from durable_saga.pb import access_pb2 as a

COOKIE = "durable_saga_page"
LOGIN_SECONDS = 12 * 3600
FORM_SECONDS = 3600
"""Of a session without a log-in: its forms are good for so long."""
SESSIONS_MAX = 10_000
LOGINS_MAX = 1_000
"""Of people who log in with something of their own: each has a connection to the server."""
SWEEP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Login:
    """`rights` None: whoever has the page's one token, or nobody was asked: everything. `client` None: the page's own."""

    name: str
    rights: Sequence[a.Rights] | None = None
    client: Client | None = None
    expires_ms: int = 0


@dataclass(eq=False, slots=True)
class Session:
    """`data` is what handlers keep. `until_ms` 0: it was not given a cookie yet."""

    data: dict[str, Any] = field(default_factory=dict)
    login: Login | None = None
    until_ms: int = 0
    is_begun_anew: bool = False
    is_over: bool = False


class Sessions:
    """All of a page, by the hash of what names them: who reads this memory's dump finds no cookie."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[bytes, Session] = {}
        self._swept_ms = 0
        self._closing: set[asyncio.Task[None]] = set()

    def find(self, name: str, kind: str = COOKIE) -> Session | None:
        """By what a cookie holds, or by what is no cookie: a cookie finds nothing of another kind."""
        session = self._kept.get(_digest(kind, name))
        if session is None or session.until_ms <= self._clock.now_ms():
            return None
        return session

    def keep(self, session: Session, name: str = "", kind: str = COOKIE) -> str:
        """Under this name or a new one, and no longer under any other. The name."""
        self._remove(session)
        self._sweep()
        now_ms = self._clock.now_ms()
        login = session.login
        session.until_ms = now_ms + (FORM_SECONDS if login is None else LOGIN_SECONDS) * 1000
        if login is not None and login.expires_ms:
            session.until_ms = min(session.until_ms, login.expires_ms)
        name = name or secrets.token_urlsafe(32)
        self._kept[_digest(kind, name)] = session
        session.is_begun_anew = False
        return name

    def drop(self, session: Session) -> None:
        self._remove(session)
        session.until_ms = 0
        login, session.login = session.login, None
        session.data.clear()
        if login is not None and login.client is not None:
            self._closing.add(task := asyncio.create_task(login.client.close()))
            task.add_done_callback(self._closing.discard)

    def _remove(self, session: Session) -> None:
        if session.until_ms:
            for digest in [digest for digest, one in self._kept.items() if one is session]:
                del self._kept[digest]

    def _sweep(self) -> None:
        """Those that are over; then, where there are too many, those without a log-in, oldest first."""
        now_ms = self._clock.now_ms()
        if now_ms > self._swept_ms + SWEEP_SECONDS * 1000:
            self._swept_ms = now_ms
            for session in [one for one in self._kept.values() if one.until_ms <= now_ms]:
                self.drop(session)
        with_client = [one for one in self._kept.values() if one.login is not None and one.login.client is not None]
        if len(with_client) >= LOGINS_MAX:
            self.drop(with_client[0])
        if len(self._kept) >= SESSIONS_MAX:
            self.drop(next((one for one in self._kept.values() if one.login is None), next(iter(self._kept.values()))))

    async def close(self) -> None:
        for session in list(self._kept.values()):
            self.drop(session)
        await asyncio.gather(*self._closing, return_exceptions=True)


def _digest(kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{name}".encode(errors="surrogatepass")).digest()


class Keeper:
    """Gives each request its session, and each new session its cookie."""

    def __init__(self, app: ASGIApp, sessions: Sessions, is_secure: bool) -> None:
        self._app = app
        self._sessions = sessions
        self._cookie = f"__Host-{COOKIE}" if is_secure else COOKIE
        self._flags = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if is_secure else "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        session = self._sessions.find(HTTPConnection(scope).cookies.get(self._cookie, "")) or Session()
        scope["kept"], scope["session"] = session, session.data

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start" and (value := self._value(session)) is not None:
                MutableHeaders(scope=message).append("set-cookie", f"{self._cookie}={value}{self._flags}")
            await send(message)

        await self._app(scope, receive, answered)

    def _value(self, session: Session) -> str | None:
        """Of the cookie, where it changes."""
        if session.is_over:
            self._sessions.drop(session)
            return "; Max-Age=0"
        if session.is_begun_anew or (not session.until_ms and session.data):
            return self._sessions.keep(session)
        return None


def session_of(connection: HTTPConnection) -> Session:
    found: Session = connection.scope["kept"]
    return found


def begin(connection: HTTPConnection, login: Login) -> None:
    """Somebody has logged in: the session gets another name, and a form from before is not good any more."""
    session = session_of(connection)
    session.data.clear()
    session.login = login
    session.is_begun_anew = True


def end(connection: HTTPConnection) -> None:
    session_of(connection).is_over = True
