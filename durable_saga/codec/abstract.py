"""Plans of collections.abc and numbers: a value keeps the kind that it has, its items have the annotation's types."""

from __future__ import annotations

import abc
import collections.abc
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec import loose
from durable_saga.codec.misfit import Misfit, found_instead, name_of
from durable_saga.codec.named import CONTAINERS
from durable_saga.codec.plan import Encode, Plan, plan_of, shown
from durable_saga.codec.wire import Node

_MODULES = frozenset({"collections.abc", "numbers", "os"})
_RAW_KINDS: dict[int, type] = {ext.TUPLE: tuple, ext.SET: set, ext.FROZENSET: frozenset, ext.MAP: dict}


def is_abstract(kind: Any) -> bool:
    return type(kind) is abc.ABCMeta and kind.__module__ in _MODULES


def fill(plan: Plan, kind: type, arguments: tuple[Any, ...]) -> None:
    holds = is_mapping = issubclass(kind, collections.abc.Mapping)
    holds = is_mapping or issubclass(kind, collections.abc.Iterable) or kind is collections.abc.Container
    item = arguments[-1] if arguments and holds else Any
    own: dict[type, Encode] = {}

    def plan_for(found: Any) -> Plan:
        if issubclass(found, dict):
            key = arguments[0] if is_mapping and arguments else (item if arguments else Any)
            value = item if is_mapping else Any
            return plan_of(found[key] if found is collections.Counter else found[key, value])
        return plan_of(found[item, ...] if found is tuple else found[item])

    def encode(value: Any, depth: int) -> Any:
        found = type(value)
        if not isinstance(value, kind):
            raise found_instead(shown(kind), value)
        if (write := own.get(found)) is None:
            known = found in CONTAINERS or found in (list, tuple, set, frozenset, dict)
            own[found] = write = plan_for(found).encode if known else _plainly
        return write(value, depth)

    def decode(raw: Any) -> Any:
        found: Any = type(raw)
        if found is Node:
            found = CONTAINERS_BY_NAME.get(raw.items[0]) if raw.code == ext.TAGGED else _RAW_KINDS.get(raw.code)
        if found in (list, dict, tuple, set, frozenset) or found in CONTAINERS:
            if not issubclass(found, kind):
                raise Misfit(f": expected {shown(kind)}, found {found.__qualname__}")
            return plan_for(found).decode(raw)
        made = loose.decode(raw)
        if not isinstance(made, kind):
            raise found_instead(shown(kind), made)
        return made

    CONTAINERS_BY_NAME = {name: one for one, name in CONTAINERS.items()}  # noqa: N806
    plan.set(encode, decode, lambda one: issubclass(one, kind))


def _plainly(value: Any, depth: int) -> Any:
    before = len(loose.noticed)
    plain = loose.encode(value, depth)
    if len(loose.noticed) > before:
        del loose.noticed[before:]
        raise Misfit(f": a {name_of(type(value))} can't be made again from this annotation: name its class", fits=True)
    return plain
