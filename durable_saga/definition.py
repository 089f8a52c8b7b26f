"""What the decorators make of user code: plain values that the core and the worker read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from durable_saga.retry import Retry


@dataclass(frozen=True, slots=True)
class CompensationDefinition:
    """`timeout_ms` is for one attempt, 0: none. `takes_result`: the function has a parameter named `result`."""

    name: str
    function: Callable[..., Any]
    signature: inspect.Signature
    retry: Retry
    timeout_ms: int
    takes_result: bool


@dataclass(slots=True)
class StepDefinition:
    """`timeout_ms` is for one attempt, 0: none. `result_type` is the return annotation, Any where there is none."""

    name: str
    function: Callable[..., Any]
    signature: inspect.Signature
    result_type: Any
    retry: Retry
    timeout_ms: int
    effect: bool
    at_most_once: bool
    compensation: CompensationDefinition | None = None


@dataclass(slots=True)
class SagaDefinition:
    """`timeout_ms` is for the whole run, 0: none. `handlers` maps a signal's name to its function."""

    name: str
    function: Callable[..., Any]
    signature: inspect.Signature
    result_type: Any
    timeout_ms: int
    handlers: dict[str, Callable[..., Any]]
