"""The pages that do something: each is a form that says what will happen, and a post that does it and shows the saga."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from durable_saga.client import raw
from durable_saga.client.client import Handle
from durable_saga.errors import (
    AlreadyEnded,
    AlreadyStarted,
    DurableSagaError,
    InvalidArgument,
    NotAllowed,
    NotFound,
    NotKnown,
    Unavailable,
)
from durable_saga.page.engine import read, write
from durable_saga.page.entrance import may
from durable_saga.page.guarding import Form, forgery_token
from durable_saga.page.looking import Page, handle_of, number_of, page_of, saga_id_of
from durable_saga.page.refusing import Refused
from durable_saga.page.rendering import address, go
from durable_saga.page.sessions import session_of

REASON_CHARACTERS_MAX = 1_000
WHO_CHARACTERS_MAX = 100
LATER = "It takes effect when the saga can continue, which it can't now."
WITHOUT_CODE = "The saga is blocked, so it is undone from its journal, without its code."
TRIED_AGAIN = "The saga was blocked, and is tried again now."
_WAITS: Mapping[str, str] = {"Recover": LATER, "RetryNow": TRIED_AGAIN, "Pause": LATER, "Resume": LATER}
"""Instead of WITHOUT_CODE."""
STATUS_OF: dict[type[DurableSagaError], int] = {
    NotFound: 404, InvalidArgument: 400, AlreadyEnded: 409, AlreadyStarted: 409, Unavailable: 503,
    NotAllowed: 403,
}  # fmt: skip


def status_of(error: DurableSagaError) -> int:
    return next((status for kind, status in STATUS_OF.items() if isinstance(error, kind)), 400)


@dataclass(frozen=True, slots=True)
class Verb:
    """`call` is that of the server; `act` gets the saga, the call of the compensation, the reason and who it is."""

    call: str
    title: str
    explains: str
    button: str
    said: str
    act: Callable[[Handle[Any], str, str, str], Awaitable[str | None]]
    reason: str = "Reason"
    reason_needed: bool = False
    of_compensation: bool = False


async def _restart(saga: Handle[Any], _: str, reason: str, who: str) -> None:
    await saga.restart(reason, who=who)


VERBS: Mapping[str, Verb] = {
    "cancel": Verb(
        "Cancel", "Cancel", "The saga stops, undoes what it has done, and ends as cancelled.",
        "Cancel the saga", "The saga is asked to stop and to undo what it has done.",
        lambda saga, _, reason, who: saga.cancel(reason, who=who),
    ),
    "compensate": Verb(
        "Compensate", "Compensate", "The saga stops, undoes what it has done, and ends as compensated.",
        "Compensate the saga", "The saga is asked to stop and to undo what it has done.",
        lambda saga, _, reason, who: saga.compensate(reason, who=who),
    ),
    "recover": Verb(
        "Recover", "Recover", "The saga continues from its failed step and keeps the results it has.",
        "Recover the saga", "The saga continues from its failed step.",
        lambda saga, _, reason, who: saga.recover(reason, who=who),
    ),
    "pause": Verb(
        "Pause", "Pause", "What is under way ends. Nothing begins until the saga is resumed. Its timers and time-out run on.",
        "Pause the saga", "The saga is paused. Nothing begins until it is resumed.",
        lambda saga, _, reason, who: saga.pause(reason, who=who),
    ),
    "resume": Verb(
        "Resume", "Resume", "The saga goes on: what was kept back begins.",
        "Resume the saga", "The saga goes on.",
        lambda saga, _, reason, who: saga.resume(reason, who=who),
    ),
    "retry-now": Verb(
        "RetryNow", "Retry now", "Attempts that wait for their back-off begin at once. A blocked saga is tried again.",
        "Retry now", "What waited for its back-off begins.",
        lambda saga, _, reason, who: saga.retry_now(reason, who=who),
    ),
    "restart": Verb(
        "Restart", "Restart",
        "The saga begins again under its id, with the same arguments. What it did before stays as it is.",
        "Restart the saga", "The saga begins again.", _restart,
    ),
    "terminate": Verb(
        "Terminate", "Terminate",
        "The saga ends now and for good. Nothing is undone: what its steps did stays as it is.",
        "Terminate the saga without undoing anything", "The saga has ended. Nothing was undone.",
        lambda saga, _, reason, who: saga.terminate(reason, who=who), reason_needed=True,
    ),
    "retry": Verb(
        "Decide", "Retry the compensation", "The stuck compensation is tried again.",
        "Retry it", "The compensation is tried again.",
        lambda saga, call, note, who: saga.retry_compensation(call, note, who=who), "Note", of_compensation=True,
    ),
    "skip": Verb(
        "Decide", "Skip the compensation",
        "The compensation is not tried again. The history shows it as skipped, and its step stays done.",
        "Skip it and leave the step done", "The compensation is skipped.",
        lambda saga, call, note, who: saga.skip_compensation(call, note, who=who), "Note", True, True,
    ),
    "resolve": Verb(
        "Decide", "Resolve the compensation by hand",
        "Records that the step was undone by hand. The engine won't try the compensation again.",
        "It was done by hand", "The compensation is recorded as done by hand.",
        lambda saga, call, note, who: saga.resolve_compensation(call, note, who=who), "What was done", True, True,
    ),
}  # fmt: skip


def show(
    request: Request, name: str, values: Mapping[str, Any], given: Mapping[str, str], error: str = "", status: int = 200
) -> Response:
    """A form, with what was typed and why it was refused."""
    shown = {"form_token": forgery_token(request), "given": given, "error": error, **values}
    return page_of(request).templates.page(request, name, shown, status=status)


async def attempt(request: Request, name: str, values: Mapping[str, Any], form: Form, work: Awaitable[Response]) -> Response:
    """The work, or its form again with the sentence of what went wrong."""
    try:
        return await work
    except NotKnown:
        raise  # the log-in is over
    except (Refused, DurableSagaError, TypeError, ValueError) as error:
        if isinstance(error, Refused):
            status, said = error.status, error.sentence
        else:
            status, said = (status_of(error) if isinstance(error, DurableSagaError) else 400), str(error)
        return show(request, name, values, form.fields, said, status)


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """A JSON list: by place; an object: by name; nothing: none. Raises Refused."""
    if not text:
        return [], {}
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise Refused(400, f"The arguments are not JSON: {error}. Put text in quotes.") from None
    if isinstance(value, list):
        return value, {}
    if isinstance(value, dict):
        return [], value
    raise Refused(400, 'The arguments must be a JSON list, such as ["order-7", 100], or an object of arguments by name.')


def _places(text: str) -> list[Any]:
    args, kwargs = _arguments(text)
    return [kwargs] if kwargs else args


def _seconds(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise Refused(400, f"The time-out must be a number of seconds, not {text!r}.") from None


def needed(form: Form, field: str, what: str, characters_max: int) -> str:
    if not (text := form.text(field)):
        raise Refused(400, f"Give {what}.")
    return bounded(text, what, characters_max)


def bounded(text: str, what: str, characters_max: int) -> str:
    if len(text) > characters_max:
        raise Refused(400, f"{what[0].upper()}{what[1:]} has {len(text)} characters; at most {characters_max} are allowed.")
    return text


def allow(request: Request, call: str) -> None:
    """Raises Refused for who has no role for it; the server would refuse it too."""
    namespace = page_of(request).client.namespace
    if not may(request, call, namespace):
        raise Refused(403, f"{name_of(request)} may not do this in namespace {namespace}: another role is needed.")


def name_of(request: Request) -> str:
    """Of who has logged in with a name that the server knows; else empty: they say themselves who they are."""
    login = session_of(request).login
    return login.name if login is not None and login.rights is not None else ""


# --- start, signal, publish --------------------------------------------------------------------------------------------------


async def _types(page: Page) -> list[str]:
    return sorted((await read(page.client.statistics())).by_type)


async def start_form(request: Request) -> Response:
    allow(request, "Start")
    given = {"type": request.query_params.get("type", ""), "once": uuid.uuid4().hex}
    return show(request, "start.html", {"types": await _types(page_of(request))}, given)


async def start(request: Request, form: Form) -> Response:
    allow(request, "Start")
    page = page_of(request)

    async def work() -> Response:
        kind = needed(form, "type", "the type of the saga", 255)
        args, kwargs = _arguments(form.text("arguments"))
        timeout = _seconds(form.text("timeout"))
        saga_id = form.text("id") or needed(form, "once", "an id", 255)
        if clash := sorted({"id", "timeout", "saga", "self"} & kwargs.keys()):
            raise Refused(400, f"An argument named {clash[0]} can't be given by name here: give the arguments as a list.")
        handle = await write(page.client.start(kind, *args, id=saga_id, timeout=timeout, **kwargs))
        said = (
            f"{kind} was already started with the same arguments, so there is no second one."
            if handle.already_started
            else f"{kind} was started."
        )
        return go(request, address("/saga", id=handle.id), said)

    return await attempt(request, "start.html", {"types": []}, form, work())


async def signal_form(request: Request) -> Response:
    allow(request, "Signal")
    return show(request, "signal.html", {"id": saga_id_of(request)}, {"once": uuid.uuid4().hex})


async def signal(request: Request, form: Form) -> Response:
    allow(request, "Signal")
    saga_id = saga_id_of(request)

    async def work() -> Response:
        name = needed(form, "name", "the name of the signal", 255)
        once = needed(form, "once", "a message id", 255)
        args = _places(form.text("arguments"))
        await write(page_of(request).client.handle(saga_id).signal(name, *args, message_id=once))
        return go(request, address("/saga", id=saga_id), f"The signal {name} was sent.")

    return await attempt(request, "signal.html", {"id": saga_id}, form, work())


async def publish_form(request: Request) -> Response:
    allow(request, "Publish")
    given = {"saga": request.query_params.get("id", ""), "once": uuid.uuid4().hex}
    return show(request, "publish.html", {}, given)


async def publish(request: Request, form: Form) -> Response:
    allow(request, "Publish")
    saga_id = form.text("saga")

    async def work() -> Response:
        event = needed(form, "event", "the name of the event", 255)
        once = needed(form, "once", "a message id", 255)
        args = _places(form.text("arguments"))
        sent = page_of(request).client.publish(
            event, *args, saga=saga_id or None, key=form.text("key") or None, message_id=once
        )
        delivered = await write(sent)
        said = f"The event {event} reached {delivered} saga{'' if delivered == 1 else 's'}."
        return go(request, address("/saga", id=saga_id) if saga_id else "/", said)

    return await attempt(request, "publish.html", {}, form, work())


# --- verbs on one saga -------------------------------------------------------------------------------------------------------


def _verb(request: Request) -> tuple[str, Verb]:
    name = request.path_params["verb"]
    if name not in VERBS:
        raise NotFound(f"there is no action {name!r} for a saga")
    return name, VERBS[name]


async def _facts(request: Request, saga_id: str, verb: Verb) -> dict[str, Any]:
    """What the form tells of the saga and the compensation. Raises NotFound."""
    call = request.query_params.get("call", "")
    one = await read(raw.describe(handle_of(request), large=False))
    step = next((step for step in one.steps if step.call == call and step.compensation), None)
    if verb.of_compensation and step is None:
        raise NotFound(f"saga {saga_id!r} has no compensation for call {call!r}")
    return {
        "id": saga_id, "one": one, "step": step if verb.of_compensation else None, "call": call, "verb": verb,
        "run": number_of(request, "run", 0) or "",
        "name": request.path_params["verb"], "reason_max": REASON_CHARACTERS_MAX, "who_max": WHO_CHARACTERS_MAX,
    }  # fmt: skip


async def confirm(request: Request) -> Response:
    _, verb = _verb(request)
    allow(request, verb.call)
    values = await _facts(request, saga_id_of(request), verb)
    return show(request, "confirm.html", values, {"who": request.session.get("who", "")})


async def act(request: Request, form: Form) -> Response:
    _, verb = _verb(request)
    allow(request, verb.call)
    saga_id, call = saga_id_of(request), request.query_params.get("call", "")

    async def work() -> Response:
        who = name_of(request) or needed(form, "who", "your name, for the history", WHO_CHARACTERS_MAX)
        reason = bounded(form.text("reason"), "the reason", REASON_CHARACTERS_MAX)
        if verb.reason_needed and not reason:
            raise Refused(400, "Give a reason: the history keeps it.")
        waits_for = await write(verb.act(handle_of(request), call, reason, who))
        request.session["who"] = who
        said = f"{verb.title}: recorded. {_WAITS.get(verb.call, WITHOUT_CODE)}" if waits_for else verb.said
        return go(request, address("/saga", id=saga_id), said)

    values = await _facts(request, saga_id, verb)
    return await attempt(request, "confirm.html", values, form, work())
