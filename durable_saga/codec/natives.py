"""Plans of the types that msgpack or one of our extensions has a form for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from durable_saga.codec import loose
from durable_saga.codec.misfit import found_instead
from durable_saga.codec.plan import Plan
from durable_saga.codec.wire import INT_MAX, INT_MIN, big_int, scalar

AS_THEY_ARE = (str, bool, bytes)
WRITTEN = (datetime, date, time, timedelta, UUID, Decimal)
BARE = frozenset({*AS_THEY_ARE, *WRITTEN, int, float})
"""Types that come out of unpack() as they are."""


def fill(plan: Plan, kind: type) -> bool:
    if kind is int:
        plan.set(_encode_int, _decode_int, lambda one: one is int or one is bool)
    elif kind is float:
        plan.set(_encode_float, _decode_float, lambda one: one is float or one is int)
    elif kind in AS_THEY_ARE:
        plan.set(_expecting(kind), _expecting_raw(kind), lambda one: one is kind)
    elif kind in WRITTEN:
        plan.set(_writing(kind), _expecting_raw(kind), lambda one: one is kind)
    else:
        return False
    return True


def fill_none(plan: Plan) -> None:
    def encode(value: Any, depth: int) -> Any:
        if value is not None:
            raise found_instead("None", value)

    def decode(raw: Any) -> Any:
        if raw is not None:
            raise found_instead("None", loose.decode(raw))

    plan.set(encode, decode, lambda one: one is type(None))


def _encode_int(value: Any, depth: int) -> Any:
    if type(value) is not int:
        if type(value) is bool:
            return value
        raise found_instead("int", value)
    return value if INT_MIN <= value <= INT_MAX else big_int(value)


def _decode_int(raw: Any) -> Any:
    if type(raw) is int or type(raw) is bool:
        return raw
    raise found_instead("int", loose.decode(raw))


def _encode_float(value: Any, depth: int) -> Any:
    """An int goes for a float, and stays one."""
    if type(value) is float:
        return value
    if type(value) is int:
        return _encode_int(value, depth)
    raise found_instead("float", value)


def _decode_float(raw: Any) -> Any:
    if type(raw) is float or type(raw) is int:
        return raw
    raise found_instead("float", loose.decode(raw))


def _expecting(kind: type) -> Callable[[Any, int], Any]:
    name = kind.__qualname__

    def encode(value: Any, depth: int) -> Any:
        if type(value) is kind:
            return value
        raise found_instead(name, value)

    return encode


def _expecting_raw(kind: type) -> Callable[[Any], Any]:
    name = kind.__qualname__

    def decode(raw: Any) -> Any:
        if type(raw) is kind:
            return raw
        found = loose.decode(raw)
        if type(found) is kind:
            return found  # a time of a zone, which is written with a name
        raise found_instead(name, found)

    return decode


def _writing(kind: type) -> Callable[[Any, int], Any]:
    name = kind.__qualname__

    def encode(value: Any, depth: int) -> Any:
        if type(value) is kind:
            return scalar(value)
        raise found_instead(name, value)

    return encode
