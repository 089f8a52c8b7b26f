"""What of an exception's attributes and arguments goes into the journal: bounded, and without running code of its class.

Plain values are kept as they are, enum members by name, exceptions as failures, other objects as what they hold of public
numbers and texts. What is none of these, or too large, is left out and named in `notes`. Each value is encoded as a pair of a
tag and what belongs to it; `remade` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from types import MemberDescriptorType
from typing import Any
from uuid import UUID

from durable_saga import codec
from durable_saga.pb import payload_pb2 as p
from durable_saga.redaction import redacted, redacted_bytes

PLAIN, ENUM, FAILURE, OBJECT, LEFT_OUT = range(5)
KEPT_BYTES_MAX = 8 * 1024
ATTRIBUTES_MAX = 50
ITEMS_MAX = 100
KEPT_DEPTH_MAX = 5
TEXT_CHARACTERS_MAX = 4_000
INTEGER_BITS_MAX = 4_096
NAME_CHARACTERS_MAX = 200
STR_RAISED = "its __str__ raised"
REMADE_FROM = "_durable_saga_failure"
_SCALARS = frozenset({type(None), bool, float, datetime, date, time, timedelta, UUID, Decimal})
_NUMBERS_AND_TEXTS = (str, int, float, Decimal, datetime, UUID)
_NOT_OURS_TO_KEEP = (
    AttributeError.__dict__["obj"], BaseExceptionGroup.__dict__["message"], BaseExceptionGroup.__dict__["exceptions"],
)  # fmt: skip


class CannotKeep(Exception):
    """Says what the value is."""


def cleaned(text: str, characters_max: int | None = None) -> str:
    """The text as far as it is valid UTF-8; what is not is written with backslashes."""
    text = str.__str__(text)
    if characters_max is not None and len(text) > characters_max:
        text = text[:characters_max]
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def name_of(kind: type) -> str:
    """Module and qualified name, also of a class that says something else."""
    module: Any = type.__dict__["__module__"].__get__(kind)
    qualname: Any = type.__dict__["__qualname__"].__get__(kind)
    text = f"{module}.{qualname}" if isinstance(module, str) else str(qualname)
    return cleaned(text, NAME_CHARACTERS_MAX)


class Keeper:
    """Takes what it can of one exception, while `bytes_left`. `inner` makes a failure of an exception among the attributes."""

    def __init__(self, bytes_left: int, inner: Callable[[BaseException], p.Failure | None]) -> None:
        self.bytes_left = bytes_left
        self._room = max(min(bytes_left, KEPT_BYTES_MAX), 0)
        self._inner = inner
        self._missing: list[str] = []

    @property
    def notes(self) -> list[str]:
        return [f"not kept: {', '.join(self._missing)}"] if self._missing else []

    def args(self, error: BaseException) -> bytes:
        """Empty: there are none."""
        args = BaseException.args.__get__(error)  # type: ignore[attr-defined]
        if issubclass(type(error), BaseExceptionGroup):
            args = args[:1]
        if not args:
            return b""
        kept = [self._kept(arg, f"args[{place}]") for place, arg in enumerate(args[:ITEMS_MAX])]
        return codec.encode(kept, where="args of an exception")

    def attributes(self, error: BaseException) -> bytes:
        """Empty: there are none."""
        kept: dict[str, Any] = {}
        for name, value in islice(_attributes(error), ATTRIBUTES_MAX):
            if isinstance(value, p.Failure):
                continue  # of an error of ours that is a cause too
            kept[name] = self._kept(value, name)
        return codec.encode(kept, where="attributes of an exception") if kept else b""

    def _kept(self, value: Any, name: str) -> list[Any]:
        try:
            pair = self._pair(value)
            size = len(codec.encode(pair, where="an attribute of an exception"))
            if size > self._room:
                raise CannotKeep(f"{size} bytes of {name_of(type(value))}")
        except CannotKeep as error:
            return self._left_out(name, str(error))
        except BaseException:  # code of the value's class may raise anything
            return self._left_out(name, name_of(type(value)))
        self._room -= size
        self.bytes_left -= size
        if pair[0] == OBJECT:
            self._missing.append(f"{name} but for {', '.join([*pair[2], *pair[3]])}")
        return pair

    def _left_out(self, name: str, what: str) -> list[Any]:
        self._missing.append(f"{name} ({what})")
        return [LEFT_OUT]

    def _pair(self, value: Any) -> list[Any]:
        kind = type(value)
        if issubclass(kind, Enum):
            return [ENUM, name_of(kind), cleaned(value.name)]
        if issubclass(kind, BaseException):
            inner = self._inner(value)
            if inner is None:
                raise CannotKeep(name_of(kind))
            return [FAILURE, inner.SerializeToString()]
        try:
            return [PLAIN, _plain(value, 0)]
        except CannotKeep:
            fields, members = _fields(value)
            if not fields and not members:
                raise
            return [OBJECT, name_of(kind), fields, members]


def _attributes(error: BaseException) -> Iterable[tuple[str, Any]]:
    """By name and value: what is in slots and in C structures, and what the instance holds."""
    seen = set()
    for kind in type(error).__mro__:
        for name, found in kind.__dict__.items() if kind not in (BaseException, object) else ():
            if type(found) is MemberDescriptorType and name not in seen and found not in _NOT_OURS_TO_KEEP:
                seen.add(name)
                try:
                    value = found.__get__(error)
                except AttributeError:
                    continue  # a slot that is empty
                if value is not None:
                    yield name, value
    held: dict[Any, Any] = object.__getattribute__(error, "__dict__")
    for name, value in list(held.items()):
        if type(name) is str and (not name.startswith("__") or name == "__notes__") and name != REMADE_FROM:
            yield cleaned(name, NAME_CHARACTERS_MAX), value


def _fields(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The public numbers and texts of an object, and its members of enums as (type, name). Nothing else: what it holds may be
    secret, or large."""
    held: Any = getattr(value, "__dict__", None)
    if type(held) is not dict:
        return {}, {}
    fields: dict[str, Any] = {}
    members: dict[str, Any] = {}
    for name, one in islice(held.items(), ITEMS_MAX):
        if type(name) is not str or name.startswith("_"):
            continue
        if isinstance(one, Enum):
            members[cleaned(name, NAME_CHARACTERS_MAX)] = [name_of(type(one)), cleaned(one.name)]
        elif issubclass(type(one), _NUMBERS_AND_TEXTS):
            try:
                fields[cleaned(name, NAME_CHARACTERS_MAX)] = _plain(one, 0)
            except CannotKeep:
                continue  # too long
    return fields, members


def _plain(value: Any, depth: int) -> Any:
    """The same value of the plain types. Raises CannotKeep."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if issubclass(kind, Enum):
        return _plain(value.value, depth + 1)
    if issubclass(kind, str):
        return cleaned(redacted(str.__str__(_short(value, str.__len__(value), "characters"))))
    if issubclass(kind, bytes):
        return redacted_bytes(bytes.__add__(_short(value, bytes.__len__(value), "bytes"), b""))
    if issubclass(kind, int):
        return _short(int.__int__(value), int.bit_length(value), "bits", INTEGER_BITS_MAX)
    if issubclass(kind, float):
        return float.__float__(value)
    if depth >= KEPT_DEPTH_MAX:
        raise CannotKeep(f"{name_of(kind)}, nested deeper than {KEPT_DEPTH_MAX} levels")
    return _container(value, kind, depth + 1)


def _container(value: Any, kind: type, depth: int) -> Any:
    for builtin in (list, tuple, set, frozenset):
        if issubclass(kind, builtin):
            _short(value, builtin.__len__(value), "items", ITEMS_MAX)
            return builtin(_plain(item, depth) for item in builtin.__iter__(value))
    if issubclass(kind, dict):
        _short(value, dict.__len__(value), "items", ITEMS_MAX)
        return {_plain(key, depth): _plain(item, depth) for key, item in dict.items(value)}
    if isinstance(value, Mapping):
        items = list(islice(value.items(), ITEMS_MAX + 1))
        _short(value, len(items), "items", ITEMS_MAX)
        return {_plain(key, depth): _plain(item, depth) for key, item in items}
    raise CannotKeep(name_of(kind))


def _short(value: Any, size: int, unit: str, size_max: int = TEXT_CHARACTERS_MAX) -> Any:
    if size > size_max:
        raise CannotKeep(f"{name_of(type(value))} of {size} {unit}")
    return value
