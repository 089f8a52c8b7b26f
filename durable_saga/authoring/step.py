"""Steps: what a saga does to the world, one journaled call each.

A `StepFunction` is callable with the parameters of its function. In a saga the call is journaled, run by the worker,
retried by its policy, and its compensation is registered before its effect can happen. Outside a saga it just runs.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from durable_saga.authoring.compensation import Strategy, compensation_definition
from durable_saga.authoring.compensation import compensation as compensation_options
from durable_saga.authoring.declaring import check_function
from durable_saga.authoring.step_context import refuse_within_step
from durable_saga.definition.definition import StepDefinition, leaves_in_doubt, place_of, proofs_of, retry_of, timeout_ms_of
from durable_saga.definition.retry import FOREVER, Retry
from durable_saga.replay.reach import core_here

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
ErrorTypes = type[BaseException] | Sequence[type[BaseException]]
InDoubt = Literal["settle", "leave"]


class StepFunction(Generic[P, R]):
    """A step, made by `@step`. `definition` holds what was declared."""

    def __init__(self, definition: StepDefinition) -> None:
        self.definition = definition
        functools.update_wrapper(self, definition.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Raises NotSerializable and LimitExceeded at the call; StepFailed or the step's own exception at the await."""
        if (core := core_here()) is not None:
            return core.calls.call(self.definition, args, kwargs)
        refuse_within_step("step", self.definition.name)
        return self._plain(args, kwargs)

    async def _plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        function = self.definition.function
        if self.definition.is_async:
            return await function(*args, **kwargs)  # type: ignore[no-any-return]
        return await asyncio.to_thread(function, *args, **kwargs)

    @overload
    def compensation(self, function: F, /) -> F: ...
    @overload
    def compensation(
        self, /, *, retry: Retry = FOREVER, timeout: float | timedelta | None = None, name: str | None = None,
        strategy: Strategy = "deferred", when: Callable[[Any], bool] | None = None,
    ) -> Callable[[F], F]: ...  # fmt: skip
    def compensation(self, function: Any = None, /, **options: Any) -> Any:
        """Declare the function that undoes this step. It has the step's own parameters. If it has a parameter `result`, it
        gets the step's result (None if the step never returned); if it has a parameter `error`, it gets the exception that
        led to the unwind. The options are those of `compensation()`. Raises TypeError if the signatures don't fit, and for a
        second compensation."""

        def declare(function: F) -> F:
            if self.definition.compensation is not None:
                raise TypeError(
                    f"{place_of(function)}: step {self.definition.name} already has the compensation"
                    f" {self.definition.compensation.name}"
                )
            if options:
                compensation_options(**options)(function)
            self.definition.compensation = compensation_definition(function, of=self.definition)
            return function

        return declare if function is None else declare(function)

    def __repr__(self) -> str:
        return f"<step {self.definition.name}>"


@overload
def step(function: Callable[P, Awaitable[R]], /) -> StepFunction[P, R]: ...
@overload
def step(function: Callable[P, R], /) -> StepFunction[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: float | timedelta | None = None,
    effect: bool = True,
    at_most_once: bool = False,
    pivot: bool = False,
    compensation: Callable[..., Any] | None = None,
    not_applied: ErrorTypes = (),
    in_doubt: InDoubt = "settle",
) -> _Decorator: ...
def step(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: float | timedelta | None = None,
    effect: bool = True,
    at_most_once: bool = False,
    pivot: bool = False,
    compensation: Callable[..., Any] | None = None,
    not_applied: ErrorTypes = (),
    in_doubt: InDoubt = "settle",
) -> Any:
    """Make a function a step. An async function runs on the worker's event loop, a plain one in a thread.

    `timeout` is for one attempt, in seconds. `effect=False` promises that the step only reads or computes: it costs no commit
    of its own and may run again. With `at_most_once=True` an attempt that was interrupted is not repeated but raises
    StepInterrupted in the saga. With `pivot=True` the saga can only go forward once the step is done. `compensation` undoes
    the step. Without `retry`, the saga's policy is used, then the worker's, which is `Retry()` by default.

    `not_applied` names exception classes which prove that nothing happened, as `NotApplied` does. The step is tried again as
    its policy says, and if its last attempt ends with one of them, there is nothing to undo. With `in_doubt="leave"`, the
    saga may end without the step's compensation if it is not known whether the step happened. Raises ValueError and
    TypeError, with the place in the code, for wrong values."""

    def decorate(function: Callable[..., Any]) -> StepFunction[Any, Any]:
        found = check_function(function, name, "@step")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{place_of(function)}: step {found} is a generator: its body would never run; return a value")
        definition = StepDefinition(
            name=found,
            function=function,
            retry=retry_of(retry, function),
            timeout_ms=timeout_ms_of(timeout, function),
            not_applied=proofs_of(not_applied, function),
            in_doubt_leave=leaves_in_doubt(in_doubt, function),
            effect=effect,
            at_most_once=at_most_once,
            pivot=pivot,
        )
        made: StepFunction[Any, Any] = StepFunction(definition)
        if compensation is not None:
            made.compensation(compensation)
        return made

    return decorate if function is None else decorate(function)


class _Decorator:
    """What `@step(...)` returns, for type checkers."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> StepFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> StepFunction[P, R]: ...
    def __call__(self, function: Any, /) -> Any: ...
