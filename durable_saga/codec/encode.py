"""Values to bytes. One pass of msgpack for what it knows; the rest is turned into extensions, with the path kept for errors."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgpack

from durable_saga.codec import extension as ext
from durable_saga.errors import LimitExceeded, NotSerializable
from durable_saga.pb.payloads import PAYLOAD_BYTES_MAX

DEPTH_MAX = 100
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_pack: Callable[[Any], bytes] = msgpack.Packer(use_bin_type=True, strict_types=True, autoreset=True).pack


def encode(value: Any, *, where: str) -> bytes:
    """Raises NotSerializable, with the type and the path to it, and LimitExceeded above PAYLOAD_BYTES_MAX."""
    return _bounded(_pack(_plain(value, where, 0)), where)


def encode_call(args: Sequence[Any], kwargs: Mapping[str, Any], *, where: str) -> bytes:
    """The arguments of a call: [args, kwargs]. Raises as encode() does."""
    plain_args = [_plain(value, f"{where}: argument {n}", 0) for n, value in enumerate(args)]
    plain_kwargs = {name: _plain(value, f"{where}: argument {name}", 0) for name, value in kwargs.items()}
    return _bounded(_pack([plain_args, plain_kwargs]), where)


def _bounded(data: bytes, where: str) -> bytes:
    if len(data) > PAYLOAD_BYTES_MAX:
        raise LimitExceeded(
            "PAYLOAD_BYTES_MAX", PAYLOAD_BYTES_MAX, f"{where} has {len(data)} bytes; keep the value elsewhere and pass its key"
        )
    return data


def _plain(value: Any, path: str, depth: int) -> Any:
    """The same value in msgpack's own types and extensions."""
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is float or kind is bytes:
        return value
    if kind is int:
        return value if _INT_MIN <= value <= _INT_MAX else msgpack.ExtType(ext.BIG_INT, str(value).encode())
    if depth > DEPTH_MAX:
        raise NotSerializable(f"{path}: nested deeper than {DEPTH_MAX} levels (does it contain itself?)")
    if kind is list:
        return [_plain(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(value)]
    if kind is dict:
        return _mapping(value, path, depth)
    return _other(value, path, depth)


def _mapping(value: dict[Any, Any], path: str, depth: int) -> Any:
    if all(type(key) is str for key in value):
        return {key: _plain(item, f"{path}[{key!r}]", depth + 1) for key, item in value.items()}
    pairs = [
        [_plain(key, f"{path} key {key!r}", depth + 1), _plain(item, f"{path}[{key!r}]", depth + 1)]
        for key, item in value.items()
    ]
    return msgpack.ExtType(ext.MAP, _pack(pairs))


def _other(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, f"{path}.value", depth + 1)
    if (kind := type(value)) in _SCALARS:
        number, text = _SCALARS[kind]
        return msgpack.ExtType(number, text(value))
    if kind is tuple or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return msgpack.ExtType(ext.TUPLE, _pack([_plain(v, f"{path}[{n}]", depth + 1) for n, v in enumerate(value)]))
    if kind in (set, frozenset):
        members = sorted(_pack(_plain(item, f"{path} member {item!r}", depth + 1)) for item in value)
        head = msgpack.Packer().pack_array_header(len(members))
        return msgpack.ExtType(ext.SET if kind is set else ext.FROZENSET, head + b"".join(members))
    if (fields := _fields(value)) is not None:
        return {name: _plain(item, f"{path}.{name}", depth + 1) for name, item in fields.items()}
    raise NotSerializable(
        f"{path} is of type {kind.__module__}.{kind.__qualname__}, which can't be journaled: pass a dataclass, an attrs or"
        " pydantic model, or plain values"
    )


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass, attrs or pydantic object; None for anything else."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind) if field.init}
    if (attributes := getattr(kind, "__attrs_attrs__", None)) is not None:
        return {(a.alias or a.name): getattr(value, a.name) for a in attributes if a.init}
    if (pydantic := sys.modules.get("pydantic")) is not None and isinstance(value, pydantic.BaseModel):
        return {name: getattr(value, name) for name in kind.model_fields}
    return None


def _timedelta(value: timedelta) -> bytes:
    return _pack([value.days, value.seconds, value.microseconds])


def _iso(value: datetime | date | time) -> bytes:
    return value.isoformat().encode()


_SCALARS: dict[type, tuple[int, Any]] = {
    datetime: (ext.DATETIME, lambda value: _iso(value) + (b"|1" if value.fold else b"")),
    date: (ext.DATE, _iso),
    time: (ext.TIME, _iso),
    timedelta: (ext.TIMEDELTA, _timedelta),
    UUID: (ext.UUID, lambda value: value.bytes),
    Decimal: (ext.DECIMAL, lambda value: str(value).encode()),
}
