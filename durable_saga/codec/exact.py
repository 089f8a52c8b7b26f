"""Messages whose sender did not know what they are read as. They are written by what they are, each class with its name, and
say so in their first byte; so of the members of a union the one is right that would write the very same again.

Bytes without that mark (of before it, and of those who know the annotation) are read as they were.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from durable_saga.codec import loose
from durable_saga.codec.misfit import Misfit
from durable_saga.codec.wire import Node, pack, unpack

_PLAIN_HEAD = b"\x92"
MARKED_HEAD = b"\xdc\x00\x02"
"""A list of two, as msgpack writes longer ones: every reader takes it for the same."""


class _Reading(threading.local):
    is_exact = False


_reading = _Reading()


def marked(data: bytes) -> bytes:
    """A call that was encoded without a signature."""
    return MARKED_HEAD + data.removeprefix(_PLAIN_HEAD)


def is_marked(data: bytes) -> bool:
    return data.startswith(MARKED_HEAD)


def is_exact() -> bool:
    """Whether what is read now was marked."""
    return _reading.is_exact


@contextmanager
def reading(data: bytes) -> Iterator[None]:
    before, _reading.is_exact = _reading.is_exact, is_marked(data)
    try:
        yield
    finally:
        _reading.is_exact = before


def writes(value: Any, raw: Any) -> bool:
    """Whether `raw` is what is written for the value where nobody knows its annotation."""
    noticed = len(loose.noticed)
    try:
        again, _ = unpack(pack(loose.encode(value, 0)), "value")
    except (Misfit, ValueError, TypeError, OverflowError):  # it could not have been sent
        return False
    finally:
        del loose.noticed[noticed:]
    return _same(again, raw)


def _same(one: Any, other: Any) -> bool:
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is Node:
        return bool(one.code == other.code) and _same(one.items, other.items)
    if kind is list:
        return len(one) == len(other) and all(map(_same, one, other))
    if kind is dict:
        return one.keys() == other.keys() and all(_same(item, other[key]) for key, item in one.items())
    return bool(one == other) or repr(one) == repr(other)  # NaN is not itself
