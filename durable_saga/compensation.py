"""What undoes a step: declared beside it, or registered by `on_failure()` as the saga runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from durable_saga.definition import CompensationDefinition, StepDefinition, place_of
from durable_saga.retry import FOREVER, Retry, to_ms

F = TypeVar("F", bound=Callable[..., Any])
_POLICY = "__durable_saga_compensation__"


def compensation(
    *, retry: Retry = FOREVER, timeout: float | timedelta | None = None, name: str | None = None
) -> Callable[[F], F]:
    """Give a compensation its own policy; the default tries for ever. `timeout` is for one attempt, in seconds.

    Use it below `@charge.compensation`, or on a function that goes to `on_failure()`.
    """

    def decorate(function: F) -> F:
        timeout_ms = 0 if timeout is None else to_ms(timeout, name="timeout")
        setattr(function, _POLICY, (retry, timeout_ms, name))
        return function

    return decorate


def compensation_definition(function: Callable[..., Any], *, of: StepDefinition | None = None) -> CompensationDefinition:
    """Raises TypeError when the function can't be called with what it will get."""
    retry, timeout_ms, name = getattr(function, _POLICY, (FOREVER, 0, None))
    names = inspect.signature(function).parameters
    of_names = inspect.signature(of.function).parameters if of else {}
    definition = CompensationDefinition(
        name=str(name or getattr(function, "__name__", repr(function))),
        function=function,
        retry=retry,
        timeout_ms=timeout_ms,
        takes_result="result" in names and "result" not in of_names,
    )
    if of is not None:
        _check_fits(definition, of)
    return definition


def _check_fits(definition: CompensationDefinition, of: StepDefinition) -> None:
    wanted = list(inspect.signature(definition.function).parameters.values())
    if definition.takes_result:
        wanted = [p for p in wanted if p.name != "result"]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in wanted):
        return
    given = list(inspect.signature(of.function).parameters)
    if [p.name for p in wanted] != given:
        raise TypeError(
            f"{place_of(definition.function)}: compensation {definition.name} takes"
            f" ({', '.join(p.name for p in wanted)}), but step {of.name} takes ({', '.join(given)}): a compensation gets"
            " the step's arguments, and `result` if it has it"
        )
