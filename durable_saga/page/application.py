"""The page as an ASGI application: routes, what each error is to a browser, and the guards around both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from durable_saga.client.client import Client
from durable_saga.clock import Clock, SystemClock
from durable_saga.errors import ClientError, DurableSagaError, NotKnown, Unavailable
from durable_saga.page import acting, builds, entering, looking
from durable_saga.page.entrance import Entrance
from durable_saga.page.guarding import LOOPBACK, Headed, Hosted, LoginGuard, is_bearer, post
from durable_saga.page.looking import Page, page_of
from durable_saga.page.oidc import CALLBACK, Oidc
from durable_saga.page.probing import Probed
from durable_saga.page.refusing import Refused
from durable_saga.page.rendering import Templates
from durable_saga.page.sessions import Keeper, Sessions, end

log = logging.getLogger(__name__)
AGAIN_SECONDS = 3
_TITLES = {
    400: "This can't be done", 403: "Refused", 404: "Not found", 409: "Too late", 413: "Too large", 429: "Too often",
    502: "No answer", 503: "No answer",
}  # fmt: skip
_ROUTES = (
    Route("/", looking.sagas),
    Route("/find", looking.find),
    Route("/trouble", looking.trouble),
    Route("/workers", looking.workers),
    Route("/builds", builds.builds, methods=["GET"]),
    Route("/builds", post(builds.roll_out), methods=["POST"]),
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
    Route("/login", entering.login_form, methods=["GET"]),
    Route("/login", post(entering.login), methods=["POST"]),
    Route("/login/oidc", entering.login_elsewhere),
    Route(CALLBACK, entering.logged_in_elsewhere),
    Route("/logout", post(entering.logout), methods=["POST"]),
    Route("/favicon.ico", looking.icon),  # asked for beside what is no HTML
    Mount("/static", StaticFiles(packages=[("durable_saga.page", "static")])),
)


def application(
    client: Client, *, url: str, token: str = "", hosts: Sequence[str] = LOOPBACK, clock: Clock | None = None,
    of_server: Callable[[str], Client] | None = None, oidc: Oidc | None = None, is_secure: bool = False,
    behind_proxy: bool = False, sessions: Sessions | None = None,
) -> ASGIApp:  # fmt: skip
    """`url` is only shown. With a `token`, or with `of_server`, which makes the client of who shows a bearer of their own,
    every page wants a login. Requests are taken for `hosts`, and for the address that they come to. `is_secure`: browsers come
    over TLS. `behind_proxy`: it tells their addresses."""
    clock = clock or SystemClock()
    sessions = sessions or Sessions(clock)
    entrance = Entrance(clock, token, of_server, behind_proxy)
    app = Starlette(
        routes=_ROUTES,
        middleware=[
            Middleware(Hosted, hosts=hosts),
            Middleware(Keeper, sessions=sessions, is_secure=is_secure),
            Middleware(LoginGuard, entrance=entrance, sessions=sessions),
        ],
        exception_handlers={
            ClientError: _client_error,
            Refused: _refused,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )  # fmt: skip
    templates = Templates(url=url, namespace=client.namespace, has_login=entrance.has_login)
    app.state.page = Page(client, templates, clock, entrance, oidc)
    return Headed(Probed(app, client))


def _error(request: Request, status: int, sentence: str, *, again: int = 0, retry_after: int = 0) -> Response:
    title = _TITLES.get(status, "Something went wrong")
    values: dict[str, Any] = {"title": title, "sentence": sentence, "again": again}
    headers = {"retry-after": str(again or retry_after)} if again or retry_after else {}
    return page_of(request).templates.page(request, "error.html", values, status=status, headers=headers)


async def _client_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DurableSagaError), "it is registered for ClientErrors"
    if isinstance(error, NotKnown) and page_of(request).entrance.of_server is not None and not is_bearer(request):
        end(request)
        return RedirectResponse("/login?over=1", 303)
    return _error(
        request, acting.status_of(error), str(error), again=AGAIN_SECONDS * isinstance(error, Unavailable) * _is_get(request)
    )  # fmt: skip


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused), "it is registered for Refused"
    return _error(request, error.status, error.sentence, retry_after=error.again)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "it is registered for HTTPException"
    sentence = f"There is no page {request.url.path}." if error.status_code == 404 else f"{error.detail}."
    return _error(request, error.status_code, sentence)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A journal in this process raises errors of its own, which are sentences; anything else is a mistake of ours."""
    if type(error).__module__.partition(".")[0].startswith("durable_saga"):
        return _error(request, 503, str(error), again=AGAIN_SECONDS * _is_get(request))
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(request, 500, "Something went wrong in the page. See the log of the page.")


def _is_get(request: Request) -> bool:
    return request.method in ("GET", "HEAD")
