"""Stand-ins for steps and services. Names are checked: a misspelt one is an error, not a mock that is never called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from durable_saga.authoring.saga import SagaFunction
from durable_saga.authoring.step import StepFunction
from durable_saga.declared.declarative import AnySaga, Parallel, Saga, Step, SubSaga

MODULES_DEPTH_MAX = 2


class UnknownName(LookupError):
    """There is no step, compensation, service or method with this name; the message names those that exist."""


def returns(value: Any) -> Callable[..., Any]:
    """A mock that returns this value."""
    return lambda *_, **__: value


def fails(error: str | BaseException, *, times: int | None = None, then: Any = None) -> Callable[..., Any]:
    """A mock that raises the exception as it is, or a RuntimeError with this message. After `times` calls it returns `then`."""
    calls = 0

    def mock(*_: Any, **__: Any) -> Any:
        nonlocal calls
        calls += 1
        if times is not None and calls > times:
            return then
        raise error if isinstance(error, BaseException) else RuntimeError(error)

    return mock


def names_of(saga: AnySaga) -> set[str]:
    """The names of the steps and compensations that a saga can reach: those of its table, or those of the modules that its
    function sees."""
    found: set[str] = set()
    for one in _steps(saga, set()):
        if isinstance(one, Step):
            found.add(one.name)
            found |= {getattr(one.compensation, "__name__", one.name)}
        else:
            found.add(one.definition.name)
            found |= {one.definition.compensation.name} if one.definition.compensation else set()
    return found


def _steps(saga: AnySaga, seen: set[int]) -> Iterator[Step | StepFunction[..., Any]]:
    if id(saga) in seen:
        return
    seen.add(id(saga))
    if isinstance(saga, SagaFunction):
        yield from _reachable(inspect.unwrap(saga.definition.function), seen, 0)
        return
    try:
        table = saga() if isinstance(saga, type) else saga
        items = list(table.define())
    except Exception:  # another saga of the module, whose own test tells it: this one is checked before
        return
    for item in items:
        for one in item.steps if isinstance(item, Parallel) else [item]:
            if isinstance(one, Step):
                yield one
            elif isinstance(one, SubSaga):
                yield from _steps(one.saga, seen)


def _reachable(function: Any, seen: set[int], depth: int) -> Iterator[Step | StepFunction[..., Any]]:
    """What the function's module and the functions around it know."""
    module = inspect.getmodule(function)
    known = {**(vars(module) if module is not None else {}), **inspect.getclosurevars(function).nonlocals}
    yield from _in_values(known.values(), seen, depth)


def _in_values(values: Any, seen: set[int], depth: int) -> Iterator[Step | StepFunction[..., Any]]:
    for value in list(values):
        if isinstance(value, StepFunction):
            yield value
        elif isinstance(value, SagaFunction) or (isinstance(value, type) and issubclass(value, Saga) and value.name):
            yield from _steps(value, seen)
        elif isinstance(value, ModuleType) and depth < MODULES_DEPTH_MAX and id(value) not in seen:
            seen.add(id(value))
            if not value.__name__.startswith(("durable_saga", "asyncio")):
                yield from _in_values([one for one in vars(value).values() if isinstance(one, StepFunction)], seen, depth + 1)


def check_name(name: str, there: set[str], what: str) -> None:
    """Raises UnknownName."""
    if name not in there:
        close = get_close_matches(name, sorted(there), 1)
        advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(there)) or 'none'}"
        raise UnknownName(f"no {what} is named {name!r}: {advice}")


def find_service(saga: AnySaga, name: str) -> Any:
    """A service by its name: an attribute of the table, or a name of the module where the saga stands. Raises UnknownName."""
    owner: Any = saga.definition.function if isinstance(saga, SagaFunction) else saga
    if not isinstance(saga, SagaFunction) and hasattr(saga, name):
        return getattr(saga, name)
    module = inspect.getmodule(owner if isinstance(owner, type) or inspect.isfunction(owner) else type(owner))
    names = {**(vars(module) if module else {})}
    if isinstance(saga, SagaFunction):
        names |= inspect.getclosurevars(inspect.unwrap(saga.definition.function)).nonlocals
    public = {one for one in names if not one.startswith("_")} | {one for one in vars(owner) if not one.startswith("_")}
    check_name(name, public, "service")
    return names[name]


def mocked(original: Any, mock: Callable[..., Any]) -> Callable[..., Any]:
    """The mock in the shape of what it stands for: async where that is async."""
    if not inspect.iscoroutinefunction(original):
        return mock

    async def stand_in(*args: Any, **kwargs: Any) -> Any:
        outcome = mock(*args, **kwargs)
        return await outcome if inspect.isawaitable(outcome) else outcome

    return stand_in
