"""What a function must be to be declared as a step, saga, compensation or handler of a signal. What is not is refused where it
is written, with file and line, and what to do instead. Nothing here runs code of the user; every refusal is a TypeError.

- It has a name, which the journal holds: a lambda needs `name=`, and so does a `functools.partial`.
- It is no method: a journal holds no instance.
- None of its defaults can be changed: it would be shared by all sagas of one process, and be another one in the next.
- No parameter of a saga has the name of an option of `client.start()`.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from durable_saga.definition.binding import plain_signature
from durable_saga.definition.definition import place_of
from durable_saga.pb.limits import is_whole

START_OPTIONS = ("id", "timeout")
"""Of `Client.start()`, by keyword."""
DEPTH_MAX = 10
_INSTANCE = ("self", "cls")
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_function(function: Any, name: str | None, what: str, signature: inspect.Signature | None = None) -> str:
    """Its name: the one that is given, or its own. Raises TypeError; `what` is "@step" or the like. `signature`: where it is
    known already."""
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise TypeError(
            f"{place_of(function.__func__)}: {what} above @{kind}: declare a function of the module"
            + (", or put @staticmethod above" if kind == "staticmethod" else "")
        )
    if not callable(function):
        raise TypeError(f"{what} is for a function, not for {function!r}")
    found = name or getattr(function, "__name__", "")
    if not found or found == "<lambda>":
        raise TypeError(
            f"{place_of(function)}: {what} needs a name for the journal, and {_kind(function)} has none: write `def`, or give"
            " name="
        )
    if not is_whole(str(found)):
        raise TypeError(f"{place_of(function)}: {what} is named {found!a}, which holds half a character (a lone surrogate)")
    parameters = (signature or plain_signature(function)).parameters.values()
    if (first := next(iter(parameters), None)) is not None and first.name in _INSTANCE and _is_in_class(function):
        raise TypeError(
            f"{place_of(function)}: {what} on the method {function.__qualname__}: a journal holds no {first.name}. Write a"
            " function of the module that takes what it needs as arguments; or, of an instance that lives as the module does,"
            f" `{found} = {what.strip('@()')}(that_instance.{found})`; or a table, a class of Saga with steps as methods"
        )
    for one in parameters:
        if one.default is not one.empty and _can_change(one.default):
            raise TypeError(
                f"{place_of(function)}: the default of {one.name} of {found} is {_short(one.default)}, which can be changed:"
                " all calls of this process would share it, and those of another one would not. Use None and make one in the"
                " function, or a value that stays as it is, such as a tuple"
            )
    return str(found)


def _can_change(value: Any, depth: int = DEPTH_MAX) -> bool:
    """A list, a dict and the like, also within a tuple or a frozen dataclass; a dataclass that is not frozen."""
    kind = type(value)
    if kind.__hash__ is None:
        return True
    inner: list[Any] = []
    if isinstance(value, tuple):
        inner = list(tuple.__iter__(value))
    elif (parameters := getattr(kind, "__dataclass_params__", None)) is not None:
        if not parameters.frozen:
            return True
        inner = [object.__getattribute__(value, one.name) for one in dataclasses.fields(value) if one.init]
    return depth > 0 and any(_can_change(one, depth - 1) for one in inner)


def check_start_options(function: Callable[..., Any]) -> None:
    """Raises TypeError."""
    for one in plain_signature(function).parameters.values():
        if one.name in START_OPTIONS and one.kind not in (*_OPEN, one.POSITIONAL_ONLY):
            raise TypeError(
                f"{place_of(function)}: saga {function.__name__} has a parameter {one.name}, which is an option of"
                f" client.start(): rename it, to order_{one.name} for example, or make it positional-only (`{one.name}, /`)"
            )


def _is_in_class(function: Any) -> bool:
    """Its definition stands in the body of a class; a method that is bound to its instance has one already."""
    around = str(getattr(function, "__qualname__", "")).rpartition(".")[0]
    return not inspect.ismethod(function) and bool(around) and not around.endswith("<locals>")


def _kind(function: Any) -> str:
    return "a lambda" if getattr(function, "__name__", "") == "<lambda>" else f"an object of {type(function).__name__}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
