"""The arguments of a start: whether two are the same, and how they are shown. Pure.

Compared is what is journaled. Arguments that a saga's code would get alike are the same: by place or by name, with a default
left out or given, a dict in another order. Without the code only what was written alike is, but for the order of names.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgpack

from durable_saga import codec
from durable_saga.client.readable import as_json
from durable_saga.codec import extension as ext
from durable_saga.errors import DecodeError, NotSerializable

SHOWN_CHARACTERS_MAX = 200
"""Of all the arguments of one start, in a message."""
_EMPTY = inspect.Parameter.empty
_ORDERED = (ext.TUPLE, ext.TAGGED, ext.RECORD)
_OPENED = (*_ORDERED, ext.SET, ext.FROZENSET, ext.MAP)


def are_same(first: bytes, second: bytes, signature: inspect.Signature | None) -> bool:
    """Of two encoded calls, of a function with that signature if it is known here."""
    if first == second or _in_order(first) == _in_order(second):
        return True
    if signature is None:
        return False
    try:
        return _bound(first, second, signature) == _bound(second, first, signature)
    except (DecodeError, NotSerializable, TypeError):  # an earlier version of the code took others
        return False


def shown(data: bytes) -> str:
    """As a call shows them, `('order-7', amount=100)`, at most SHOWN_CHARACTERS_MAX."""
    try:
        args, kwargs = codec.decode(data)
        text = ", ".join([*map(as_json, args), *(f"{name}={as_json(value)}" for name, value in kwargs.items())])
    except (DecodeError, TypeError, ValueError, AttributeError):
        text = f"{len(data)} bytes that can't be read here"
    return f"({text})" if len(text) <= SHOWN_CHARACTERS_MAX else f"({text[:SHOWN_CHARACTERS_MAX]}… {len(text):,} characters)"


def _bound(data: bytes, other: bytes, signature: inspect.Signature) -> bytes:
    """What the parameters get. A default counts only where the other call gives that parameter: it may be no value of ours."""
    args, kwargs = codec.decode_call(data, signature)
    bound = signature.bind(*args, **kwargs)
    others = codec.decode_call(other, signature)
    for name in signature.bind(*others[0], **others[1]).arguments:
        if name not in bound.arguments and signature.parameters[name].default is not _EMPTY:
            bound.arguments[name] = _default(signature.parameters[name])
    given = [
        (name, _as_annotated(name, bound.arguments[name], signature))
        for name in signature.parameters
        if name in bound.arguments
    ]
    return _in_order(codec.encode([[*one] for one in given if not _is_empty(*one, signature)], where="call"))


def _as_annotated(name: str, value: Any, signature: inspect.Signature) -> Any:
    """1 for a float is 1.0."""
    return float(value) if type(value) is int and signature.parameters[name].annotation is float else value


def _default(parameter: inspect.Parameter) -> Any:
    """As it would be had it been given: 1 for a float is 1.0. Raises NotSerializable."""
    data = codec.encode(parameter.default, where="default")
    try:
        return codec.decode(data, Any if parameter.annotation is _EMPTY else parameter.annotation)
    except DecodeError:  # None for a str: no caller could give that
        return parameter.default


def _is_empty(name: str, value: Any, signature: inspect.Signature) -> bool:
    """`*args` or `**kwargs` that got nothing are bound in one call and left out in another."""
    return signature.parameters[name].kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD) and not value


def _in_order(data: bytes) -> bytes:
    """The same value with the entries of every dict in one order. Bytes that hold no value stay as they are."""
    try:
        return _form(msgpack.unpackb(data, raw=False, strict_map_key=False))
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError):
        return data


def _form(value: Any) -> bytes:
    """One form of it: not msgpack, but alike for alike values, and for no others."""
    if isinstance(value, msgpack.ExtType) and value.code in _OPENED:
        items = [_form(one) for one in msgpack.unpackb(value.data, raw=False, strict_map_key=False)]
        if value.code not in _ORDERED:
            items.sort()
        return b"e%d.%d" % (value.code, len(items)) + b"".join(items)
    if isinstance(value, Mapping):
        pairs = sorted(_form(key) + _form(one) for key, one in value.items())
        return b"m%d" % len(pairs) + b"".join(pairs)
    if isinstance(value, list):
        return b"l%d" % len(value) + b"".join(map(_form, value))
    return bytes(msgpack.packb(value, use_bin_type=True))
