"""Exceptions made again from what the journal keeps, without any code of their classes: neither `__new__` nor `__init__` runs.

A class that is known here is made as it was. If something of the exception could not be kept, the object is of a subclass
which says so where that is asked for, and whose text is the recorded one. If its class is not known here, or can't be made
(some are written in C), saga code gets StepFailed, which then is also of the nearest base classes that are.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from types import MemberDescriptorType
from typing import Any, cast

from durable_saga import codec
from durable_saga.errors import StepFailed
from durable_saga.failure_info import FailureInfo
from durable_saga.failures.kept import ENUM, FAILURE, OBJECT, PLAIN, REMADE_FROM, STR_RAISED, name_of
from durable_saga.pb import payload_pb2 as p

BASES_MAX = 10
_CONTROL = (StopIteration, StopAsyncIteration)
"""Raised in a coroutine they would mean something else."""
_LEFT_OUT = object()


class KeptObject:
    """Stands for an object that an exception held: with what the journal keeps of it."""

    def __init__(self, kind: str, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)
        self.__dict__["_durable_saga_kind"] = kind

    def __getattr__(self, name: str) -> Any:
        kind = self.__dict__.get("_durable_saga_kind", "object")
        raise AttributeError(f"{name!r} of this {kind} is not kept in the journal", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<kept of {self.__dict__['_durable_saga_kind']}>"


class _Partial:
    """Mixed into the class of an exception of which something is missing."""

    __slots__ = ()

    def __init_subclass__(cls, **_: Any) -> None:
        """Keeps that of the exception's class from running."""

    def __str__(self) -> str:
        return str(self.__dict__[REMADE_FROM].message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __getattr__(self, name: str) -> Any:
        failure = self.__dict__.get(REMADE_FROM)
        notes = "; ".join(failure.notes) if failure is not None else ""
        raise AttributeError(f"{type(self).__name__} has no {name!r} here ({notes})", name=name, obj=self)


class _StepFailed(StepFailed):
    """Mixed with base classes of an exception whose own class is not known here."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Keeps those of the base classes from running."""


def base_names(kind: type) -> list[str]:
    """The base classes by which saga code may catch it, nearest first."""
    bases = [one for one in kind.__mro__[1:] if issubclass(one, Exception) and one is not Exception]
    return [name_of(one) for one in bases[:BASES_MAX]]


def remake(failure: p.Failure, failed: StepFailed) -> Exception:
    """The exception, with `failed` as its cause; or `failed`, or one that is of more classes."""
    attributes = {name: _read(pair, failed) for name, pair in _decoded(failure.attributes, {}).items()}
    failed.details = {name: value for name, value in attributes.items() if value is not _LEFT_OUT}
    args = [_read(pair, failed) for pair in _decoded(failure.args, [])]
    if not args and failure.message:
        args = [failure.message]
    kind = _resolve(failure.type)
    if kind is not None and not issubclass(kind, _CONTROL):
        missing = STR_RAISED in failure.notes or any(
            value is _LEFT_OUT or isinstance(value, KeptObject) for value in (*args, *attributes.values())
        )
        made_as: type | None = _partial(cast(type, kind)) if missing else kind
        error = _made(made_as, args, failure, failed)
        if error is not None and not missing and _has_no_text(error):
            missing, error = True, _made(_partial(cast(type, kind)), args, failure, failed)
        if error is not None:
            if missing:
                _dict(error)[REMADE_FROM] = failure
            error.__cause__ = failed
            return error
    return _of_its_bases(failure, failed)


def details_of(failure: p.Failure) -> dict[str, Any]:
    """The plain values that the exception held, by their names."""
    pairs = _decoded(failure.attributes, {})
    return {
        name: pair[1] for name, pair in pairs.items() if isinstance(pair, list | tuple) and len(pair) > 1 and pair[0] == PLAIN
    }


def failure_info(failure: p.Failure) -> FailureInfo:
    """Never raises: what can't be read is left out."""
    return FailureInfo(
        type=failure.type,
        message=failure.message,
        code=failure.code,
        details=details_of(failure),
        traceback=failure.traceback,
        cause=failure_info(failure.cause) if failure.HasField("cause") else None,
        members=[failure_info(one) for one in failure.members],
        notes=list(failure.notes),
        not_applied=failure.not_applied,
    )


def step_failed(failure: p.Failure, *, step: str, call: str) -> StepFailed:
    """For saga code, with the recorded failure for us."""
    failed = StepFailed(failure.message, failure=failure_info(failure), step=step, call=call)
    failed._recorded = failure
    return failed


def _has_no_text(error: Exception) -> bool:
    """Its own `__str__` does not go with what is kept: an object that was turned into plain values, say."""
    try:
        str(error)
    except Exception:
        return True
    return False


def _of_its_bases(failure: p.Failure, failed: StepFailed) -> StepFailed:
    bases: list[type] = []
    for name in failure.bases:
        base = _resolve(name)
        if base is not None and not issubclass(base, (*_CONTROL, StepFailed)) and not any(issubclass(b, base) for b in bases):
            bases.append(base)
    for some in (tuple(bases), tuple(bases[:1])):
        if some and (kind := _mixed(some)) is not None:
            error = _made(kind, [failure.message], failure, failed)
            if isinstance(error, StepFailed):
                _dict(error).update(vars(failed))
                return error
    return failed


def _made(kind: type | None, args: list[Any], failure: p.Failure, failed: StepFailed) -> Exception | None:
    """An object of the class; None when that can't be without its own code."""
    if kind is None:
        return None
    args = [failure.message if value is _LEFT_OUT or isinstance(value, KeptObject) else value for value in args]
    members = [remake(one, step_failed(one, step=failed.step, call=failed.call)) for one in failure.members]
    try:
        error = _new(kind, args, members)
    except Exception:
        return None
    for name, value in failed.details.items():
        _set(error, name, value)
    if failure.code and _has_no_code(error):
        _set(error, "code", failure.code)
    return error


def _new(kind: type, args: list[Any], members: Sequence[Exception]) -> Exception:
    """By the nearest class of Python's own."""
    builtin: Any = next(one for one in kind.__mro__ if getattr(builtins, one.__name__, None) is one)
    if issubclass(builtin, BaseExceptionGroup):
        return builtin.__new__(kind, args[0], members)  # type: ignore[no-any-return]
    error = builtin.__new__(kind)
    try:
        builtin.__init__(error, *args)
    except Exception:
        pass  # its class takes other arguments than Python's own; its attributes are set below
    BaseException.args.__set__(error, tuple(args))  # type: ignore[attr-defined]
    if not isinstance(error, Exception):
        raise TypeError(f"{kind} makes {type(error)}")
    return error


def _set(error: Exception, name: str, value: Any) -> None:
    for kind in type(error).__mro__:
        found = kind.__dict__.get(name)
        if type(found) is MemberDescriptorType:
            try:
                found.__set__(error, value)
            except (AttributeError, TypeError):
                pass  # read-only: it was set by the arguments
            return
    _dict(error)[name] = value


def _has_no_code(error: Exception) -> bool:
    if "code" in _dict(error):
        return False
    found = next((kind.__dict__["code"] for kind in type(error).__mro__ if "code" in kind.__dict__), None)
    return found is None or found == ""


def _dict(error: Exception) -> dict[str, Any]:
    return object.__getattribute__(error, "__dict__")  # type: ignore[no-any-return]


# --- classes -------------------------------------------------------------------------------------------------------------


def _resolve(name: str) -> type[Exception] | None:
    found = _named(name)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _named(name: str) -> Any:
    """What has that name in a module that is loaded; None: nothing."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:cut]))
        for part in parts[cut:] if found is not None else ():
            found = vars(found).get(part) if hasattr(found, "__dict__") else None
        if isinstance(found, type):
            return found
    return None


@lru_cache(maxsize=256)
def _partial(kind: type) -> type | None:  # a class is hashed by what it is, whatever its objects say
    return _class(kind.__name__, (_Partial, kind), kind)


@lru_cache(maxsize=256)
def _mixed(bases: tuple[type, ...]) -> type | None:
    return _class("StepFailed", (_StepFailed, *bases), StepFailed)


def _class(name: str, bases: tuple[type, ...], like: type) -> type | None:
    """None: these bases don't go together, or a metaclass of theirs objects."""
    try:
        return type(name, bases, {"__module__": like.__module__, "__qualname__": like.__qualname__})
    except Exception:
        return None


# --- values --------------------------------------------------------------------------------------------------------------


def _decoded(data: bytes, otherwise: Any) -> Any:
    if not data:
        return otherwise
    try:
        found = codec.decode(data)
    except Exception:
        return otherwise  # written by a newer version: the rest of the failure is as good as before
    return found if isinstance(found, type(otherwise)) else otherwise


def _members(rest: list[Any]) -> dict[str, Any]:
    """Of enums, by the name of the field; those that are known here."""
    found = {}
    for name, (kind_name, member) in (rest[0] if rest else {}).items():
        kind = _named(kind_name)
        if isinstance(kind, type) and issubclass(kind, Enum) and member in kind.__members__:
            found[name] = kind.__members__[member]
    return found


def _read(pair: Any, failed: StepFailed) -> Any:
    try:
        tag, *rest = pair
        if tag == PLAIN:
            return rest[0]
        if tag == ENUM:
            kind = _named(rest[0])
            return kind.__members__[rest[1]] if isinstance(kind, type) and issubclass(kind, Enum) else _LEFT_OUT
        if tag == FAILURE:
            inner = p.Failure.FromString(rest[0])
            return remake(inner, step_failed(inner, step=failed.step, call=failed.call))
        if tag == OBJECT:
            return KeptObject(rest[0], rest[1] | _members(rest[2:]))
    except Exception:
        return _LEFT_OUT  # an enum that has lost a member, or a newer version's way
    return _LEFT_OUT
