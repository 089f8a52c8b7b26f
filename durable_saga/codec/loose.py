"""Values of which no annotation says anything: written by what they are, read as plain data.

Models, enums and the like are written with the name of their class, so that an annotation at the other end finds the right
one; read without an annotation they are dicts, tuples and values. `noticed` collects the classes to which that may happen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_saga.codec import extension as ext
from durable_saga.codec.misfit import DEPTH_MAX, Misfit, too_deep
from durable_saga.codec.plan import Encode, Plan, plan_of, tag_of, when_forgotten
from durable_saga.codec.wire import INT_MAX, INT_MIN, Node, big_int, refuse_collisions, scalar, tagged

_AS_THEY_ARE = frozenset({str, bool, bytes, float, type(None)})
_writers: dict[type, Encode] = {}
when_forgotten.append(_writers.clear)
noticed: list[type] = []
tell_themselves: list[Callable[[type], bool]] = []
"""Whether what a plan writes of a value of this class says what it is, whatever reads it."""
builders: dict[str, Callable[[Any], Any]] = {}
"""By the name in a tag: what makes a value of a type that msgpack does not know, whatever the annotation is."""


def encode(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is int:
        return value if INT_MIN <= value <= INT_MAX else big_int(value)
    writer = _writers.get(kind)
    if writer is None:
        if (found := scalar(value)) is not None:
            return found
        writer = _writer_of(kind)
    if depth > DEPTH_MAX:
        raise too_deep()
    return writer(value, depth)


def _writer_of(kind: type) -> Encode:
    if kind is object:
        raise cannot(kind)
    plan = plan_of(kind)
    writer: Encode
    if any(tells(kind) for tells in tell_themselves):
        writer = plan.encode
    else:

        def writer(value: Any, depth: int) -> Any:
            noticed.append(kind)
            return tagged(tag_of(kind), plan.encode(value, depth + 1))

    _writers[kind] = writer
    return writer


def fill_any(plan: Plan) -> None:
    plan.set(encode, decode, lambda _: True)


def decode(raw: Any) -> Any:
    kind = type(raw)
    if kind is list:
        return [decode(one) for one in raw]
    if kind is dict:
        return {key: decode(one) for key, one in raw.items()}
    return raw if kind is not Node else _READERS[raw.code](raw.items)


def _decode_map(pairs: list[Any]) -> dict[Any, Any]:
    keys = hashable([decode(key) for key, _ in pairs])
    made = {key: decode(item) for key, (_, item) in zip(keys, pairs, strict=True)}
    if len(made) != len(pairs):
        raise Misfit(": two keys of a dict are the same without their types: annotate it")
    return made


def _decode_tagged(items: list[Any]) -> Any:
    name, payload = items
    build = builders.get(name)
    return decode(payload) if build is None else build(payload)


def _decode_record(items: list[Any]) -> Any:
    made = {key: decode(one) for key, one in items[0].items()}
    if len(items) > 1:
        details = decode(items[1])
        for more in (details.get("rest"), details.get("extra")):
            made |= more or {}
    return made


def hashable(keys: list[Any]) -> list[Any]:
    """Raises Misfit for keys that can't be in a set or dict, and for those that are made to collide."""
    try:
        refuse_collisions(keys)
        for key in keys if len(keys) <= 1_000 else ():
            hash(key)
    except TypeError as error:
        raise Misfit(f": a key or member can't be one: {error}") from None
    return keys


_READERS: dict[int, Callable[[Any], Any]] = {
    ext.TUPLE: lambda items: tuple([decode(one) for one in items]),
    ext.SET: lambda items: set(hashable([decode(one) for one in items])),
    ext.FROZENSET: lambda items: frozenset(hashable([decode(one) for one in items])),
    ext.MAP: _decode_map,
    ext.TAGGED: _decode_tagged,
    ext.RECORD: _decode_record,
}


def cannot(kind: type) -> Misfit:
    return Misfit(
        f" is of type {kind.__module__}.{kind.__qualname__}, which can't be journaled: pass a dataclass, an attrs or pydantic"
        " model, or plain values, or give connect() `converters` for it",
        fits=True,
    )
