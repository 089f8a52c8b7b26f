"""Exceptions as values, and back: what a failed attempt leaves in the journal, and what saga code gets from it.

`failure_from_exception` takes an exception apart. It never raises, whatever the exception's class does, and what it keeps
is bounded: FAILURE_BYTES_MAX for all of it, FAILURES_MAX exceptions in its causes and groups. What can't be kept is
named in `notes`. `rebuild_exception` makes an exception of that again, from the journaled failure alone and without any
code of the exception's class; it never raises either.
"""

from __future__ import annotations

import inspect
import traceback
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from durable_saga.errors import NotApplied, StepFailed
from durable_saga.failures.kept import STR_RAISED, Keeper, cleaned, name_of
from durable_saga.failures.remade import base_names, remake, step_failed
from durable_saga.pb import payload_pb2 as p
from durable_saga.redaction import redacted

FAILURE_DEPTH_MAX = 8
FAILURES_MAX = 50
FAILURE_BYTES_MAX = 64 * 1024
TRACEBACK_CHARACTERS_MAX = 8_000
TRACEBACK_FRAMES_MAX = 50
MESSAGE_CHARACTERS_MAX = 4_000
CODE_CHARACTERS_MAX = 200
_OURS = ("durable_saga.", "durable_saga_server.", "asyncio.", "concurrent.futures", "importlib.")
_SMALL = frozenset({int, float, bool, type(None)})


def failure_from_exception(error: BaseException) -> p.Failure:
    """An exception as a value: qualified type, message, code, the user's frames, its attributes and arguments, the members of a
    group, and the chain of causes. Never raises."""
    return _Taking().take(error, 0)


class _Taking:
    """Takes one exception apart, with those that hang on it, within the bounds of one failure."""

    def __init__(self) -> None:
        self._failures = FAILURES_MAX
        self._bytes = FAILURE_BYTES_MAX

    def take(self, error: BaseException, depth: int) -> p.Failure:
        kind = type(error)
        self._failures -= 1
        failure = p.Failure(
            type=name_of(kind),
            message=message if (message := _message(error)) is not None else _without_str(error),
            code=_code(error),
            not_applied=issubclass(kind, NotApplied),
        )
        if message is None:
            failure.notes.append(STR_RAISED)
        self._bytes -= failure.ByteSize()
        failure.traceback = _tried(lambda: _user_traceback(error), "")[-max(self._bytes, 0) :]
        self._bytes -= len(failure.traceback)
        failure.bases.extend(_tried(lambda: base_names(kind), []))
        keeper = Keeper(self._bytes, lambda inner: self._inner(inner, depth))
        failure.args, failure.attributes = keeper.args(error), keeper.attributes(error)
        self._bytes = keeper.bytes_left
        failure.notes.extend(keeper.notes)
        self._members(failure, error, depth)
        self._cause(failure, error, depth)
        return failure

    def _inner(self, error: BaseException, depth: int) -> p.Failure | None:
        """None: one too many, or too deep."""
        if depth >= FAILURE_DEPTH_MAX or self._failures <= 0:
            return None
        return self.take(error, depth + 1)

    def _members(self, failure: p.Failure, error: BaseException, depth: int) -> None:
        if not issubclass(type(error), BaseExceptionGroup):
            return
        members = _tried(lambda: _MEMBERS(error), ())
        for place, member in enumerate(members):
            inner = self._inner(member, depth)
            if inner is None:
                failure.notes.append(f"{len(members) - place} of its {len(members)} members are not kept")
                return
            failure.members.append(inner)

    def _cause(self, failure: p.Failure, error: BaseException, depth: int) -> None:
        cause = _CAUSE(error)
        if cause is None and not _SUPPRESSED(error):
            cause = _CONTEXT(error)
        recorded = cause._recorded if isinstance(cause, StepFailed) else None
        if recorded is not None and recorded.type == failure.type:
            if not failure.traceback or recorded.traceback:
                failure.traceback = (recorded.traceback + failure.traceback)[-TRACEBACK_CHARACTERS_MAX:]
            cause = None
        if cause is None and isinstance(error, StepFailed) and error._recorded is not None:
            failure.cause.CopyFrom(error._recorded)  # what the step raised
        if cause is not None and (inner := self._inner(cause, depth)) is not None:
            failure.cause.CopyFrom(inner)


_CAUSE: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__cause__"].__get__
_CONTEXT: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__context__"].__get__
_SUPPRESSED: Callable[[BaseException], bool] = BaseException.__dict__["__suppress_context__"].__get__
_MEMBERS: Callable[[BaseException], tuple[BaseException, ...]] = BaseExceptionGroup.__dict__["exceptions"].__get__


def _tried(make: Callable[[], Any], otherwise: Any) -> Any:
    """What `make` gives. It may run code of an exception's class, which may raise anything."""
    try:
        return make()
    except BaseException:  # also SystemExit and the like: the exception that is told is another one
        return otherwise


def _message(error: BaseException) -> str | None:
    """None: its class can't say."""
    args = _args(error)
    if type(error).__str__ is BaseException.__str__ and len(args) == 1 and type(args[0]) is str:
        return cleaned(redacted(args[0]), MESSAGE_CHARACTERS_MAX)
    text = _tried(lambda: str(error), None)
    return cleaned(redacted(str.__str__(text)), MESSAGE_CHARACTERS_MAX) if isinstance(text, str) else None


def _without_str(error: BaseException) -> str:
    """What its arguments tell."""
    args = [arg for arg in _args(error) if type(arg) in (*_SMALL, str)]
    return ", ".join(
        cleaned(redacted(str.__str__(arg)), 200) if isinstance(arg, str) else _tried(partial(str, arg), "") for arg in args
    )


def _args(error: BaseException) -> tuple[Any, ...]:
    return BaseException.args.__get__(error)  # type: ignore[attr-defined,no-any-return]


def _code(error: BaseException) -> str:
    return _tried(lambda: _code_of(error), "")  # type: ignore[no-any-return]


def _code_of(error: BaseException) -> str:
    code: Any = getattr(error, "code", None)
    if callable(code):
        code = code()
        if inspect.iscoroutine(code):
            code.close()
            return ""
    if isinstance(code, Enum) and not isinstance(code, int | str):
        code = code.name
    return cleaned(redacted(str.__str__(str(code))), CODE_CHARACTERS_MAX) if code else ""


def _user_traceback(error: BaseException) -> str:
    """The user's last frames, as Python prints them; how many of ours were between is said after."""
    rows: deque[traceback.FrameSummary] = deque(maxlen=TRACEBACK_FRAMES_MAX)
    ours = 0
    for frame, line in traceback.walk_tb(error.__traceback__):
        if f"{frame.f_globals.get('__name__', '')}.".startswith(_OURS):
            ours += 1
        else:
            code = frame.f_code
            rows.append(traceback.FrameSummary(code.co_filename, line, code.co_qualname, lookup_line=False))
    text = cleaned(redacted("".join(traceback.StackSummary.from_list(list(rows)).format())))
    return text[-TRACEBACK_CHARACTERS_MAX:] + (f"  ({ours} frames of the engine)\n" if ours and rows else "")


def rebuild_exception(failure: p.Failure, *, step: str, call: str) -> Exception:
    """What saga code gets for a failed step: the step's own class where this process knows it and it can be made without its
    code, with StepFailed as its cause; else StepFailed, which is also of the nearest base classes that are known. Never
    raises."""
    failed = step_failed(failure, step=step, call=call)
    try:
        return remake(failure, failed)
    except Exception:  # a class that can't even be looked at
        return failed
