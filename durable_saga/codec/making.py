"""Which plan an annotation gets."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any

from durable_saga.codec import abstract, classes, containers, loose, named, natives, records, unions
from durable_saga.codec.misfit import Misfit
from durable_saga.codec.plan import Plan, made_by, plan_of
from durable_saga.codec.variables import bound_of, substituted

_ANY = (Any, object, inspect.Signature.empty, inspect.Parameter.empty)

_WRAPPERS = [typing.Annotated, typing.Required, typing.NotRequired, typing.Final, typing.ClassVar]
_WRAPPERS += [typing.ReadOnly] if hasattr(typing, "ReadOnly") else []


def fill(plan: Plan) -> None:
    """Give the plan its functions. Raises Misfit for an annotation that can't be looked up."""
    annotation = plan.annotation
    if annotation is None or annotation is type(None):
        natives.fill_none(plan)
    elif any(annotation is one for one in _ANY):
        loose.fill_any(plan)
    elif isinstance(annotation, str | typing.ForwardRef):
        raise Misfit(
            f": the annotation {annotation!r} can't be looked up: name a class of the module's top level. An alias that holds"
            " itself is written with `type` (Python 3.12 and later), or as a dataclass",
            fits=True,
        )
    elif isinstance(annotation, typing.TypeVar):
        _same_as(plan, bound_of(annotation))
    elif isinstance(annotation, typing.NewType):
        _same_as(plan, annotation.__supertype__)
    elif hasattr(annotation, "__value__") and typing.get_origin(annotation) is None:
        _same_as(plan, annotation.__value__)  # type X = …
    elif (origin := typing.get_origin(annotation)) is not None:
        _fill_generic(plan, origin, typing.get_args(annotation))
    elif isinstance(annotation, type):
        _fill_class(plan, annotation)
    else:
        loose.fill_any(plan)  # a form of typing that says nothing about the value


def _same_as(plan: Plan, annotation: Any) -> None:
    other = plan_of(annotation)
    plan.set(other.encode, other.decode, other.takes)


def _fill_generic(plan: Plan, origin: Any, arguments: tuple[Any, ...]) -> None:
    if origin is typing.Union or origin is types.UnionType:
        unions.fill_union(plan, arguments)
    elif origin in _WRAPPERS:
        _same_as(plan, arguments[0])
    elif origin is typing.Literal:
        unions.fill_literal(plan, arguments)
    elif hasattr(origin, "__value__"):
        _same_as(plan, substituted(origin.__value__, dict(zip(origin.__type_params__, arguments, strict=False))))
    elif origin in containers.KINDS:
        containers.fill(plan, origin, arguments)
    elif isinstance(origin, type) and abstract.is_abstract(origin):
        abstract.fill(plan, origin, arguments)
    elif isinstance(origin, type):
        if not records.fill(plan, origin, arguments) and not named.fill(plan, origin, arguments):
            classes.fill(plan, origin)
    else:
        loose.fill_any(plan)


def _fill_class(plan: Plan, kind: type) -> None:
    if natives.fill(plan, kind) or named.fill_converted(plan, kind):
        return
    if kind in containers.KINDS:
        containers.fill(plan, kind, ())
    elif records.fill(plan, kind, ()) or named.fill(plan, kind, ()):
        return
    elif abstract.is_abstract(kind):
        abstract.fill(plan, kind, ())
    else:
        classes.fill(plan, kind)


made_by(fill)
