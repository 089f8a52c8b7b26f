"""What can be wrong with the table of a declared saga: found when it is registered, told with file and line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from durable_saga.declarative import Parallel, Saga, Step, SubSaga, WaitForEvent
from durable_saga.definition import leaves_in_doubt, place_of, proofs_of
from durable_saga.errors import DefinitionError
from durable_saga.retry import policy_of, to_ms
from durable_saga.saga import SagaFunction

_KINDS = (Step, Parallel, WaitForEvent, SubSaga)


def check(saga: Saga, items: Sequence[Any]) -> None:
    """Raises DefinitionError."""
    where = _class_place(saga)
    if not saga.name:
        raise DefinitionError(f'{where}: give the saga a name: `name = "order_processing"`')
    if saga.when_failed not in ("compensate", "hold"):
        raise DefinitionError(f"{where}: when_failed is {saga.when_failed!r}: 'compensate' or 'hold'")
    _check_seconds(where, "timeout", saga.timeout)
    if not items:
        raise DefinitionError(f"{where}: saga {saga.name} defines no steps")
    for item in items:
        if not isinstance(item, _KINDS):
            raise DefinitionError(f"{where}: define() gives {item!r}: Step, Parallel, WaitForEvent or SubSaga is due")
    _check_names(items)
    for item in items:
        _check_item(item)
    _check_dependencies(items)
    _check_order(saga, items, where)


def _check_names(items: Sequence[Any]) -> None:
    seen: dict[str, str] = {}
    for item in _flat(items):
        if not isinstance(item.name, str) or not item.name:
            raise DefinitionError(f"{item.place}: a step needs a name that is not empty, not {item.name!r}")
        if item.name in seen:
            raise DefinitionError(f"{item.place}: step {item.name!r} is defined twice, first at {seen[item.name]}")
        seen[item.name] = item.place


def _check_item(item: Any) -> None:
    if item.when_skipped not in ("run", "skip"):
        raise DefinitionError(f"{item.place}: when_skipped is {item.when_skipped!r}: 'run' or 'skip'")
    if item.condition is not None:
        _check_call(item, "condition", item.condition, 2, 2, "(context, results)")
    if isinstance(item, Parallel):
        if not item.steps:
            raise DefinitionError(f"{item.place}: group {item.name!r} has no steps")
        for member in item.steps:
            if not isinstance(member, (Step, WaitForEvent, SubSaga)) or member.depends_on is not None:
                raise DefinitionError(f"{item.place}: group {item.name!r} holds steps without depends_on, and no groups")
            _check_item(member)
    elif isinstance(item, WaitForEvent):
        _check_seconds(f"{item.place}: step {item.name!r}", "timeout", item.timeout)
        if not item.event:
            raise DefinitionError(f"{item.place}: step {item.name!r} needs the name of an event")
    elif isinstance(item, SubSaga):
        kind = item.saga
        if not (isinstance(kind, (SagaFunction, Saga)) or (isinstance(kind, type) and issubclass(kind, Saga))):
            raise DefinitionError(f"{item.place}: step {item.name!r}: {kind!r} is no saga")
    else:
        _check_step(item)


def _check_step(item: Step) -> None:
    _check_call(item, "action", item.action, 1, 2, "(context) or (context, results)")
    _check_seconds(f"{item.place}: step {item.name!r}", "timeout", item.timeout)
    _check_seconds(f"{item.place}: step {item.name!r}", "compensation_timeout", item.compensation_timeout)
    try:
        policy_of(item.retry, name="retry")
        policy_of(item.compensation_retry, name="compensation_retry")
        proofs_of(item.not_applied, item.action)
        leaves_in_doubt(item.in_doubt, item.action)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{item.place}: step {item.name!r}: {error}") from None
    if item.compensation_strategy not in ("deferred", "immediate", "conditional"):
        strategy = item.compensation_strategy
        raise DefinitionError(f"{item.place}: compensation_strategy is {strategy!r}: deferred, immediate or conditional")
    if (item.compensation_strategy == "conditional") != (item.compensation_when is not None):
        raise DefinitionError(
            f"{item.place}: step {item.name!r}: compensation_strategy='conditional' and"
            " compensation_when=lambda context, error: ... go together"
        )
    if item.compensation is None:
        if item.compensation_strategy != "deferred":
            raise DefinitionError(f"{item.place}: step {item.name!r} has a compensation_strategy and no compensation")
        return
    _check_call(item, "compensation", item.compensation, 1, 2, "(context) or (context, result)")
    if item.compensation_when is not None:
        _check_call(item, "compensation_when", item.compensation_when, 2, 2, "(context, error)")


def _check_call(item: Any, what: str, function: Callable[..., Any], least: int, most: int, due: str) -> None:
    if not callable(function):
        raise DefinitionError(f"{item.place}: the {what} of step {item.name!r} is {function!r}: give a function {due}")
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in parameters):
        return
    needed = [one for one in parameters if one.default is one.empty]
    if not (len(needed) <= most and least <= len(list(parameters))):
        place = place_of(getattr(function, "__func__", function))
        names = ", ".join(one.name for one in parameters)
        raise DefinitionError(f"{place}: the {what} of step {item.name!r} takes ({names}); it is called with {due}")


def _check_seconds(whose: str, what: str, value: Any) -> None:
    if value is None:
        return
    try:
        if to_ms(value, name=what) == 0:
            raise ValueError(f"{what} is {value!r}: nothing is that quick; leave it out for no time-out")
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{whose}: {error}") from None


def _check_dependencies(items: Sequence[Any]) -> None:
    names = [item.name for item in _flat(items)]
    graph: dict[str, list[str]] = {}
    before: list[str] = []
    for item in items:
        for name in item.depends_on or ():
            if name not in names:
                close = get_close_matches(name, names, 1)
                advice = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
                raise DefinitionError(f"{item.place}: step {item.name!r} depends on {name!r}, which is no step{advice}")
        graph[item.name] = before if item.depends_on is None else list(item.depends_on)
        before = [item.name]
        members: Sequence[Any] = item.steps if isinstance(item, Parallel) else ()
        for member in members:
            graph[member.name] = [item.name]  # a member is done when its group is, as far as a cycle goes
    if cycle := _cycle(graph):
        place = next(item.place for item in items if item.name in cycle)
        raise DefinitionError(f"{place}: steps depend on each other in a circle: {' -> '.join(cycle)}")


def _cycle(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """A circle, from a name back to it; empty without one."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in graph.get(name, ()):
            if found := visit(other, [*path, name]):
                return found
        done.add(name)
        return []

    for name in graph:
        if found := visit(name, []):
            return found
    return []


def _check_order(saga: Saga, items: Sequence[Any], where: str) -> None:
    names = [item.name for item in _flat(items)]
    for name in saga.compensation_order() or ():
        if name not in names:
            raise DefinitionError(f"{where}: compensation_order() names {name!r}, which is no step: {', '.join(names)}")


def _flat(items: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        found += [item, *(item.steps if isinstance(item, Parallel) else ())]
    return found


def _class_place(saga: Saga) -> str:
    kind = type(saga)
    try:
        return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):
        return f"{kind.__module__}.{kind.__qualname__}"
