"""Queries: plain functions that look at a run of a saga and change nothing, and what they may ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from durable_saga.authoring.declaring import check_function
from durable_saga.authoring.inside import core_for
from durable_saga.definition.binding import plain_signature
from durable_saga.definition.definition import SagaDefinition, is_async, place_of
from durable_saga.pb.limits import status_name
from durable_saga.replay.phases import UNWINDING
from durable_saga.replay.unwind import NOT_NEEDED, PASSED, REGISTERED, REPLACED

QUERY_NAME, QUERY_OF = "__durable_saga_query__", "__durable_saga_query_of__"
"""Where a query keeps its name, and the definition of the saga that declares it."""
_UNWOUND = ("COMPENSATING", "COMPENSATION_STUCK", "COMPENSATED", "CANCELLED", "FAILED")
P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)
_NOT_TOLD = (NOT_NEEDED, PASSED, REPLACED)


class QueryMethod(Protocol[P, T_co]):
    """A method as a query: who asks it gives no `self`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co: ...


def checked_query(function: Any, name: str | None, what: str, *, is_method: bool = False) -> str:
    """Its name. Raises TypeError for what can't be a query; `what` is "@cart.query" or the like."""
    signature: inspect.Signature | None = None
    if is_method and callable(function) and not isinstance(function, staticmethod | classmethod):
        whole = plain_signature(function)
        signature = whole.replace(parameters=list(whole.parameters.values())[1:])
    found = check_function(function, name, what, signature)
    if is_async(function):
        raise TypeError(f"{place_of(function)}: {what} is async, but a query only looks: write a plain function, `def {found}`")
    if "timeout" in plain_signature(function).parameters:
        raise TypeError(
            f"{place_of(function)}: query {found} has a parameter timeout, which is an option of handle.query(): rename it"
        )
    return found


def declare_query(definition: SagaDefinition, function: Any, name: str | None) -> None:
    """Raises TypeError, also for a second query of the same name."""
    key = checked_query(function, name, f"@{definition.name}.query")
    if key in definition.queries:
        raise TypeError(f"saga {definition.name} already has a query {key!r}")
    definition.queries[key] = function
    setattr(function, QUERY_NAME, key)
    setattr(function, QUERY_OF, definition)


def methods_of(saga: Any) -> dict[str, Callable[..., Any]]:
    """The queries among the methods of a declared saga, by name."""
    found: dict[str, Callable[..., Any]] = {}
    for attribute in dir(type(saga)):
        if key := getattr(inspect.getattr_static(type(saga), attribute), QUERY_NAME, ""):
            found[key] = getattr(saga, attribute)
    return found


@dataclass(frozen=True, slots=True)
class CompensationProgress:
    """One compensation of an unwind: the number of its call, the step that it undoes (or the function of `on_failure()`), its
    own name, and its state: "pending", "running", "done", "stuck", "skipped" or "resolved"."""

    call: str
    step: str
    compensation: str
    state: str


@dataclass(frozen=True, slots=True)
class UnwindProgress:
    """How far the unwind of a saga is. `status` is that of the saga, in capital letters; `reason` is what led to the unwind, as
    text; `compensations` are those that were registered, in that order. The unwind goes through them backwards, unless the
    saga has another order."""

    status: str
    reason: str
    compensations: tuple[CompensationProgress, ...]


def unwind_progress() -> UnwindProgress | None:
    """For queries: how far the unwind is, None if the saga as a whole is not being undone, and was not. Raises
    UnsupportedOperation outside of saga code."""
    core = core_for("unwind_progress()")
    standing, entries = core.standing, core.stack.entries.values()
    status = status_name(standing.status)
    if standing.phase != UNWINDING and status not in _UNWOUND:
        return None
    told = [one for one in entries if one.state not in _NOT_TOLD]
    causes = [standing.stop, *(one.cause for one in told)]
    reason = next((f"{type(one).__name__}: {one}" for one in causes if one is not None), "")
    rows = [
        CompensationProgress(one.call, one.name, one.definition.name, "pending" if one.state == REGISTERED else one.state)
        for one in told
    ]
    return UnwindProgress(status, reason, tuple(rows))
