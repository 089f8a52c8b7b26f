"""What undoes a step: declared beside it, or registered by `on_failure()` as the saga runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

from durable_saga.authoring.declaring import check_function
from durable_saga.definition.binding import check_call, plain_signature
from durable_saga.definition.definition import (
    CompensationDefinition,
    StepDefinition,
    check_decides,
    place_of,
    retry_of,
    timeout_ms_of,
)  # fmt: skip
from durable_saga.definition.retry import FOREVER, Retry

F = TypeVar("F", bound=Callable[..., Any])
Strategy = Literal["deferred", "immediate"]
_POLICY = "__durable_saga_compensation__"


@dataclass(frozen=True, slots=True)
class _Policy:
    retry: Retry = FOREVER
    timeout_ms: int = 0
    name: str | None = None
    immediate: bool = False
    when: Callable[[Any], bool] | None = None


def compensation(
    *, retry: Retry = FOREVER, timeout: float | timedelta | None = None, name: str | None = None,
    strategy: Strategy = "deferred", when: Callable[[Any], bool] | None = None,
) -> Callable[[F], F]:  # fmt: skip
    """Give a compensation its own policy. By default it is tried until it succeeds. `timeout` is for one attempt, in seconds.

    - `strategy="immediate"`: the compensation runs as soon as its own step fails, before the saga goes on. If the step was
      done, it runs when the saga fails.
    - `when` gets the error that led to the unwind and returns whether this compensation is needed; it only computes. From an
      exception group it gets the first error that is not a cancellation. With `strategy="immediate"` it gets the step's own
      error.

    Use it below `@charge.compensation`, or on a function for `on_failure()`. Raises ValueError and TypeError for wrong
    values."""
    check_decides(when, "the condition of a compensation (when=)", "error")
    if strategy not in ("deferred", "immediate"):
        raise ValueError(f"strategy is {strategy!r}: give 'deferred' or 'immediate' (and a condition as `when`)")

    def decorate(function: F) -> F:
        policy = retry_of(retry, function) or FOREVER
        setattr(function, _POLICY, _Policy(policy, timeout_ms_of(timeout, function), name, strategy == "immediate", when))
        return function

    return decorate


def registered_name(function: Callable[..., Any]) -> str:
    """By which the journal knows it, once `on_failure()` has registered it."""
    return getattr(function, _POLICY, _Policy()).name or str(getattr(function, "__name__", ""))


def compensation_definition(function: Callable[..., Any], *, of: StepDefinition | None = None) -> CompensationDefinition:
    """Raises TypeError when the function can't be called with what it will get."""
    policy = getattr(function, _POLICY, _Policy())
    signature = plain_signature(function)
    names = signature.parameters
    of_names = plain_signature(of.function).parameters if of else {}
    definition = CompensationDefinition(
        name=check_function(function, policy.name, f"@{of.name}.compensation" if of else "on_failure()", signature),
        function=function,
        retry=policy.retry,
        timeout_ms=policy.timeout_ms,
        takes_result="result" in names and "result" not in of_names,
        takes_error="error" in names and "error" not in of_names,
        immediate=policy.immediate,
        when=policy.when,
    )
    if of is not None:
        _check_fits(definition, of)
    return definition


def _check_fits(definition: CompensationDefinition, of: StepDefinition) -> None:
    wanted, given = plain_signature(definition.function), plain_signature(of.function)
    more = ["result"] * definition.takes_result + ["error"] * definition.takes_error
    try:
        check_call(wanted, given, more)
    except TypeError as error:
        takes = ", ".join(name for name in wanted.parameters if name not in more)
        raise TypeError(
            f"{place_of(definition.function)}: compensation {definition.name} takes ({takes}), but step {of.name} takes"
            f" ({', '.join(given.parameters)}): a compensation gets the step's arguments by their names, and `result` and"
            f" `error` if it has them ({error})"
        ) from None
