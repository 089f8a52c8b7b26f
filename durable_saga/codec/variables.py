"""Type variables: what they stand for in one use of a generic type."""

from __future__ import annotations

import functools
import operator
import typing
from collections.abc import Mapping
from typing import Any


def bound_of(variable: Any) -> Any:
    """What a variable that nothing was put in for stands for."""
    default = getattr(variable, "__default__", None)
    if default is not None and default is not getattr(typing, "NoDefault", None):
        return default
    if variable.__bound__ is not None:
        return variable.__bound__
    return functools.reduce(operator.or_, variable.__constraints__) if variable.__constraints__ else Any


def substituted(annotation: Any, given: Mapping[Any, Any]) -> Any:
    """The annotation with these put in for its variables."""
    if isinstance(annotation, typing.TypeVar):
        return given.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not given or not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(given.get(one, one) for one in parameters)]


def given_to(kind: type, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """What each variable stands for in the fields of a generic class, those of its bases included."""
    found = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
    for base in getattr(kind, "__orig_bases__", ()):
        origin = typing.get_origin(base)
        if isinstance(origin, type) and origin is not typing.Generic:
            inner = tuple(substituted(one, found) for one in typing.get_args(base))
            found = {**given_to(origin, inner), **found}
    return found


def specialised(kind: Any, base: Any) -> Any:
    """A generic class with what `base`, an annotation of a class above it, says of its variables."""
    parameters, above = getattr(kind, "__parameters__", ()), typing.get_origin(base)
    if not parameters or above is None:
        return kind
    inherited, found = given_to(kind, parameters), {}
    for variable, argument in zip(above.__parameters__, typing.get_args(base), strict=False):
        if (own := inherited.get(variable)) in parameters:
            found[own] = argument
    return kind[tuple(found.get(one, Any) for one in parameters)]
