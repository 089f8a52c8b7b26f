"""The pages of log-in and log-out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from durable_saga.page.acting import WHO_CHARACTERS_MAX, attempt, needed, show
from durable_saga.page.guarding import Form
from durable_saga.page.looking import page_of
from durable_saga.page.refusing import Refused
from durable_saga.page.rendering import go
from durable_saga.page.sessions import begin, end


def _values(request: Request) -> dict[str, bool]:
    page = page_of(request)
    asks_for_name, has_oidc = page.entrance.asks_for_name, page.oidc is not None
    return {"asks_for_name": asks_for_name, "has_oidc": has_oidc, "is_over": "over" in request.query_params}


async def login_form(request: Request) -> Response:
    return show(request, "login.html", _values(request), {"who": request.session.get("who", "")})


async def login(request: Request, form: Form) -> Response:
    entrance = page_of(request).entrance

    async def work() -> Response:
        if not entrance.has_login:
            raise Refused(400, "This page needs no login.")
        who = ""
        if entrance.asks_for_name:
            who = needed(form, "who", "your name, for the history of what you do", WHO_CHARACTERS_MAX)
        found = await entrance.enter(request, form.text("token"), who)
        begin(request, found)
        if who:
            request.session["who"] = who
        return go(request, "/", f"Welcome, {found.name}.")

    return await attempt(request, "login.html", _values(request), form, work())


async def login_elsewhere(request: Request) -> Response:
    """To the OpenID provider. Raises Refused."""
    if (oidc := page_of(request).oidc) is None:
        raise Refused(404, "This page has no other place to log in.")
    return await oidc.begin(request)


async def logged_in_elsewhere(request: Request) -> Response:
    """Back from there, with a code. Raises Refused."""
    page = page_of(request)
    if page.oidc is None:
        raise Refused(404, "This page has no other place to log in.")
    found = await page.entrance.enter(request, await page.oidc.finish(request))
    begin(request, found)
    return go(request, "/", f"Welcome, {found.name}.")


async def logout(request: Request, _: Form) -> Response:
    end(request)
    return RedirectResponse("/login", 303)
