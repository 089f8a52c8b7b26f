"""Bytes to values, and values to what an annotation says."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import sys
import types
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgpack

from durable_saga.codec import extension as ext
from durable_saga.errors import DecodeError

_AS_IS = frozenset({str, bytes, bool, type(None), datetime, date, time, timedelta, UUID, Decimal})
_ABSTRACT = {
    collections.abc.Sequence: list, collections.abc.Iterable: list, collections.abc.Collection: list,
    collections.abc.Mapping: dict, collections.abc.MutableMapping: dict, collections.abc.MutableSequence: list,
    collections.abc.Set: set,
}  # fmt: skip


def decode(data: bytes, annotation: Any = Any, *, where: str = "value") -> Any:
    """Raises DecodeError, naming the place, when the bytes are broken or do not fit the annotation."""
    return _fit(_unpack(data, where), annotation, where)


def decode_call(data: bytes, signature: inspect.Signature) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call of a function with that signature. Raises DecodeError as well when they don't bind."""
    raw = _unpack(data, "arguments")
    if not (isinstance(raw, list) and len(raw) == 2 and isinstance(raw[0], list) and isinstance(raw[1], dict)):
        raise DecodeError("arguments: not an encoded call")
    args, kwargs = raw
    positional = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL), None)
    named = next((p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    if kwargs or (len(args) > len(positional) and rest is None):
        try:
            signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise DecodeError(f"arguments do not fit the function's parameters {signature}: {error}") from None
    fitted = []
    for place, value in enumerate(args):
        parameter = positional[place] if place < len(positional) else rest
        assert parameter is not None, "the count is checked"
        fitted.append(_fit(value, _annotation(parameter), f"argument {parameter.name}"))
    for name, value in kwargs.items():
        parameter = signature.parameters.get(name) or named
        assert parameter is not None, "bind_partial has checked the names"
        kwargs[name] = _fit(value, _annotation(parameter), f"argument {name}")
    return fitted, kwargs


def _annotation(parameter: inspect.Parameter) -> Any:
    return Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation


def _unpack(data: bytes, where: str) -> Any:
    try:
        return msgpack.unpackb(data, ext_hook=_extension, raw=False, strict_map_key=False)
    except DecodeError:
        raise
    except (ValueError, TypeError, msgpack.UnpackException, InvalidOperation, RecursionError) as error:
        raise DecodeError(f"{where}: the {len(data)} bytes are no encoded value ({error})") from error


def _extension(number: int, data: bytes) -> Any:
    reader = _READERS.get(number)
    if reader is None:
        raise DecodeError(f"a value of extension {number} was written by a newer version: upgrade this program")
    return reader(data)


def _again(data: bytes) -> Any:
    return msgpack.unpackb(data, ext_hook=_extension, raw=False, strict_map_key=False)


def _datetime(data: bytes) -> datetime:
    text, _, fold = data.decode().partition("|")
    value = datetime.fromisoformat(text)
    return value.replace(fold=1) if fold else value


_READERS: dict[int, Any] = {
    ext.BIG_INT: int,
    ext.TUPLE: lambda data: tuple(_again(data)),
    ext.SET: lambda data: set(_again(data)),
    ext.FROZENSET: lambda data: frozenset(_again(data)),
    ext.DATETIME: _datetime,
    ext.DATE: lambda data: date.fromisoformat(data.decode()),
    ext.TIME: lambda data: time.fromisoformat(data.decode()),
    ext.TIMEDELTA: lambda data: timedelta(*_again(data)),
    ext.UUID: lambda data: UUID(bytes=data),
    ext.DECIMAL: lambda data: Decimal(data.decode()),
    ext.MAP: lambda data: dict(_again(data)),
}


def _fit(value: Any, annotation: Any, where: str) -> Any:
    if annotation is Any or annotation is inspect.Signature.empty or annotation is object:
        return value
    if annotation is type(value):
        return value
    if annotation is None:
        annotation = type(None)
    origin = typing.get_origin(annotation)
    if origin is not None:
        return _generic(value, annotation, origin, where)
    if isinstance(annotation, typing.NewType):
        return _fit(value, annotation.__supertype__, where)
    if isinstance(annotation, typing.TypeVar):
        return value
    if annotation is float and type(value) is int:
        return float(value)
    if not isinstance(annotation, type):
        return value  # a form of typing that says nothing about the value
    return _class(value, annotation, where)


def _class(value: Any, kind: Any, where: str) -> Any:
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            raise DecodeError(f"{where}: {error}") from None
    if typing.is_typeddict(kind) and isinstance(value, dict):
        hints = _hints(kind)
        return {name: _fit(item, hints.get(name, Any), f"{where}[{name!r}]") for name, item in value.items()}
    if (pydantic := sys.modules.get("pydantic")) is not None and issubclass(kind, pydantic.BaseModel):
        try:
            return kind.model_validate(value)
        except pydantic.ValidationError as error:
            raise DecodeError(f"{where}: {error}") from None
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__"):
        return _record(value, kind, where)
    if issubclass(kind, tuple) and hasattr(kind, "_fields") and isinstance(value, tuple | list):
        return kind(*value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind in _AS_IS or kind in (int, float, list, dict, tuple, set, frozenset):
        raise DecodeError(f"{where}: expected {kind.__qualname__}, found {type(value).__qualname__}")
    raise DecodeError(f"{where}: a value of {kind.__qualname__} can't be rebuilt from {type(value).__qualname__}")


def _record(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, dict):
        raise DecodeError(f"{where}: expected the fields of {kind.__qualname__}, found {type(value).__qualname__}")
    hints = _hints(kind)
    fitted = {name: _fit(item, hints.get(name, Any), f"{where}.{name}") for name, item in value.items()}
    try:
        return kind(**fitted)
    except TypeError as error:
        raise DecodeError(f"{where}: {kind.__qualname__} can't be made from its fields: {error}") from error


def _generic(value: Any, annotation: Any, origin: Any, where: str) -> Any:
    arguments = typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return _union(value, arguments, where)
    if origin is typing.Annotated:
        return _fit(value, arguments[0], where)
    if origin is typing.Literal:
        if value not in arguments:
            raise DecodeError(f"{where}: {value!r} is none of {arguments}")
        return value
    origin = _ABSTRACT.get(origin, origin)
    if origin in (list, set, frozenset) and isinstance(value, list | set | frozenset | tuple):
        return origin(_fit(item, arguments[0], f"{where}[]") for item in value)
    if origin is tuple and isinstance(value, tuple | list):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_fit(item, arguments[0], f"{where}[]") for item in value)
        if len(arguments) != len(value):
            raise DecodeError(f"{where}: expected {len(arguments)} items, found {len(value)}")
        return tuple(_fit(v, a, f"{where}[{n}]") for n, (v, a) in enumerate(zip(value, arguments, strict=True)))
    if isinstance(origin, type) and issubclass(origin, dict) and isinstance(value, dict):
        return {_fit(k, arguments[0], f"{where} key"): _fit(v, arguments[1], f"{where}[{k!r}]") for k, v in value.items()}
    return _fit(value, origin, where) if isinstance(origin, type) else value


def _union(value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    """The member of the very type first, then the first one that fits."""
    if type(value) in arguments or (value is None and type(None) in arguments):
        return value
    reasons = []
    for member in arguments:
        try:
            return _fit(value, member, where)
        except DecodeError as error:
            reasons.append(str(error))
    raise DecodeError(f"{where}: fits none of {arguments}: {'; '.join(reasons)}")


@lru_cache(maxsize=4096)
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    for attribute in getattr(kind, "__attrs_attrs__", ()):
        if attribute.alias and attribute.alias != attribute.name:
            hints[attribute.alias] = hints.get(attribute.name, Any)
    return hints
