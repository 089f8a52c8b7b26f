"""The calls that undo: how `on_failure()` registers one, and what a compensation is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from durable_saga import codec
from durable_saga.definition import binding
from durable_saga.definition.definition import CompensationDefinition
from durable_saga.errors import CannotUndo, DecodeError
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.commands import RunCompensation
from durable_saga.replay.definitions import stand_in
from durable_saga.replay.unwind import Entry


def attempt_of(entry: Entry) -> RunCompensation:
    """The compensation, to be started. One that was found in a history without the code, and that can't be called as it stands
    there, fails with the reason."""
    definition = entry.definition
    try:
        args, kwargs = _arguments(entry)
    except (DecodeError, TypeError) as error:
        if not entry.from_journal:
            raise
        why = CannotUndo(f"{definition.name} can't be called with what the journal holds for step {entry.name}: {error}")
        definition, args, kwargs = stand_in(definition.name, why), (), {}
    return RunCompensation(
        entry.call, definition, args, kwargs, entry.attempt, entry.not_before_ms, entry.interruptions,
        entry.failing_since_ms, entry.carried,
    )  # fmt: skip


def _arguments(entry: Entry) -> tuple[Sequence[Any], dict[str, Any]]:
    """The step's arguments by their names, defaults too; where it asks for them, its result (None: it never returned) and what
    led to the unwind."""
    args, kwargs = codec.decode_call(entry.data or b"", entry.signature)
    arguments = binding.bound(entry.signature, args, kwargs, entry.defaults)
    more: dict[str, Any] = {"result": entry.last_result()} if entry.definition.takes_result else {}
    if entry.definition.takes_error:
        more["error"] = entry.cause
        if "error" in arguments and "error" not in entry.signature.bind_partial(*args, **kwargs).arguments:
            del arguments["error"]  # of on_failure(): its default is for who calls it by hand
    return binding.call_of(entry.definition.signature, entry.signature, arguments, more=more)


def registration(
    next_call: Callable[[], str], definition: CompensationDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Entry, h.Event]:
    """What on_failure() asks for; the arguments are fixed at the call. Raises TypeError and NotSerializable."""
    signature = definition.signature
    given = signature.bind_partial(*args, **kwargs).arguments
    asked = ["result"] * definition.takes_result + ["error"] * definition.takes_error
    signature.bind(*args, **{name: None for name in asked if name not in given}, **kwargs)
    data = codec.encode_call(
        args, kwargs, where=f"compensation {definition.name}", signature=signature, function=definition.function,
    )  # fmt: skip
    entry = Entry(next_call(), definition.name, definition, data, signature)
    event = h.Event(compensation_registered=h.CompensationRegistered(call=entry.call, name=entry.name))
    event.compensation_registered.input.data = data
    if left := binding.left_open(signature, definition.defaults, args, kwargs):
        entry.defaults = codec.encode(left, where=f"defaults of {definition.name}")
        event.compensation_registered.defaults.data = entry.defaults
    return entry, event
