"""Sagas: ordinary async functions which survive the process that runs them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from durable_saga.authoring.declaring import check_function, check_start_options
from durable_saga.authoring.query import declare_query
from durable_saga.authoring.step_context import refuse_within_step
from durable_saga.definition.definition import SagaDefinition, check_decides, place_of, retry_of, timeout_ms_of, version_of
from durable_saga.definition.retry import Retry
from durable_saga.replay.reach import core_here

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
SIGNAL_NAME = "__durable_saga_signal__"
"""Where a handler keeps the name of its signal."""


class SagaFunction(Generic[P, R_co]):
    """A saga, made by `@saga`. A client starts it and a worker runs it. If you call it directly, it just runs."""

    def __init__(self, definition: SagaDefinition) -> None:
        self.definition = definition
        functools.update_wrapper(self, definition.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """In a saga: a child, a part of the same run with a scope of its own. If it fails, it is undone as one unit and its
        error comes here; if the saga around it fails later, the completed child is undone at its place."""
        if (core := core_here()) is not None:
            return core.children.call(self.definition, args, kwargs)
        refuse_within_step("saga", self.definition.name)
        return self.definition.function(*args, **kwargs)  # type: ignore[no-any-return]

    @overload
    def signal(self, function: F, /) -> F: ...
    @overload
    def signal(self, /, *, name: str) -> Callable[[F], F]: ...
    def signal(self, function: Any = None, /, *, name: str | None = None) -> Any:
        """Declare a handler for a signal (named as its function, or `name`). The handler runs inside the saga, so the rules
        of saga code apply. If it raises, what it did is undone, the message is recorded as rejected, and the saga goes on.
        Handlers that are running when the saga returns may finish. Raises TypeError for a second handler of the same name."""

        def declare(function: F) -> F:
            key = check_function(function, name, f"@{self.definition.name}.signal")
            if key in self.definition.handlers:
                raise TypeError(f"saga {self.definition.name} already has a handler for signal {key!r}")
            self.definition.handlers[key] = function
            setattr(function, SIGNAL_NAME, key)
            return function

        return declare if function is None else declare(function)

    @overload
    def query(self, function: F, /) -> F: ...
    @overload
    def query(self, /, *, name: str) -> Callable[[F], F]: ...
    def query(self, function: Any = None, /, *, name: str | None = None) -> Any:
        """Declare a query (named as its function, or `name`): a plain function that looks at the saga, by `state.get()`,
        `saga_context()`, `now()` and `unwind_progress()`, and changes nothing. `handle.query(total, "EUR")` asks it. It needs
        no worker that has the saga, so it is answered while the saga is blocked, held or paused, and after its end. Raises
        TypeError for an async function, and for a second query of the same name."""

        def declare(function: F) -> F:
            declare_query(self.definition, function, name)
            return function

        return declare if function is None else declare(function)

    def __repr__(self) -> str:
        return f"<saga {self.definition.name}>"


class _Decorator(Protocol):
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> SagaFunction[P, R]: ...


@overload
def saga(function: Callable[P, Coroutine[Any, Any, R]], /) -> SagaFunction[P, R]: ...
@overload
def saga(
    *,
    name: str | None = None,
    timeout: float | timedelta | None = None,
    compensation_order: Callable[[list[str]], list[str]] | None = None,
    compensation_parallel: bool = False,
    retry: Retry | None = None,
    when_failed: Literal["compensate", "hold"] = "compensate",
    keys: Callable[..., Sequence[str]] | None = None,
    attributes: Callable[..., Mapping[str, Any]] | None = None,
    version: int = 1,
) -> _Decorator: ...
def saga(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    timeout: float | timedelta | None = None,
    compensation_order: Callable[[list[str]], list[str]] | None = None,
    compensation_parallel: bool = False,
    retry: Retry | None = None,
    when_failed: Literal["compensate", "hold"] = "compensate",
    keys: Callable[..., Sequence[str]] | None = None,
    attributes: Callable[..., Mapping[str, Any]] | None = None,
    version: int = 1,
) -> Any:
    """Make an async function a saga. `timeout`, in seconds, is for the whole run; after it the saga is undone.

    `compensation_order` gets the names of the steps to undo, last registered first, and returns them in the order to run.
    `compensation_parallel=True` undoes all at once. `retry` is for steps without a policy of their own. With
    `when_failed="hold"` a failed saga is not undone at once: it waits for a person, who recovers or compensates it. `keys`
    gets the arguments and returns correlation keys for events. `attributes` gets them and returns search attributes for
    listings: `attributes=lambda order: {"customer": order.customer}`. Raise `version`, a whole number, when open sagas can't go
    on with a change of the code, and ask for it with `since()`. Raises TypeError for a function that is not async or
    can't be a saga for another reason (declaring.py), and ValueError for other wrong values."""
    if when_failed not in ("compensate", "hold"):
        raise ValueError(f"when_failed is {when_failed!r}: give 'compensate' or 'hold'")

    check_decides(compensation_order, "compensation_order", "names")

    def decorate(function: Callable[..., Any]) -> SagaFunction[Any, Any]:
        found = check_function(function, name, "@saga")
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{place_of(function)}: @saga needs an async function; write `async def {found}`")
        check_start_options(function)
        return SagaFunction(
            SagaDefinition(
                name=found,
                function=function,
                timeout_ms=timeout_ms_of(timeout, function),
                handlers={},
                compensation_order=compensation_order,
                compensation_parallel=compensation_parallel,
                retry=retry_of(retry, function),
                hold=when_failed == "hold",
                keys=keys,
                attributes=attributes,
                version=version_of(version, place_of(function)),
            )
        )

    return decorate if function is None else decorate(function)
