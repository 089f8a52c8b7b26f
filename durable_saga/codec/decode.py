"""Bytes to values, each as its annotation says. Whatever the bytes are: a value, or DecodeError."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any

from durable_saga.codec import loose
from durable_saga.codec.calls import call_plan_of, name_of_place
from durable_saga.codec.exact import is_marked, reading
from durable_saga.codec.misfit import Misfit
from durable_saga.codec.plan import plan_of
from durable_saga.codec.wire import Node, unpack
from durable_saga.errors import DecodeError

ASIDE_ABOVE_BYTES = 64 * 1024
"""About a millisecond of decoding."""


def decode(data: bytes, annotation: Any = Any, *, where: str = "value") -> Any:
    """Raises DecodeError, naming the place, when the bytes are broken or do not fit the annotation."""
    raw, nodes = unpack(data, where)
    if not nodes and (annotation is Any or type(raw) is annotation):
        return raw
    return _fitted(raw, annotation, where)


async def decode_aside(data: bytes, annotation: Any = Any, *, where: str = "value") -> Any:
    """The same, of large data in a thread: the loop goes on meanwhile."""
    if len(data) <= ASIDE_ABOVE_BYTES:
        return decode(data, annotation, where=where)
    return await asyncio.to_thread(decode, data, annotation, where=where)


def decode_message(data: bytes, annotation: Any = Any, *, where: str) -> Any:
    """The arguments of a message as one value: one argument is the value, none is None, several are a tuple."""
    args, _, _ = _call(data)
    if len(args) == 1:
        with reading(data):
            return _fitted(args[0], annotation, where)
    return tuple([_fitted(one, Any, where) for one in args]) or None


def decode_call(data: bytes, signature: inspect.Signature) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call of a function with that signature. Raises DecodeError as well when they don't bind."""
    if is_marked(data):
        with reading(data):
            return _decoded_call(data, signature)
    return _decoded_call(data, signature)


def _decoded_call(data: bytes, signature: inspect.Signature) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs, nodes = _call(data)
    if kwargs or len(args) > len(signature.parameters):
        try:
            signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise DecodeError(f"arguments do not fit the function's parameters {signature}: {error}") from None
    name, fitted = "", []
    try:
        call = call_plan_of(signature)
        positional = call.positional
        for one, plan in zip(args, positional, strict=False):
            fitted.append(one if not nodes and plan.decode is loose.decode else plan.decode(one))
        for one in args[len(positional) :]:
            fitted.append(call.rest.decode(one))
        for name, one in kwargs.items():
            kwargs[name] = call.named(name).decode(one)
    except Misfit as misfit:
        raise DecodeError(f"argument {name or name_of_place(signature, len(fitted))}{misfit}") from misfit.__cause__
    except Exception as error:  # bytes that only look like a value
        raise DecodeError(f"arguments: no value can be made from this: {type(error).__name__}: {error}") from error
    return fitted, kwargs


def _call(data: bytes) -> tuple[list[Any], dict[str, Any], Sequence[Node]]:
    raw, nodes = unpack(data, "arguments")
    if not (type(raw) is list and len(raw) == 2 and type(raw[0]) is list and type(raw[1]) is dict):
        raise DecodeError("arguments: not an encoded call")
    if raw[1] and not all(type(name) is str for name in raw[1]):
        raise DecodeError("arguments: the name of an argument isn't text")
    return raw[0], raw[1], nodes


def _fitted(raw: Any, annotation: Any, where: str) -> Any:
    try:
        return (loose.decode if annotation is Any else plan_of(annotation).decode)(raw)
    except Misfit as misfit:
        raise DecodeError(f"{where}{misfit}") from misfit.__cause__
    except Exception as error:  # bytes that only look like a value
        raise DecodeError(f"{where}: no value can be made from this: {type(error).__name__}: {error}") from error
