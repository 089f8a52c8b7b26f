"""Who may do what: hosts, login, forged forms, and the headers that keep a browser from doing more than it was sent.

- Hosts: a page answers to loopback names, to those that it was told and to the address that it was reached at, so that no
  other name can be made to lead to it.
- Login: where there is one, every page but the login wants it, as a bearer or by a session that has it.
- Forms: a post is taken from this very origin, with the token of its session.
- Headers: no script, style or frame but our own, nothing inline, nothing kept by caches.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from durable_saga.errors import ClientError
from durable_saga.page.entrance import Entrance
from durable_saga.page.refusing import Refused
from durable_saga.page.sessions import Session, Sessions, session_of

FORM_BYTES_MAX = 8 * 1024 * 1024
FORM_FIELDS_MAX = 50
FORM_SECONDS_MAX = 60.0
HOST_CHARACTERS_MAX = 100
BEARER = "bearer"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_OPEN_TO_ALL = ("/login", "/static/", "/favicon.ico")


@dataclass(frozen=True, slots=True)
class Form:
    """What a post brought, by field."""

    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.fields.get(name, "").strip()


Handler = Callable[[Request], Awaitable[Response]]
Posted = Callable[[Request, Form], Awaitable[Response]]


def forgery_token(request: Request) -> str:
    """Of this session; a form carries it."""
    token = request.session.get("form")
    if not isinstance(token, str):
        token = request.session["form"] = secrets.token_urlsafe(32)
    return token


def post(handler: Posted) -> Handler:
    """The only way to a handler of a form: read, bounded, and known to come from a page of ours. Raises Refused."""

    async def taken(request: Request) -> Response:
        _check_origin(request.headers)
        form = Form(dict(await _fields(request)))
        if not is_bearer(request):
            expected, given = request.session.get("form"), form.fields.get("form_token", "")
            if not isinstance(expected, str) or not hmac.compare_digest(expected.encode(), given.encode()):
                raise Refused(403, "This form is out of date, so nothing was done. Go back, reload the page and send it again.")
        return await handler(request, form)

    return taken


def _check_origin(headers: Headers) -> None:
    """What a browser says about where a form came from; other programs say nothing and have the token to show."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if site is None and origin is not None:
        foreign = urlsplit(origin).netloc != headers.get("host")
    if foreign:
        raise Refused(403, "The form was sent by another site, so nothing was done.")


async def _fields(request: Request) -> list[tuple[str, str]]:
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS_MAX):
            async for part in request.stream():
                body += part
                if len(body) > FORM_BYTES_MAX:
                    raise Refused(413, f"The form has more than {FORM_BYTES_MAX} bytes (FORM_BYTES_MAX), so nothing was done.")
    except TimeoutError:
        raise Refused(408, f"The form did not arrive within {FORM_SECONDS_MAX:.0f} s, so nothing was done.") from None
    try:
        return parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="replace"
        )
    except ValueError:
        raise Refused(400, f"The form has more than {FORM_FIELDS_MAX} fields (FORM_FIELDS_MAX), so nothing was done.") from None


# --- hosts ---------------------------------------------------------------------------------------------------------------


class Hosted:
    """Turns away who asks for a name that isn't the page's."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = {_bare(host) for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = Headers(scope=scope).getlist("host")
        name = _name(told[0]) if len(told) == 1 else ""
        reached_at = _bare(str((scope.get("server") or ("",))[0]))  # an address: no other name leads to one
        if name and (name in self._hosts or name == reached_at):
            await self._app(scope, receive, send)
            return
        shown = f"the name {name[:HOST_CHARACTERS_MAX]!a}" if name else "a request without one host name"
        sentence = f"This page does not answer to {shown}. If this is a name of the page, start the page with --host NAME.\n"
        await PlainTextResponse(sentence, 400)(scope, receive, send)


def _name(told: str) -> str:
    """Of a Host header, without its port."""
    try:
        return _bare(urlsplit(f"//{told}").hostname or "")
    except ValueError:  # half a bracket
        return ""


def _bare(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


# --- login ----------------------------------------------------------------------------------------------------------------


def is_bearer(connection: HTTPConnection) -> bool:
    """Whether the login guard let it in by a token in its header: no browser sends that by itself."""
    return bool(connection.scope.get("bearer"))


class LoginGuard:
    """Lets in who has logged in or shows a token; others are sent to the login, or told what is wrong with their header."""

    def __init__(self, app: ASGIApp, entrance: Entrance, sessions: Sessions) -> None:
        self._app = app
        self._entrance = entrance
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._entrance.has_login or str(scope["path"]).startswith(_OPEN_TO_ALL):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        kind, _, given = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            try:
                scope["kept"] = await self._of_bearer(connection, given.strip())
            except Refused as error:
                words = "the bearer token is wrong" if error.status == 403 else error.sentence
                headers = {"retry-after": str(error.again)} if error.again else {}
                status = 401 if error.status == 403 else error.status
                await PlainTextResponse(f"{words}\n", status, headers)(scope, receive, send)
                return
            except ClientError as error:
                await PlainTextResponse(f"{error}\n", 503)(scope, receive, send)
                return
            scope["session"], scope["bearer"] = scope["kept"].data, True
        elif session_of(connection).login is None:
            await RedirectResponse("/login", 303)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _of_bearer(self, connection: HTTPConnection, token: str) -> Session:
        """The same for each request with this token, for a while. Raises Refused and ClientError."""
        if (session := self._sessions.find(token, BEARER)) is None:
            session = Session(login=await self._entrance.enter(connection, token, "a program"))
            self._sessions.keep(session, token, BEARER)
        return session


# --- headers --------------------------------------------------------------------------------------------------------------


class Headed:
    """Puts the headers on every answer, errors too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, headed)
