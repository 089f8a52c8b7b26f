"""A query over the history of a run: the code is replayed up to what is committed, then the query looks at that.

Nothing is run, and nothing is changed: the replay is thrown away. Where the code does not fit the history, the query sees what
the history holds all the same: the state as of the last commit; a note then says so. Runs in a thread; raises nothing.
"""

from __future__ import annotations

import contextvars
import difflib
import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition, signature_of
from durable_saga.errors import DecodeError, InvalidArgument, NotAnswered, UnsupportedOperation, WrongType
from durable_saga.failures.failures import failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import Core
from durable_saga.replay.definitions import NOTHING_KNOWN, Definitions
from durable_saga.replay.guard import guarded
from durable_saga.replay.standing import LOOKS
from durable_saga.watchdog import DISCARD_SECONDS_MAX, ActivationTooLong, watch_here

NOTE_CHARACTERS_MAX = 2_000
_BEGINS_ANEW = ("saga_started", "recover_requested")
"""Facts after which the code does something for the first time, if they stand last."""


@dataclass(frozen=True, slots=True)
class Question:
    """`args`: as bytes, of a call. `definitions`: for a run that is undone without its code."""

    definition: SagaDefinition
    name: str
    args: bytes
    definitions: Definitions = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class Answer:
    """`error`: what the query raised, or why there is no answer (`is_of_query` tells which). `note`: what is to be known of the
    answer. `wants_all`: it may be another one once all large values of the history are there."""

    value: Any = None
    error: BaseException | None = None
    is_of_query: bool = False
    note: str = ""
    wants_all: bool = False


def query_of(definition: SagaDefinition, name: str) -> Any:
    """The function. Raises InvalidArgument."""
    if (function := definition.queries.get(name)) is not None:
        return function
    known = sorted(definition.queries)
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'none'}"
    raise InvalidArgument(f"saga {definition.name!r} has no query {name!r}: {hint}")


def encoded_args(function: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bytes:
    """`function` None: it is not known here. Raises InvalidArgument for what the query can't take, and NotSerializable."""
    if function is None:
        return codec.encode_message(args, kwargs, where=f"query {name}")
    try:
        signature = signature_of(function)
        signature.bind(*args, **kwargs)
        data = codec.encode_call(args, kwargs, where=f"query {name}", signature=signature, function=function)
    except (WrongType, TypeError) as error:
        raise InvalidArgument(f"the query {name!r} can't take this: {error}") from error
    decoded_args(function, name, data)
    return data


def decoded_args(function: Any, name: str, data: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Raises InvalidArgument."""
    try:
        signature = signature_of(function)
        args, kwargs = codec.decode_call(data, signature)
        signature.bind(*args, **kwargs)
    except (DecodeError, TypeError) as error:
        raise InvalidArgument(f"the query {name!r} can't take this: {error}") from error
    return args, kwargs


def look(question: Question, key: h.RunKey, events: Sequence[h.Event], seconds: float) -> Answer:
    """In the thread of its own that has `seconds` for it."""
    until = time.monotonic() + seconds
    try:
        function = query_of(question.definition, question.name)
        args, kwargs = decoded_args(function, question.name, question.args)
        if (found := events[0].saga_started.saga_type) != question.definition.name:
            raise InvalidArgument(
                f"saga {key.saga!r} is of type {found!r}, and this is a query of {question.definition.name!r}"
            )
    except Exception as error:
        return Answer(error=error)
    core, watch = Core(question.definition, key, definitions=question.definitions), watch_here()
    changes = _changes(events)
    try:
        note = _replayed(core, events, max(until - time.monotonic(), 0.01))
        wants_all = bool(note) or core.state.lacks(changes)
        core.state.keep_committed(changes)

        def ask() -> Any:
            with guarded(core), core.loop.entered(), core.standing.asking(LOOKS):
                return _plain(function(*args, **kwargs), question.name)

        try:
            value = watch.call(max(until - time.monotonic(), 0.01), contextvars.Context().run, ask)
        except ActivationTooLong as error:
            return Answer(error=NotAnswered(f"the query {question.name!r} took too long: {error}"))
        except BaseException as error:  # whatever it is, it is the query's: this thread is its own, and nobody cancels it
            return Answer(error=error, is_of_query=True, note=note, wants_all=wants_all)
        return Answer(value, note=note, wants_all=wants_all)
    except NotAnswered as error:
        return Answer(error=error)
    finally:
        try:
            watch.call(DISCARD_SECONDS_MAX, core.discard)
        except ActivationTooLong:
            core.loop.give_up()


def _replayed(core: Core, events: Sequence[h.Event], seconds: float) -> str:
    """Why the code does not fit the history, empty: it does. Raises NotAnswered when it takes too long."""
    last, started_ms = events[-1].WhichOneof("kind"), events[0].time_ms
    if last in _BEGINS_ANEW:
        events = events[:-1]
    if not events:  # nothing of the code has been committed yet
        core.tape.now_ms = core.standing.started_ms = started_ms
        return ""
    try:
        watch_here().call(seconds, core.replay, events)
    except ActivationTooLong as error:
        raise NotAnswered(f"the replay of {len(events)} events took longer than the query may: {error}") from error
    except Exception as error:
        why = said(error)
    else:
        if (reason := core.forward.cannot_start) is None:
            return ""
        why = said(reason)
    at = core.history.next_seq
    return (
        f"the code does not fit the history from event {at} of {len(events)} on, so the answer is made from the state as of the"
        f" last commit, and of an unwind as of event {at}: {why}"
    )[:NOTE_CHARACTERS_MAX]


def said(error: BaseException) -> str:
    """Its type and text, also of a class whose own code raises."""
    failure = failure_from_exception(error)
    return f"{failure.type.removeprefix('durable_saga.errors.')}: {failure.message}"


def _plain(value: Any, name: str) -> Any:
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise UnsupportedOperation(
            f"the query {name!r} gave something to await, but a query only looks: return the value itself"
        )
    return value


def _changes(events: Sequence[h.Event]) -> dict[str, p.Payload]:
    """The state, as the history has it."""
    found: dict[str, p.Payload] = {}
    for event in events:
        if event.HasField("state_changed"):
            found.update(event.state_changed.changes)
    return found
