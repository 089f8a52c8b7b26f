"""How values of one annotation become msgpack's own types and back: a plan, made once and kept.

A plan encodes only what its annotation says, so what it wrote is what it reads; anything else is a Misfit, at the place
where the value is given. It reads more than it writes: values of old journals, and plain ones from JSON.
"""

from __future__ import annotations

import inspect
import threading
import typing
from collections.abc import Callable
from typing import Any

Encode = Callable[[Any, int], Any]
Decode = Callable[[Any], Any]
PLANS_MAX = 4_096
_lock = threading.RLock()
_by_id: dict[int, tuple[Any, Plan]] = {}
_by_text: dict[Any, Plan] = {}
_maker: list[Callable[[Plan], None]] = []
when_forgotten: list[Callable[[], object]] = []
"""Called when the plans are: of those who keep some of their own."""


class Plan:
    """`encode(value, depth)` raises Misfit for what the annotation does not say; `decode(raw)` for what it can't be made of.

    `takes(type)`: whether a value of exactly this type may be encoded. `name`: what a union writes to tell it apart.
    """

    __slots__ = ("annotation", "decode", "encode", "name", "takes")

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.name = tag_of(annotation)
        self.encode: Encode = self._encode_late
        self.decode: Decode = self._decode_late
        self.takes: Callable[[type], bool] = lambda _: True

    def _encode_late(self, value: Any, depth: int) -> Any:
        """For a type that holds itself: its own plan is not made yet when those of its fields are."""
        with _lock:
            return self.encode(value, depth)

    def _decode_late(self, raw: Any) -> Any:
        with _lock:
            return self.decode(raw)

    def set(self, encode: Encode, decode: Decode, takes: Callable[[type], bool]) -> Plan:
        self.encode, self.decode, self.takes = encode, decode, takes
        return self


def made_by(fill: Callable[[Plan], None]) -> None:
    """Every kind of plan is made elsewhere, by what needs this module."""
    _maker[:] = [fill]


def plan_of(annotation: Any) -> Plan:
    """Raises Misfit for an annotation that can't be looked up."""
    found = _by_id.get(id(annotation))
    if found is not None and found[0] is annotation:
        return found[1]
    with _lock:
        try:
            key = (annotation, repr(annotation))  # equal unions may differ in their order
            plan = _by_text.get(key)
        except TypeError:  # metadata that has no hash
            key, plan = None, None
        if plan is None:
            plan = Plan(annotation)
            _keep(annotation, key, plan)
            try:
                _maker[0](plan)
            except BaseException:
                forget()  # others may hold on to it
                raise
        _keep(annotation, key, plan)
        return plan


def _keep(annotation: Any, key: Any, plan: Plan) -> None:
    if len(_by_id) >= PLANS_MAX:
        forget()
    _by_id[id(annotation)] = (annotation, plan)
    if key is not None:
        _by_text[key] = plan


def forget() -> None:
    """All plans are made anew when they are next asked for."""
    _by_id.clear()
    _by_text.clear()
    for tell in when_forgotten:
        tell()


def tag_of(annotation: Any) -> str:
    """The name of a type in a journal: `module:class`, or as the annotation is written."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return f"{annotation.__module__}:{annotation.__qualname__}"
    arguments = typing.get_args(annotation)
    if not arguments:
        return repr(annotation)
    origin = typing.get_origin(annotation)
    inner = ", ".join(tag_of(one) if isinstance(one, type) or typing.get_args(one) else repr(one) for one in arguments)
    return f"{'*' * getattr(annotation, '__unpacked__', False)}{tag_of(origin)}[{inner}]"


def class_named(tag: str) -> str:
    """The part of a tag that stays when a class moves to another module."""
    return tag.partition(":")[2]


def shown(annotation: Any) -> str:
    """As a message calls it."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__qualname__
    return repr(annotation).replace("typing.", "")


def annotation_of(parameter: inspect.Parameter) -> Any:
    return Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation
