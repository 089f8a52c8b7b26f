"""Templates to responses. Everything that is put into a template is escaped; a name that a template misses is an error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from durable_saga.page import showing
from durable_saga.page.entrance import may
from durable_saga.page.guarding import forgery_token
from durable_saga.page.sessions import session_of

SAID = "said"
"""Where a session keeps the sentence that the next page shows once."""


def address(path: str, **query: Any) -> str:
    """Saga ids may hold any printable character, so they travel in the query. Empty values are left out."""
    found = urlencode({name: value for name, value in query.items() if value not in ("", None)}, doseq=True)
    return f"{path}?{found}" if found else path


class Templates:
    """Renders a page of a namespace of an engine, which `url` names."""

    def __init__(self, *, url: str, namespace: str, has_login: bool) -> None:
        self._namespace = namespace
        self._environment = Environment(
            loader=PackageLoader("durable_saga.page"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.globals.update(
            address=address, in_words=showing.in_words, when=showing.when, iso=showing.iso, lasted=showing.lasted,
            status_name=showing.status_name, engine_url=url, namespace=namespace, has_login=has_login,
            version=version("durable-saga"), bar_units=showing.BAR_UNITS, every=0, again=0,
        )  # fmt: skip

    def page(
        self,
        request: Request,
        name: str,
        values: Mapping[str, Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The page, or 304 when the browser shows this very one."""
        said = request.session.pop(SAID, "") if SAID in request.session else ""
        login = session_of(request).login
        known: dict[str, Any] = {"said": said, "login": login, "may": partial(may, request, namespace=self._namespace)}
        if login is not None:
            known["form_token"] = forgery_token(request)
        text = self._environment.get_template(name).render({**known, **values})
        content = text.encode("utf-8", "replace")  # half a surrogate pair can come from JSON
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if status == 200 and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return HTMLResponse(content, status, {"etag": tag, **(headers or {})})


def go(request: Request, where: str, said: str) -> Response:
    """To another page, which says what was done."""
    request.session[SAID] = said
    return RedirectResponse(where, 303)
