"""What the bytes of an annotation look like, so that a union knows which members it must tell apart. Says the same in every
process: it looks at the annotation alone, not at plans that are made in one order or another."""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any

from durable_saga.codec.abstract import is_abstract
from durable_saga.codec.named import names_itself
from durable_saga.codec.natives import BARE
from durable_saga.codec.plan import tag_of
from durable_saga.codec.pydantic_models import is_model
from durable_saga.codec.variables import bound_of

_KINDS = {
    list: {"list"}, dict: {"dict"}, tuple: {"tuple"}, set: {"set"}, frozenset: {"frozenset"}, float: {"float", "int"},
    int: {"int", "bool"}, type(None): {"None"},
}  # fmt: skip


def shapes_of(annotation: Any) -> frozenset[str]:
    """Names of what may stand at its outermost level; "*" for anything."""
    origin = typing.get_origin(annotation)
    if annotation is None:
        return frozenset({"None"})
    if isinstance(annotation, typing.NewType):
        return shapes_of(annotation.__supertype__)
    if isinstance(annotation, typing.TypeVar):
        return shapes_of(bound_of(annotation))
    if origin is typing.Annotated:
        return shapes_of(typing.get_args(annotation)[0])
    if origin is typing.Union or origin is types.UnionType:
        return frozenset().union(*(shapes_of(one) for one in typing.get_args(annotation)))
    if origin is typing.Literal:
        return frozenset().union(*(shapes_of(type(one)) for one in typing.get_args(annotation)))
    kind = origin or annotation
    return _of_class(kind) if isinstance(kind, type) else frozenset({"*"})


def _of_class(kind: Any) -> frozenset[str]:
    if kind in _KINDS:
        return frozenset(_KINDS[kind])
    if kind in BARE:
        return frozenset({kind.__qualname__})
    if names_itself(kind):
        return frozenset({tag_of(kind)})
    if issubclass(kind, Enum):
        return frozenset({"enum"}).union(*(shapes_of(type(one.value)) for one in kind))
    if typing.is_typeddict(kind):
        return frozenset({"dict"})
    if issubclass(kind, tuple):
        return frozenset({"tuple"})
    if is_abstract(kind) or getattr(kind, "_is_protocol", False):
        return frozenset({"*"})
    for base in (str, int, float, bytes):
        if issubclass(kind, base):
            return shapes_of(base)
    has_fields = any(hasattr(kind, name) for name in ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__"))
    return frozenset({"dict", "record"} if has_fields or is_model(kind) else {"*"})
