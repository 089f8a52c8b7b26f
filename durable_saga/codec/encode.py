"""Values to bytes, each by the plan of its annotation."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from durable_saga.codec import loose
from durable_saga.codec.calls import call_plan_of, name_of_place
from durable_saga.codec.exact import marked
from durable_saga.codec.misfit import DEPTH_MAX, VALUES_MAX, Misfit, name_of
from durable_saga.codec.natives import AS_THEY_ARE
from durable_saga.codec.plan import plan_of
from durable_saga.codec.wire import INT_MAX, INT_MIN, check_values, pack
from durable_saga.errors import DurableSagaError, LimitExceeded, NotSerializable, WrongType
from durable_saga.pb.payloads import PAYLOAD_BYTES_MAX

UNKNOWN: Any = object()
"""Nobody here knows what the value is read as: a message, a start by name."""


def encode(value: Any, *, where: str, annotation: Any = UNKNOWN, function: Callable[..., Any] | None = None) -> bytes:
    """Raises NotSerializable, with the type and the path to it, WrongType for what the annotation does not say, and
    LimitExceeded above PAYLOAD_BYTES_MAX. `function` is where a warning points, if a class would be lost for want of an
    annotation."""
    kind = type(value)
    is_plain = kind in AS_THEY_ARE or (kind is int and INT_MIN <= value <= INT_MAX)
    if is_plain and (annotation is kind or annotation is UNKNOWN or annotation is Any):
        return _bounded(value, where)
    try:
        data = _bounded((loose.encode if annotation is UNKNOWN else plan_of(annotation).encode)(value, 0), where)
    except Misfit as misfit:
        loose.noticed.clear()
        raise _error_of(misfit, where) from misfit.__cause__
    except RecursionError:
        loose.noticed.clear()
        raise _too_deep(where) from None
    except UnicodeEncodeError as error:  # in a value that is written as a text, such as a path
        loose.noticed.clear()
        raise NotSerializable(f"{where} can't be journaled: {error}") from error
    if loose.noticed:
        _warn(where, annotation, function)
    return data


def encode_call(
    args: Sequence[Any], kwargs: Mapping[str, Any], *, where: str, signature: inspect.Signature | None = None,
    function: Callable[..., Any] | None = None,
) -> bytes:  # fmt: skip
    """The arguments of a call: [args, kwargs], by the annotations of the signature. Raises as encode() does."""
    given: list[Any] = []
    named: dict[str, Any] = {}
    name = ""
    try:
        if signature is None:
            for one in args:
                given.append(loose.encode(one, 0))
            for name, one in kwargs.items():
                named[name] = loose.encode(one, 0)
        else:
            call = call_plan_of(signature)
            if call.result_misfit is not None:
                raise NotSerializable(f"{where}: its result{call.result_misfit}")
            for one, encode_one in zip(args, call.encoders):  # noqa: B905  as many as are given
                given.append(encode_one(one, 0))
            if len(given) < len(args):
                for one in args[len(given) :]:
                    given.append(call.rest.encode(one, 0))
            for name, one in kwargs.items():
                named[name] = call.named(name).encode(one, 0)
    except Misfit as misfit:
        loose.noticed.clear()
        if not name:
            name = str(len(given)) if signature is None else name_of_place(signature, len(given))
        raise _error_of(misfit, f"{where}: argument {name}") from misfit.__cause__
    except RecursionError:
        loose.noticed.clear()
        raise _too_deep(where) from None
    except UnicodeEncodeError as error:  # in a value that is written as a text, such as a path
        loose.noticed.clear()
        raise NotSerializable(f"{where} can't be journaled: {error}") from error
    data = _bounded([given, named], where)
    if loose.noticed:
        _warn(where, UNKNOWN if signature is None else Any, function)
    return data


def encode_message(args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, *, where: str) -> bytes:
    """The arguments of a message, or of a start by name, whose sender does not know what they are read as: of each class its
    name, so that a reader's union finds the member that was sent. Raises as encode() does."""
    return marked(encode_call(args, kwargs or {}, where=where))


def _bounded(plain: Any, where: str) -> bytes:
    try:
        data = pack(plain)
    except UnicodeEncodeError as error:  # a text with half a character
        raise NotSerializable(f"{where}{_place_of_text(plain, error.object)} can't be journaled: {error}") from error
    except (ValueError, TypeError, OverflowError) as error:  # an object of 4 GiB
        raise NotSerializable(f"{where} can't be journaled: {error}") from error
    if len(data) > PAYLOAD_BYTES_MAX:
        raise LimitExceeded(
            "PAYLOAD_BYTES_MAX", PAYLOAD_BYTES_MAX, f"{where} has {len(data)} bytes: keep the value elsewhere and pass its key"
        )
    if len(data) > VALUES_MAX and not check_values(data):
        raise LimitExceeded("VALUES_MAX", VALUES_MAX, f"{where} has more values: keep them elsewhere and pass a key")
    return data


def _place_of_text(plain: Any, text: str) -> str:
    """The way to this very text, "" where it can't be told."""
    items = plain.items() if type(plain) is dict else enumerate(plain) if type(plain) is list else ()
    for key, item in items:
        if item == text and type(item) is str:
            return f"[{key!r}]"
        if found := _place_of_text(item, text):
            return f"[{key!r}]{found}"
    return ""


def _error_of(misfit: Misfit, where: str) -> DurableSagaError:
    return (NotSerializable if misfit.fits else WrongType)(f"{where}{misfit}")


def _too_deep(where: str) -> NotSerializable:
    return NotSerializable(f"{where}: nested deeper than {DEPTH_MAX} levels (does it contain itself?)")


def _warn(where: str, annotation: Any, function: Callable[..., Any] | None) -> None:
    kinds, loose.noticed[:] = [*dict.fromkeys(loose.noticed)], []
    if annotation is UNKNOWN or function is None:
        return
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None:
        for kind in kinds:
            _warn_once(where, name_of(kind), code.co_filename, code.co_firstlineno)


@functools.lru_cache(maxsize=4_096)
def _warn_once(where: str, kind: str, file: str, line: int) -> None:
    warnings.warn_explicit(
        f"{where}: a {kind} is given where no annotation names it, so it would be read as plain data: annotate the parameter",
        UserWarning, file, line,
    )  # fmt: skip
