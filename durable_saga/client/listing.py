"""Listings: what is asked for, and their rows: plain data for users, messages of the wire for the page and the commands.

Raises InvalidArgument for filters that mean nothing, and Unavailable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from durable_saga import errors
from durable_saga.client.asking import Asker
from durable_saga.client.overview import time_of
from durable_saga.client.sending import text
from durable_saga.client.status import Status, status_of
from durable_saga.client.sub_states import numbers_of, word_of
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.attributes import texts_of

ROWS_PER_PAGE = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run of a saga as a listing shows it, as plain data; `handle(id).overview()` has the rest. `blocked` says why no
    worker can continue the run, and is empty if it is not blocked. `build` is the build of the code with which the run began,
    empty if it is not known. Times are UTC."""

    id: str
    run: int
    saga_type: str
    status: Status
    started_at: datetime | None
    updated_at: datetime | None
    ended_at: datetime | None
    blocked: str
    attributes: dict[str, str]
    build: str = ""
    paused: str = ""
    """By whom and why nothing of it begins, by itself or by its type."""
    state: str = ""
    """What an open saga does: `running`, `retrying`, `waiting`, `sleeping`, `blocked`, `no_worker`, `paused`, `stuck`, `held`,
    `settling` or `unwinding`; empty once it has ended."""
    step: str = ""
    """The step or the compensation that fails, or that made the saga fail; of one that waits, the names of the signals."""
    failure_type: str = ""
    """Of the last attempt that failed; of a saga that has ended, why it failed."""
    attempt: int = 0
    """That failed last."""
    next_at: datetime | None = None
    """When it goes on without a message: the next attempt, or the end of a sleep."""
    since: datetime | None = None
    """When it began to do this."""
    starts_at: datetime | None = None
    """It has not begun, and will then."""

    @property
    def is_open(self) -> bool:
        return self.status.is_open


@dataclass(frozen=True, slots=True)
class ListPage:
    """`next_page` is the `page` of the next call, empty at the end."""

    sagas: list[Listed]
    next_page: str


class Filters(TypedDict, total=False):
    """Conditions of `Client.list()`; all of those that are given must hold."""

    type: str
    """The saga's type."""
    status: Sequence[str]
    """One of these, in capital or small letters."""
    key: str
    """Open sagas that declared this correlation key."""
    attributes: Mapping[str, str | int | bool] | None
    """All of these search attributes."""
    started_after: datetime | None
    """At this time or later."""
    started_before: datetime | None
    build: str
    """They began with it."""
    blocked: bool
    """Those that no connected worker can continue."""
    paused: bool
    """Those that are paused themselves."""
    state: Sequence[str]
    """Open sagas that do one of these, as `Listed.state` has it."""
    failure_type: str
    """As `Listed.failure_type` has it: the whole name."""
    ended_after: datetime | None
    """At this time or later."""
    ended_before: datetime | None
    id_prefix: str
    """The id begins with it."""


def listed(one: c.Description) -> Listed:
    return Listed(
        id=one.key.saga,
        run=one.key.run,
        saga_type=one.saga_type,
        status=status_of(one.status),
        started_at=time_of(one.started_ms),
        updated_at=time_of(one.updated_ms),
        ended_at=time_of(one.ended_ms),
        blocked=one.blocked,
        attributes=dict(one.attributes),
        build=one.build,
        paused=one.paused,
        state=word_of(one.sub_state) if status_of(one.status).is_open else "",
        step=one.doing.name,
        failure_type=one.doing.failure_type,
        attempt=one.doing.attempt,
        next_at=time_of(one.doing.next_ms),
        since=time_of(one.doing.since_ms),
        starts_at=time_of(one.starts_ms),
    )


async def page_of_rows(client: Asker, *, limit: int = 100, page: str = "", **filters: Unpack[Filters]) -> c.ListReply:
    """One page, as messages of the wire."""
    found: c.ListReply = await client.transport.call("list", _request(client.namespace, limit, page, **filters))
    return found


async def rows(client: Asker, *, limit: int | None = None, **filters: Unpack[Filters]) -> AsyncIterator[c.Description]:
    """Page by page, as messages of the wire."""
    left, token = limit, ""
    while left is None or left > 0:
        found = await page_of_rows(client, limit=min(left or ROWS_PER_PAGE, ROWS_PER_PAGE), page=token, **filters)
        for one in found.sagas[:left]:
            yield one
        left, token = None if left is None else left - len(found.sagas), found.next_page
        if not token:
            return


def _request(
    namespace: str, limit: int, page: str, *, type: str = "", status: Sequence[str] = (), key: str = "",
    attributes: Mapping[str, str | int | bool] | None = None, started_after: datetime | None = None,
    started_before: datetime | None = None, build: str = "", blocked: bool = False, paused: bool = False,
    state: Sequence[str] = (), failure_type: str = "", ended_after: datetime | None = None,
    ended_before: datetime | None = None, id_prefix: str = "",
) -> c.ListRequest:  # fmt: skip
    status = [name.upper() for name in status]
    unknown = [name for name in status if name not in h.Status.keys()]  # noqa: SIM118
    if unknown:
        raise errors.InvalidArgument(f"there is no status {', '.join(unknown)}: use one of {', '.join(h.Status.keys()[1:])}")
    try:
        wanted = texts_of(attributes or {})
    except ValueError as error:
        raise errors.InvalidArgument(str(error)) from None
    return c.ListRequest(
        namespace=namespace, saga_type=text("type", type), status=[h.Status.Name(h.Status.Value(name)) for name in status],
        attributes=wanted, started_after_ms=ms_of(started_after), started_before_ms=ms_of(started_before),
        limit=limit, page=text("page", page), correlation_key=text("key", key), build=text("build", build),
        blocked=blocked, paused=paused, sub_state=numbers_of(state), failure_type=text("failure_type", failure_type),
        ended_after_ms=ms_of(ended_after), ended_before_ms=ms_of(ended_before), id_prefix=text("id_prefix", id_prefix),
    )  # fmt: skip


def ms_of(time: datetime | None) -> int:
    """Unix milliseconds, rounded up; 0 for None."""
    if time is None:
        return 0
    if time.tzinfo is None:
        raise errors.InvalidArgument(f"{time} has no time zone: use datetime.now(UTC) or .astimezone()")
    return -((_EPOCH - time) // timedelta(milliseconds=1))
