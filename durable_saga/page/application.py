"""The page as an ASGI application: routes, what each error is to a browser, and the guards around both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from durable_saga.client import Client
from durable_saga.clock import Clock, SystemClock
from durable_saga.errors import ClientError, DurableSagaError, Unavailable
from durable_saga.page import acting, looking
from durable_saga.page.guarding import (
    COOKIE,
    LOGIN_SECONDS,
    LOOPBACK,
    Headed,
    LoginGuard,
    Refused,
    post,
    secret_of,
)
from durable_saga.page.looking import Page, page_of
from durable_saga.page.rendering import Templates

log = logging.getLogger(__name__)
AGAIN_SECONDS = 3
_TITLES = {400: "That can't be done", 403: "Refused", 404: "Not found", 409: "Too late", 413: "Too large", 503: "No answer"}
_ROUTES = (
    Route("/", looking.sagas),
    Route("/find", looking.find),
    Route("/saga", looking.saga),
    Route("/saga/history", looking.history),
    Route("/saga/event", looking.event),
    Route("/saga/values", looking.values),
    Route("/start", acting.start_form, methods=["GET"]),
    Route("/start", post(acting.start), methods=["POST"]),
    Route("/publish", acting.publish_form, methods=["GET"]),
    Route("/publish", post(acting.publish), methods=["POST"]),
    Route("/saga/signal", acting.signal_form, methods=["GET"]),
    Route("/saga/signal", post(acting.signal), methods=["POST"]),
    Route("/saga/do/{verb}", acting.confirm, methods=["GET"]),
    Route("/saga/do/{verb}", post(acting.act), methods=["POST"]),
    Route("/login", acting.login_form, methods=["GET"]),
    Route("/login", post(acting.login), methods=["POST"]),
    Route("/logout", post(acting.logout), methods=["POST"]),
    Route("/favicon.ico", looking.icon),  # asked for beside what is no HTML
    Mount("/static", StaticFiles(packages=[("durable_saga.page", "static")])),
)


def application(
    client: Client, *, url: str, token: str = "", hosts: Sequence[str] = LOOPBACK, clock: Clock | None = None,
    is_secure: bool = False,
) -> ASGIApp:  # fmt: skip
    """`url` is only shown. With a `token` every page wants a login; without one, requests are taken for `hosts` only."""
    app = Starlette(
        routes=_ROUTES,
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["*"] if token else list(hosts), www_redirect=False),
            Middleware(
                SessionMiddleware,
                secret_key=secret_of(token),
                session_cookie=COOKIE,
                max_age=LOGIN_SECONDS,
                same_site="lax",
                https_only=is_secure,
            ),
            Middleware(LoginGuard, token=token),
        ],
        exception_handlers={
            ClientError: _client_error,
            Refused: _refused,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )
    templates = Templates(url=url, namespace=client.namespace, has_login=bool(token))
    app.state.page = Page(client, templates, clock or SystemClock(), token)
    return Headed(app)


def _error(request: Request, status: int, sentence: str, *, again: int = 0) -> Response:
    title = _TITLES.get(status, "Something went wrong")
    values: dict[str, Any] = {"title": title, "sentence": sentence, "again": again}
    headers = {"retry-after": str(again)} if again else {}
    return page_of(request).templates.page(request, "error.html", values, status=status, headers=headers)


async def _client_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DurableSagaError), "it is registered for ClientErrors"
    return _error(
        request, acting.status_of(error), str(error), again=AGAIN_SECONDS * isinstance(error, Unavailable) * _is_get(request)
    )  # fmt: skip


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused), "it is registered for Refused"
    return _error(request, error.status, error.sentence)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "it is registered for HTTPException"
    sentence = f"There is no page {request.url.path}." if error.status_code == 404 else f"{error.detail}."
    return _error(request, error.status_code, sentence)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A journal in this process raises errors of its own, which are sentences; anything else is a mistake of ours."""
    if type(error).__module__.partition(".")[0].startswith("durable_saga"):
        return _error(request, 503, str(error), again=AGAIN_SECONDS * _is_get(request))
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(request, 500, "The page met an error that it does not know. Its log says more.")


def _is_get(request: Request) -> bool:
    return request.method in ("GET", "HEAD")
