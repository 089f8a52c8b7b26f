"""The pages that show: the list, one saga, its history, one event. They change nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from durable_saga.client import raw, readable
from durable_saga.client.client import Client, Handle
from durable_saga.client.listing import page_of_rows
from durable_saga.client.overview import Statistics
from durable_saga.client.status import OPEN, Status
from durable_saga.client.sub_states import WORDS, word_of
from durable_saga.client.times import shown, time_in
from durable_saga.clock import Clock
from durable_saga.errors import InvalidArgument
from durable_saga.page import showing
from durable_saga.page.engine import read
from durable_saga.page.entrance import Entrance
from durable_saga.page.events import lines_of
from durable_saga.page.oidc import Oidc
from durable_saga.page.rendering import Templates, address
from durable_saga.page.sessions import session_of
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h

SAGAS_PER_PAGE = (50, 100, 200)
EVENTS_PER_PAGE = 100
LATEST_EVENTS_READ = 2_000
"""Where steps failed, and when they were undone, is taken from so many events at the end of a history."""
NAMES_LOOKED_BACK = 200
"""Results on a page of a history are told with the names of steps that began so many events before it."""
LIST_SECONDS, SAGA_SECONDS = 3, 2
STATUSES = tuple(Status)
_MORE = ("state", "failure", "prefix", "since", "until")


@dataclass(frozen=True, slots=True)
class Page:
    """What every handler needs."""

    client: Client
    templates: Templates
    clock: Clock
    entrance: Entrance
    oidc: Oidc | None = None


def page_of(request: Request) -> Page:
    """With the client of who has logged in, where that is another one."""
    found: Page = request.app.state.page
    login = session_of(request).login
    return found if login is None or login.client is None else replace(found, client=login.client)


def saga_id_of(request: Request) -> str:
    """Raises InvalidArgument when the address names none."""
    if not (saga := request.query_params.get("id", "")):
        raise InvalidArgument("the address names no saga: it must end in ?id=…")
    return saga


def handle_of(request: Request) -> Handle[Any]:
    """?id, and ?run for one that continued in new runs. Raises InvalidArgument."""
    return page_of(request).client.handle(saga_id_of(request), run=number_of(request, "run", 0))


def number_of(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return min(int(text), 2**31 - 1) if text.isascii() and text.isdigit() else default


async def sagas(request: Request) -> Response:
    """Newest first; ?type, ?status, ?state, ?failure, ?prefix, ?since, ?until, ?key, ?where, ?limit, ?page. Raises
    InvalidArgument."""
    page, query = page_of(request), request.query_params
    kind, status, key = query.get("type", ""), query.get("status", ""), query.get("key", "").strip()
    limit = number_of(request, "limit", SAGAS_PER_PAGE[0])
    if limit not in SAGAS_PER_PAGE:
        limit = SAGAS_PER_PAGE[0]
    is_blocked = status == "blocked"
    wanted = [name.upper() for name in ((OPEN if status == "open" else (status,)) if status and not is_blocked else ())]
    at = query.get("page", "")
    where = query.get("where", "").strip()
    state, failure, prefix, since, until = (query.get(name, "").strip() for name in _MORE)
    asked = page_of_rows(
        page.client, type=kind, status=wanted, key=key, attributes=_attributes(where), limit=limit, page=at,
        blocked=is_blocked, state=[state] if state else [], failure_type=failure, id_prefix=prefix,
        ended_after=_time(since, page), ended_before=_time(until, page),
    )  # fmt: skip
    found, statistics = await read(asyncio.gather(asked, page.client.statistics()))
    values = {
        "sagas": found.sagas, "behind": found.next_page, "at": at, "where": where, "type": kind, "status": status, "key": key,
        "limit": limit,
        "limits": SAGAS_PER_PAGE, "statuses": STATUSES, "counts": _counts(statistics, kind),
        "types": sorted({*statistics.by_type, *([kind] if kind else [])}), "statistics": statistics,
        "now_ms": page.clock.now_ms(), "every": 0 if at else LIST_SECONDS,
        "filters": {
            "type": kind, "key": key, "where": where, "limit": limit, "state": state, "failure": failure, "prefix": prefix,
            "since": since, "until": until,
        },
        "state": state, "failure": failure, "prefix": prefix, "since": since, "until": until, "states": WORDS.values(),
        "does": lambda one: word_of(one.sub_state) if showing.is_open(one.status) else "",
        "is_filtered": any((status, kind, key, where, state, failure, prefix, since, until)),
        "more_filters": any((failure, prefix, since, until)), "understood": _understood(page, since, until),
    }  # fmt: skip
    return page.templates.page(request, "sagas.html", values)


def _time(text: str, page: Page) -> datetime | None:
    """In plain words; the page is in UTC. Raises InvalidArgument."""
    return time_in(text, _now(page), UTC) if text else None


def _now(page: Page) -> datetime:
    return datetime.fromtimestamp(page.clock.now_ms() / 1000, UTC)


def _understood(page: Page, since: str, until: str) -> str:
    """The times as they were read."""
    said = [f"{word} {shown(time_in(text, _now(page), UTC))}" for word, text in (("from", since), ("until", until)) if text]
    return " ".join(said)


async def workers(request: Request) -> Response:
    """Who works, and which types have nobody."""
    page = page_of(request)
    found = await read(page.client.workers())
    values = {"found": found, "now_ms": page.clock.now_ms(), "every": LIST_SECONDS, "ms_of": ms_of}
    return page.templates.page(request, "workers.html", values)


def ms_of(time: datetime | None) -> int:
    return round(time.timestamp() * 1000) if time else 0


async def trouble(request: Request) -> Response:
    """Open sagas that may need a person, in groups."""
    page = page_of(request)
    values = {"groups": await read(page.client.trouble()), "now_ms": page.clock.now_ms(), "every": LIST_SECONDS}
    return page.templates.page(request, "trouble.html", values)


def _attributes(where: str) -> dict[str, str]:
    """One or more NAME=VALUE, with commas between them."""
    found = {}
    for one in where.split(",") if where else ():
        name, equals, value = one.strip().partition("=")
        if not equals:
            raise InvalidArgument(f"{one.strip()!r} isn't NAME=VALUE")
        found[name] = value
    return found


def _counts(statistics: Statistics, kind: str) -> dict[str, int]:
    counted = statistics.by_type.get(kind, {}) if kind else statistics.by_status
    found: dict[str, int] = {status: counted.get(status, 0) for status in STATUSES}
    blocked = statistics.blocked_by_type.get(kind, 0) if kind else statistics.blocked
    return {"": sum(found.values()), "open": sum(found[status] for status in OPEN), "blocked": blocked, **found}


async def find(request: Request) -> Response:
    """By the whole id. Raises NotFound and InvalidArgument."""
    saga = saga_id_of(request).strip()
    await read(raw.history_page(page_of(request).client.handle(saga), 0, limit=1, large=False))
    return RedirectResponse(address("/saga", id=saga), 303)


async def saga(request: Request) -> Response:
    page, handle = page_of(request), handle_of(request)
    one, first = await read(
        asyncio.gather(raw.describe(handle, large=False), raw.history_page(handle, 0, limit=1, large=False))
    )
    latest: list[h.Event] = []
    if any(step.last_error or step.compensation_seq for step in one.steps):
        latest = await read(
            raw.history_page(handle, max(one.next_seq - LATEST_EVENTS_READ, 0), limit=LATEST_EVENTS_READ, large=False)
        )
    every, now_ms = showing.rows_of(one, latest), page.clock.now_ms()
    rows = showing.cut(every)
    is_open = showing.is_open(one.status)
    values = {
        "one": one, "id": handle.id, "run": number_of(request, "run", 0), "status": showing.status_name(one.status),
        "is_open": is_open, "rows": rows, "left_out": len(every) - len(rows), "waits": showing.waits_for(one, now_ms),
        "unwound": sorted((row for row in rows if row.order), key=lambda row: row.order),
        "bars": showing.bars_of(one, rows, showing.compensation_times(latest), now_ms), "arguments": _arguments(first),
        "state": [(name, showing.payload_text(value)) for name, value in sorted(one.state.items())],
        "result": showing.payload_text(one.result) if one.status == h.COMPLETED else None,
        "failures": showing.failures(one.failure) if one.HasField("failure") and one.status != h.COMPLETED else [],
        "verbs": _verbs(one), "now_ms": now_ms, "every": SAGA_SECONDS if is_open else 0,
        "has_compensations": any(row.step.compensation for row in rows), "place_of": showing.place_of,
    }  # fmt: skip
    return page.templates.page(request, "saga.html", values)


def _arguments(first: list[h.Event]) -> showing.Text | None:
    return showing.call_text(first[0].saga_started.input) if first else None


def _verbs(one: c.Description) -> list[str]:
    """What can be done to it now."""
    if not showing.is_open(one.status):
        return [] if one.next_run else ["restart"]
    found = ["signal", "publish"]
    if one.status == h.HELD:
        found.append("recover")
    if one.status in (h.RUNNING, h.HELD) and not one.past_pivot and not one.settling:
        found += ["cancel", "compensate"]
    found.append("resume" if any(not one.saga_type for one in one.pauses) else "pause")
    waits = any("retrying" in (step.state, step.compensation_state) for step in one.steps)
    return [*found, *(["retry-now"] if waits or one.blocked else []), "terminate"]


async def history(request: Request) -> Response:
    """EVENTS_PER_PAGE from ?from on, or the last ones with ?from=end."""
    page, handle = page_of(request), handle_of(request)
    one = await read(raw.describe(handle, large=False))
    from_seq = number_of(request, "from", 0)
    if request.query_params.get("from") == "end" or from_seq >= one.next_seq:
        from_seq = max(one.next_seq - 1, 0) // EVENTS_PER_PAGE * EVENTS_PER_PAGE
    back = min(from_seq, NAMES_LOOKED_BACK)
    events = await read(raw.history_page(handle, from_seq - back, limit=back + EVENTS_PER_PAGE, large=False))
    shown = lines_of(events[back:], events[:back])
    is_last = from_seq + EVENTS_PER_PAGE >= one.next_seq
    values: dict[str, Any] = {
        "id": handle.id, "run": number_of(request, "run", 0), "one": one, "lines": shown, "from_seq": from_seq,
        "size": EVENTS_PER_PAGE, "is_last": is_last, "status": showing.status_name(one.status),
        "every": SAGA_SECONDS if is_last and showing.is_open(one.status) else 0,
    }  # fmt: skip
    return page.templates.page(request, "history.html", values)


async def event(request: Request) -> Response:
    """One event, whole, as JSON."""
    seq = number_of(request, "seq", 0)
    found = await read(raw.history_page(handle_of(request), seq, limit=1))
    if not found:
        return PlainTextResponse(f"the saga has no event {seq}\n", 404)
    return _json(readable.as_dict(found[0]))


async def values(request: Request) -> Response:
    """The state and the result of a saga, whole, as JSON."""
    one = await read(raw.describe(handle_of(request)))
    state = {name: readable.value_of(value) for name, value in sorted(one.state.items())}
    return _json({"state": state, "result": readable.value_of(one.result)})


async def icon(_: Request) -> Response:
    return RedirectResponse("/static/icon.svg", 308)


def _json(value: Any) -> Response:
    content = readable.as_json(value, indent=2).encode("utf-8", "replace")
    return Response(content, media_type="application/json")
