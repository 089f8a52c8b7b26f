"""What a listing is asked for: the filters of `Client.list()` as a request. Pure; raises InvalidArgument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from durable_saga import errors
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.attributes import texts_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def list_request(
    namespace: str, *, type: str, status: Sequence[str], key: str, attributes: Mapping[str, str | int | bool] | None,
    started_after: datetime | None, started_before: datetime | None, limit: int, page: str,
) -> c.ListRequest:  # fmt: skip
    status = [name.upper() for name in status]
    unknown = [name for name in status if name not in h.Status.keys()]  # noqa: SIM118
    if unknown:
        raise errors.InvalidArgument(f"no such status: {', '.join(unknown)}; there are {', '.join(h.Status.keys()[1:])}")
    try:
        wanted = texts_of(attributes or {})
    except ValueError as error:
        raise errors.InvalidArgument(str(error)) from None
    return c.ListRequest(
        namespace=namespace, saga_type=type, status=[h.Status.Name(h.Status.Value(name)) for name in status],
        attributes=wanted, started_after_ms=_ms_of(started_after), started_before_ms=_ms_of(started_before),
        limit=limit, page=page, correlation_key=key,
    )  # fmt: skip


def _ms_of(time: datetime | None) -> int:
    """Unix milliseconds, rounded up; 0 for None."""
    if time is None:
        return 0
    if time.tzinfo is None:
        raise errors.InvalidArgument(f"{time} has no time zone: use datetime.now(UTC) or .astimezone()")
    return -((_EPOCH - time) // timedelta(milliseconds=1))
