"""Which parameters get which arguments: by name, for a compensation, those to which its step's were bound, defaults too.

A default that the call left open counts as it was at the call: it is journaled beside the arguments, so that a later deploy
with another default undoes what was done. What can't be journaled, or is larger than DEFAULT_BYTES_MAX, and what an older
journal does not hold, is the default of today. Pure.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

from durable_saga import codec
from durable_saga.errors import DecodeError, DurableSagaError

DEFAULT_BYTES_MAX = 1024
_NO_MORE: Mapping[str, Any] = {}
_PLACED = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_OPEN = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def journaled_defaults(signature: Signature) -> dict[str, Any]:
    """The defaults that come back from a journal as they are."""
    return {
        one.name: one.default
        for one in signature.parameters.values()
        if one.default is not Parameter.empty and _survives(one.default, one.annotation)
    }


def _survives(value: Any, annotation: Any) -> bool:
    try:
        data = codec.encode(value, where="default")
        again = codec.decode(data, annotation, where="default")
        return len(data) <= DEFAULT_BYTES_MAX and type(again) is type(value) and bool(again == value)
    except (DurableSagaError, TypeError, ValueError):
        return False  # it can't be journaled, or compared: then the default of the day counts


def left_open(
    signature: Signature, defaults: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Those of the defaults that the call does not give."""
    given = {one.name for place, one in enumerate(signature.parameters.values()) if place < len(args) and one.kind in _PLACED}
    return {name: value for name, value in defaults.items() if name not in given and name not in kwargs}


def bound(
    signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], defaults: bytes | None = None
) -> dict[str, Any]:
    """Each parameter with its argument, in the order of the signature: what the call gave, then what it left open as the
    journal holds it, then the default of today. Raises DecodeError."""
    given = signature.bind_partial(*args, **kwargs).arguments
    kept = _decoded(signature, defaults)
    found: dict[str, Any] = {}
    for name, one in signature.parameters.items():
        if name in given:
            found[name] = given[name]
        elif name in kept:
            found[name] = kept[name]
        elif one.default is not Parameter.empty:
            found[name] = one.default
    return found


def _decoded(signature: Signature, defaults: bytes | None) -> dict[str, Any]:
    if not defaults:
        return {}
    raw = codec.decode(defaults, where="defaults")
    if not isinstance(raw, dict):
        raise DecodeError("defaults: not a mapping of names")
    return {
        name: codec.decode(codec.encode(value, where=name), signature.parameters[name].annotation, where=f"default of {name}")
        for name, value in raw.items()
        if name in signature.parameters
    }


def with_defaults_of(
    signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], defaults: bytes
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The same call, for an attempt after a deploy that changed a default which it left open."""
    kept = _decoded(signature, defaults)
    if all(signature.parameters[name].default == value for name, value in kept.items()):
        return args, kwargs
    return call_of(signature, signature, bound(signature, args, kwargs, defaults))


def call_of(
    undo: Signature, of: Signature, arguments: Mapping[str, Any], *, more: Mapping[str, Any] = _NO_MORE
) -> tuple[list[Any], dict[str, Any]]:
    """How to call a function of signature `undo` with the bound arguments of one of signature `of`, by their names; what it
    does not name goes to its `*args` and `**kwargs`. `more` goes to the parameters of those names. Raises
    TypeError when it can't be called so."""
    left, args, named = dict(arguments), list[Any](), dict[str, Any]()
    spread = any(one.kind is Parameter.VAR_POSITIONAL for one in undo.parameters.values())
    unnamed = [one for one in of.parameters.values() if one.kind in _PLACED and one.name in left and not _names(undo, one.name)]
    in_place = True
    for one in undo.parameters.values():
        if one.kind is Parameter.VAR_POSITIONAL:
            args += [left.pop(other.name) for other in unnamed]
            args += [value for rest in _open_values(of, left, Parameter.VAR_POSITIONAL) for value in rest]
        elif one.kind is Parameter.VAR_KEYWORD:
            for given in _open_values(of, left, Parameter.VAR_KEYWORD):
                named |= given
            named |= {name: value for name, value in more.items() if not _names(undo, name)}
            named |= {name: left.pop(name) for name in list(left) if of.parameters[name].kind not in _OPEN}
        else:
            if one.name in left:
                value = left.pop(one.name)
            elif one.name in more:
                value = more[one.name]
                in_place = in_place and (spread or one.kind is Parameter.POSITIONAL_ONLY)
            elif spread and unnamed and one.kind in _PLACED:
                value = left.pop(unnamed.pop(0).name)
            elif one.default is not Parameter.empty:
                value, in_place = one.default, in_place and spread
                if not spread:
                    continue
            else:
                raise TypeError(f"missing a required argument: {one.name!r}")
            if one.kind is Parameter.POSITIONAL_ONLY or (one.kind in _PLACED and in_place):
                args.append(value)
            else:
                named[one.name] = value
    if missed := [name for name in left if of.parameters[name].kind not in _OPEN or left[name]]:
        raise TypeError(f"it does not take {', '.join(missed)}")
    return args, named


def _names(signature: Signature, name: str) -> bool:
    return name in signature.parameters and signature.parameters[name].kind not in _OPEN


def _open_values(of: Signature, left: dict[str, Any], kind: Any) -> list[Any]:
    """Takes what the step's own `*args` or `**kwargs` got."""
    return [left.pop(one.name) for one in of.parameters.values() if one.kind is kind and one.name in left]


def check_call(undo: Signature, of: Signature, more: Sequence[str]) -> None:
    """Raises TypeError when what undoes a step can't be called with whatever the step may get."""
    filled: dict[str, Any] = {}
    for one in of.parameters.values():
        filled[one.name] = (None,) if one.kind is Parameter.VAR_POSITIONAL else {"…": None}
        if one.kind not in _OPEN:
            filled[one.name] = None
    args, named = call_of(undo, of, filled, more=dict.fromkeys(more))
    undo.bind(*args, **named)


def table_call(signature: Signature, context: Any, name: str, value: Any) -> tuple[list[Any], dict[str, Any]]:
    """How to call a function of a table: with the context, and with the value where it has a second place, a parameter of that
    name, or room for any. Raises TypeError when it can't be called so."""
    kinds = [one.kind for one in signature.parameters.values()]
    own = signature.parameters.get(name)
    args, named = [context], dict[str, Any]()
    if sum(kind in _PLACED for kind in kinds) > 1 or Parameter.VAR_POSITIONAL in kinds:
        args.append(value)
    elif (own is not None and own.kind is Parameter.KEYWORD_ONLY) or Parameter.VAR_KEYWORD in kinds:
        named[name] = value
    signature.bind(*args, **named)
    return args, named


def undo_call(signature: Signature, context: Any, result: Any, error: Any) -> tuple[list[Any], dict[str, Any]]:
    """The same for a compensation of a table, whose parameter `error`, if it has one, gets what led to the unwind."""
    own = signature.parameters.get("error")
    if own is None or own.kind in _OPEN or next(iter(signature.parameters)) == "error":
        return table_call(signature, context, "result", result)
    others = signature.replace(parameters=[one for one in signature.parameters.values() if one is not own])
    args, named = table_call(others, context, "result", result)
    whole = inspect.BoundArguments(signature, OrderedDict(others.bind(*args, **named).arguments, error=error))
    return list(whole.args), whole.kwargs


def plain_signature(function: Any) -> Signature:
    """Without a look at the annotations. Raises TypeError for a function that does not tell it."""
    try:
        return inspect.signature(function)
    except ValueError as error:
        raise TypeError(f"{function!r} does not show its parameters: wrap it in a function of your own") from error
