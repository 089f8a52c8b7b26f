"""The page of builds: their workers, their shares of new sagas, their open ones, and the form of a roll-out."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from durable_saga.client.builds import RollOut, percent, share_in, shares_of, words_of
from durable_saga.page.acting import (
    REASON_CHARACTERS_MAX,
    WHO_CHARACTERS_MAX,
    allow,
    attempt,
    bounded,
    name_of,
    needed,
    show,
)
from durable_saga.page.engine import read, write
from durable_saga.page.guarding import Form
from durable_saga.page.looking import LIST_SECONDS, Page, ms_of, page_of
from durable_saga.page.refusing import Refused
from durable_saga.page.rendering import go
from durable_saga.pb.limits import BUILD_CHARACTERS_MAX

_TOP = "/builds#main"
"""A form is sent to its own place on the page, where it is shown again if it was refused."""


async def _values(page: Page) -> dict[str, Any]:
    found = await read(page.client.builds())
    return {
        "builds": found, "roll_outs": sorted((one for build in found for one in build.roll_outs), key=lambda one: one.type),
        "types": sorted({name for one in found for name in one.types}), "every": LIST_SECONDS, "shares_of": shares_of,
        "percent": percent, "ms_of": ms_of, "reason_max": REASON_CHARACTERS_MAX, "who_max": WHO_CHARACTERS_MAX,
        "build_max": BUILD_CHARACTERS_MAX,
    }  # fmt: skip


async def builds(request: Request) -> Response:
    values = await _values(page_of(request))
    return show(request, "builds.html", values, {"who": request.session.get("who", "")})


async def roll_out(request: Request, form: Form) -> Response:
    """Begins, changes or ends one."""
    allow(request, "RollOut")
    client = page_of(request).client
    values = await _values(page_of(request))

    async def work() -> Response:
        kind, build, share = form.text("type"), None, 0.0
        if form.text("end"):
            _check_there_is_one(kind, values["roll_outs"])
        else:
            build, share = needed(form, "build", "the name of the build", BUILD_CHARACTERS_MAX), _share(form)
        who = name_of(request) or needed(form, "who", "your name, for the audit log", WHO_CHARACTERS_MAX)
        reason = bounded(form.text("reason"), "the reason", REASON_CHARACTERS_MAX)
        done = await write(client.roll_out(build, share=share, type=kind, reason=reason, who=who))
        request.session["who"] = who
        return go(request, _TOP, f"{words_of(done)}. {done.warning}".strip())

    return await attempt(request, "builds.html", values, form, work())


def _share(form: Form) -> float:
    """Raises Refused and InvalidArgument."""
    text = needed(form, "share", "the share of new sagas, such as 5%", 20)
    share = share_in(text)
    if share == 1 and not text.endswith("%"):
        raise Refused(400, f"{text} may be 1% or all of them: write 1% or 100%.")
    return share


def _check_there_is_one(kind: str, roll_outs: list[RollOut]) -> None:
    if all(one.type != kind for one in roll_outs):
        raise Refused(400, f"There is no roll-out of {f'the type {kind}' if kind else 'all types'} that could end.")
