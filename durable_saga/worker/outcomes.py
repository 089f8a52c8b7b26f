"""The fact that an attempt leaves: what it returned, or how it failed and when it is tried again. Pure.

`ended()` never raises: whatever a step returns or raises, and whatever a predicate of its policy does, there is a fact. A
result is checked here, while its step can still fail: one that does not fit its annotation fails the step once, for good.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from durable_saga import codec
from durable_saga.definition.definition import StepDefinition, place_of
from durable_saga.definition.retry import Retry, decide_and_tell, delay_ms
from durable_saga.errors import NotApplied, ResultRejected, StepInterrupted
from durable_saga.failures.failures import failure_from_exception
from durable_saga.failures.kept import name_of
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.commands import NOT_DECODED, RunCompensation, RunStep

_KNOWN = frozenset({str, int, float, bool, bytes, type(None)})
_NOT_REPEATED = (StepInterrupted, ResultRejected)
TO_CHECK: Any = object()
Attempted = RunStep | RunCompensation


@dataclass(slots=True)
class Circumstances:
    """What decides about the next attempt. `default` is the policy of steps that have none. `past_pivot`: a step that fails is
    always tried again. `final`: it is not, unless past the pivot."""

    default: Retry
    now_ms: int
    random: float
    past_pivot: bool = False
    final: bool = False


class Fact(NamedTuple):
    """`result`: what the saga gets of it, decoded while the result was checked; NOT_DECODED: to be decoded; TO_CHECK: it is
    large, and whoever asked checks it elsewhere by `check()`."""

    event: h.Event
    result: Any = NOT_DECODED


def ended(
    effect: Attempted, value: Any, error: BaseException | None, around: Callable[[], Circumstances], *,
    aside_above: float = math.inf,
) -> Fact:  # fmt: skip
    """The fact for an attempt that returned `value`, or raised `error`. A result of more bytes than `aside_above` is not
    checked here: TO_CHECK."""
    if error is None:
        if isinstance(effect, RunCompensation):
            return Fact(h.Event(compensation_completed=h.CompensationCompleted(call=effect.call, attempt=effect.attempt)))
        try:
            data, again = _encoded(value, effect.definition, aside_above=aside_above)
        except BaseException as found:  # a class's own code runs here, and may raise anything
            return Fact(rejected(effect, value, found, around()))
        return Fact(completed(effect, data), again)
    return Fact(failed(effect, error, around()))


def check(effect: RunStep, data: bytes) -> tuple[Any, BaseException | None]:
    """What the saga gets of a result, and what is wrong with it. In any thread; raises nothing."""
    try:
        return codec.decode(data, effect.definition.result_type, where="it"), None
    except BaseException as found:  # as above
        return NOT_DECODED, found


def rejected(effect: RunStep, value: Any, found: BaseException, around: Circumstances) -> h.Event:
    """For a result that does not fit its annotation; its compensation gets it as it is."""
    return failed(effect, _rejected(effect.definition, value, found), around, _as_it_is(value))


def completed(effect: RunStep, data: bytes) -> h.Event:
    event = h.Event()
    done = event.step_completed
    done.call, done.attempt, done.result.data = effect.call, effect.attempt, data
    return event


def failed(effect: Attempted, error: BaseException, around: Circumstances, data: bytes = b"") -> h.Event:
    """`data` is the result that was rejected."""
    failure = failure_from_exception(error)
    if isinstance(effect, RunStep) and is_proof(effect.definition, error):
        failure.not_applied = True
    wait_ms, note = _wait_ms(effect, error, around)
    if note:
        failure.notes.append(note)
    failure.non_retryable = wait_ms is None
    call, attempt = effect.call, effect.attempt
    if wait_ms is not None:
        at_ms = around.now_ms + wait_ms
        if isinstance(effect, RunStep):
            again = h.StepAttemptFailed(call=call, attempt=attempt, failure=failure, retry_at_ms=at_ms)
            return h.Event(step_attempt_failed=again)
        redo = h.CompensationAttemptFailed(call=call, attempt=attempt, failure=failure, retry_at_ms=at_ms)
        return h.Event(compensation_attempt_failed=redo)
    if isinstance(effect, RunStep):
        result = p.Payload(data=data) if data else None
        return h.Event(step_failed=h.StepFailed(call=call, attempt=attempt, failure=failure, result=result))
    return h.Event(compensation_stuck=h.CompensationStuck(call=call, attempt=attempt, failure=failure))


def late(effect: RunStep, value: Any, error: BaseException | None) -> h.Event | None:
    """What an attempt proves that nobody waited for any more: its result, or that it was not applied. None: nothing."""
    if error is not None:
        return not_applied(effect, error) if is_proof(effect.definition, error) else None
    try:
        data, _ = _encoded(value, effect.definition)
    except BaseException:  # nobody could be told; its compensation runs without its result
        return None
    return completed(effect, data)


def not_applied(effect: RunStep, error: BaseException) -> h.Event:
    """It is proven that this step had no effect."""
    failure = failure_from_exception(error)
    failure.not_applied = failure.non_retryable = True
    return h.Event(step_failed=h.StepFailed(call=effect.call, attempt=effect.attempt, failure=failure))


def is_proof(definition: StepDefinition, error: BaseException) -> bool:
    """Whether the error says that nothing happened."""
    return issubclass(type(error), (NotApplied, *definition.not_applied))


def is_tried_again(effect: Attempted, error: BaseException, around: Circumstances) -> bool:
    """Whether another attempt follows one that ends with this error."""
    return _wait_ms(effect, error, around)[0] is not None


def _wait_ms(effect: Attempted, error: BaseException, around: Circumstances) -> tuple[int | None, str]:
    """None: no further attempt; and what is to be said of a policy that could not be followed."""
    retry = effect.definition.retry if isinstance(effect, RunCompensation) else effect.retry
    policy = retry or around.default
    count = max(effect.attempt - effect.interruptions, 1)
    found, note = (None, "") if around.final else decide_and_tell(policy, count, error, around.random)
    if found is None and around.past_pivot and isinstance(effect, RunStep) and not issubclass(type(error), _NOT_REPEATED):
        found = delay_ms(policy, count, around.random)
    return found, note


def _encoded(value: Any, definition: StepDefinition, *, aside_above: float = math.inf) -> tuple[bytes, Any]:
    """Its bytes, and what they decode to; TO_CHECK where they are more than `aside_above`. Raises what is wrong with it,
    decoding it again included."""
    where, annotation = f"result of {definition.name}", definition.result_type
    data = codec.encode(value, where=where, annotation=annotation, function=definition.function)
    again = _decoded(value, data, annotation, can_wait=len(data) > aside_above)
    return data, again


def _as_it_is(value: Any) -> bytes:
    """For the compensation; empty if it can't be journaled at all."""
    try:
        return codec.encode(value, where="rejected result")
    except BaseException:  # the rejection is told with the type and value already
        return b""


def _decoded(value: Any, data: bytes, annotation: Any, *, can_wait: bool) -> Any:
    """A copy of the value that nobody else has; NOT_DECODED where nothing is to be checked. Raises what decoding raises."""
    kind = type(value)
    if kind in _KNOWN and (annotation is kind or annotation is Any or (annotation is None and value is None)):
        return value
    if annotation is Any:
        return NOT_DECODED
    return TO_CHECK if can_wait else codec.decode(data, annotation, where="it")


def _rejected(definition: StepDefinition, value: Any, found: BaseException) -> ResultRejected:
    kind = type(value)
    try:
        annotation = definition.result_type
        named = name_of(annotation) if isinstance(annotation, type) else str(annotation)
    except Exception as unknown:  # an annotation that can't be looked up
        named = f"({unknown})"
    error = ResultRejected(
        f"{place_of(definition.function)}: step {definition.name} returned a value of type {name_of(kind)}, its annotation is"
        f" {named.removeprefix('builtins.')}: {_words(found)}. The effect of the step happened, and it is not tried again"
    )
    error.__cause__ = found
    return error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {failure_from_exception(error).message}"
