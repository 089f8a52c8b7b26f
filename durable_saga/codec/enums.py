"""Plans of enums: by value, as they always were; by name where the value is no plain one."""

from __future__ import annotations

from enum import Enum, Flag
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.misfit import Misfit, found_instead
from durable_saga.codec.plan import Plan
from durable_saga.codec.wire import Node, tagged

NAME = "enum"
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


def fill(plan: Plan, kind: type[Enum]) -> None:
    def encode(value: Any, depth: int) -> Any:
        if not isinstance(value, kind):
            raise found_instead(kind.__qualname__, value)
        if is_plain(value.value) and (isinstance(value, Flag) or is_found(kind, value)):
            return loose.encode(value.value, depth + 1)
        return tagged(NAME, value.name)

    def decode(raw: Any) -> Any:
        if type(raw) is Node and raw.code == ext.TAGGED:
            name, payload = raw.items
            if name == NAME:
                if not isinstance(payload, str) or payload not in kind.__members__:
                    raise Misfit(f": {payload!r} isn't a name in {kind.__qualname__}")
                return kind.__members__[payload]
            if name.partition(":")[2] != kind.__qualname__:
                raise Misfit(f": expected {kind.__qualname__}, found {name}")
            return decode(payload)
        value = loose.decode(raw)
        try:
            return kind(value)
        except Exception as error:  # its own _missing_, or a value that has no hash
            raise Misfit(f": {error}") from None

    plan.set(encode, decode, lambda one: issubclass(one, kind))


def is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) is tuple and all(is_plain(one) for one in value))


def is_found(kind: type[Enum], value: Enum) -> bool:
    try:
        return kind(value.value) is value
    except Exception:  # a class with ideas of its own: by name then
        return False
