"""What can be wrong with the table of a declared saga: found when it is registered, told with file and line."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from durable_saga.authoring.saga import SagaFunction
from durable_saga.declared.declarative import Parallel, Saga, Step, SubSaga, WaitForEvent
from durable_saga.declared.declared_order import order_units
from durable_saga.declared.table_versions import check_versions
from durable_saga.definition.binding import plain_signature, table_call, undo_call
from durable_saga.definition.definition import is_async, leaves_in_doubt, place_of, proofs_of, version_of
from durable_saga.definition.retry import policy_of, to_ms
from durable_saga.errors import DefinitionError

_KINDS = (Step, Parallel, WaitForEvent, SubSaga)


def defined(saga: Saga) -> list[Any]:
    """The items of its table. Raises DefinitionError, also for a `define()` that fails or gives something else."""
    where = class_place(type(saga))
    try:
        items: Any = saga.define()
    except NotImplementedError as error:
        raise DefinitionError(f"{where}: {error}") from None
    except Exception as error:
        raise DefinitionError(f"{where}: define() of {type(saga).__qualname__} failed: {failed_with(error)}") from error
    if inspect.iscoroutine(items):
        items.close()
        raise DefinitionError(f"{where}: define() is async, but it only returns the list of steps: write a plain method")
    return list(_names_or_steps(items, f"{where}: define()", "a list of steps"))


def check(saga: Saga, items: Sequence[Any]) -> list[str] | None:
    """The saga's compensation order, None without one. Raises DefinitionError."""
    where = class_place(type(saga))
    _check_class(saga, where)
    if not items:
        raise DefinitionError(f"{where}: saga {saga.name} defines no steps")
    for item in items:
        if not isinstance(item, _KINDS):
            raise DefinitionError(f"{where}: define() gives {item!r}: give a Step, Parallel, WaitForEvent or SubSaga")
    for item in items:
        if isinstance(item, Parallel):
            _check_members(item)
    _check_names(items)
    check_versions(items, saga.version)
    for item in items:
        _check_item(item)
    _check_dependencies(items)
    return _order(saga, items, where)


def _check_class(saga: Saga, where: str) -> None:
    if not isinstance(saga.name, str) or not saga.name:
        raise DefinitionError(f'{where}: give the saga a name: `name = "order_processing"`')
    if saga.when_failed not in ("compensate", "hold"):
        raise DefinitionError(f"{where}: when_failed is {saga.when_failed!r}: give 'compensate' or 'hold'")
    _check_seconds(where, "timeout", saga.timeout)
    try:
        policy_of(saga.retry, name="retry")
        version_of(saga.version, saga.name)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{where}: {error}") from None
    _check_kind(where, "compensation_parallel", saga.compensation_parallel, bool, "True or False")
    for name in ("define", "compensation_order", "keys", "attributes", "execute_step", "handle_event"):
        method = getattr(saga, name)
        if not callable(method):
            raise DefinitionError(f"{where}: {name} is {method!r}: write a method, `def {name}(self, ...)`")
        if is_async(method) and name in ("compensation_order", "keys", "attributes"):
            raise DefinitionError(f"{where}: {name}() is async, but it only computes: write a plain method")
    if not is_async(saga.execute_step):
        raise DefinitionError(f"{where}: execute_step() is not async: write `async def execute_step(...)`")


def _check_names(items: Sequence[Any]) -> None:
    seen: dict[str, str] = {}
    for item in _flat(items):
        if not isinstance(item.name, str) or not item.name:
            raise DefinitionError(f"{item.place}: a step needs a name that is not empty, not {item.name!r}")
        if item.name in seen:
            raise DefinitionError(f"{item.place}: step {item.name!r} is defined twice, first at {seen[item.name]}")
        seen[item.name] = item.place


def _check_members(group: Parallel) -> None:
    for member in _names_or_steps(group.steps, f"{group.place}: the steps of group {group.name!r}", "a list of steps"):
        if not isinstance(member, (Step, WaitForEvent, SubSaga)) or member.depends_on is not None:
            raise DefinitionError(
                f"{getattr(member, 'place', group.place)}: group {group.name!r} holds {getattr(member, 'name', member)!r}: a"
                " member is a Step, WaitForEvent or SubSaga without depends_on"
            )
    if not group.steps:
        raise DefinitionError(f"{group.place}: group {group.name!r} has no steps")


def _names_or_steps(value: Any, whose: str, due: str) -> Sequence[Any]:
    """Something with an order, and no text, whose letters would be taken for names."""
    if not isinstance(value, list | tuple):
        advice = f"; write [{value!r}]" if isinstance(value, str) else ""
        raise DefinitionError(f"{whose}: {value!r} isn't a list: give {due}{advice}")
    return value


def _check_item(item: Any) -> None:
    whose = f"{item.place}: step {item.name!r}"
    if item.when_skipped not in ("run", "skip"):
        raise DefinitionError(f"{item.place}: when_skipped is {item.when_skipped!r}: 'run' or 'skip'")
    if item.condition is not None:
        _check_condition(item, "condition", item.condition, "(context, results)")
    if isinstance(item, Parallel):
        for member in item.steps:
            _check_item(member)
    elif isinstance(item, WaitForEvent):
        _check_seconds(whose, "timeout", item.timeout)
        if not isinstance(item.event, str) or not item.event:
            raise DefinitionError(f"{whose} needs the name of an event, not {item.event!r}")
    elif isinstance(item, SubSaga):
        _check_sub(item, whose)
    else:
        _check_step(item, whose)


def _check_sub(item: SubSaga, whose: str) -> None:
    kind: Any = item.saga
    if not (isinstance(kind, (SagaFunction, Saga)) or (isinstance(kind, type) and issubclass(kind, Saga))):
        raise DefinitionError(f"{whose}: {kind!r} isn't a saga")
    if item.context is not None:
        _check_condition(item, "context", item.context, "(context, results)")
    if isinstance(kind, SagaFunction):
        try:
            inspect.signature(kind.definition.function).bind(None)
        except TypeError as error:
            raise DefinitionError(f"{whose}: saga {kind.definition.name} gets one argument, a context: {error}") from None


def _check_step(item: Step, whose: str) -> None:
    _check_call(item, "action", item.action, "results")
    _check_seconds(whose, "timeout", item.timeout)
    _check_seconds(whose, "compensation_timeout", item.compensation_timeout)
    try:
        policy_of(item.retry, name="retry")
        if policy_of(item.compensation_retry, name="compensation_retry") is None:
            raise TypeError("compensation_retry is None: give a policy, such as Retry(max_attempts=3)")
        proofs_of(item.not_applied, item.action)
        leaves_in_doubt(item.in_doubt, item.action)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{whose}: {error}") from None
    for option in ("effect", "at_most_once", "pivot"):
        _check_kind(whose, option, getattr(item, option), bool, "True or False")
    strategy = item.compensation_strategy
    if strategy not in ("deferred", "immediate", "conditional"):
        raise DefinitionError(f"{item.place}: compensation_strategy is {strategy!r}: give deferred, immediate or conditional")
    if (strategy == "conditional") > (item.compensation_when is not None) or (
        strategy == "deferred" and item.compensation_when is not None
    ):
        raise DefinitionError(
            f"{whose}: compensation_strategy='conditional' and compensation_when=lambda context, error: ... go together"
            " (or 'immediate', which may have a condition too)"
        )
    if item.compensation is None:
        if strategy != "deferred":
            raise DefinitionError(f"{whose} has a compensation_strategy but no compensation")
        return
    _check_call(item, "compensation", item.compensation, "result")
    if item.compensation_when is not None:
        _check_condition(item, "compensation_when", item.compensation_when, "(context, error)")


def _check_kind(whose: str, option: str, value: Any, kind: Any, due: str) -> None:
    if not isinstance(value, kind):
        raise DefinitionError(f"{whose}: {option} is {value!r}: give {due}")


def _check_call(item: Any, what: str, function: Callable[..., Any], second: str) -> None:
    """An action or compensation: of the context, or of the context and what is named by `second`."""
    due = f"(context) or (context, {second})"
    is_undo = second == "result"
    signature = _signature(item, what, function, due)
    try:
        undo_call(signature, None, None, None) if is_undo else table_call(signature, None, second, None)
    except TypeError:
        raise _takes_other(item, what, function, due) from None


def _check_condition(item: Any, what: str, function: Callable[..., Any], due: str) -> None:
    """What decides: of two arguments, and not async."""
    signature = _signature(item, what, function, due)
    if is_async(function):
        raise DefinitionError(
            f"{_place(function, item)}: the {what} of step {item.name!r} is async, but it only computes: write a plain function"
        )
    try:
        signature.bind(None, None)
    except TypeError:
        raise _takes_other(item, what, function, due) from None


def _signature(item: Any, what: str, function: Any, due: str) -> inspect.Signature:
    if not callable(function) or isinstance(function, type):
        raise DefinitionError(f"{item.place}: the {what} of step {item.name!r} is {function!r}: give a function {due}")
    try:
        return plain_signature(function)
    except TypeError as error:
        raise DefinitionError(f"{item.place}: the {what} of step {item.name!r}: {error}") from None


def _takes_other(item: Any, what: str, function: Callable[..., Any], due: str) -> DefinitionError:
    names = ", ".join(inspect.signature(function).parameters)
    return DefinitionError(
        f"{_place(function, item)}: the {what} of step {item.name!r} takes ({names}); it is called with {due}"
    )  # fmt: skip


def _place(function: Callable[..., Any], item: Any) -> str:
    inner = getattr(function, "__func__", function)
    return place_of(inner) if hasattr(inner, "__code__") else str(item.place)


def _check_seconds(whose: str, what: str, value: Any) -> None:
    if value is None:
        return
    try:
        if to_ms(value, name=what) == 0:
            raise ValueError(f"{what} is {value!r}, which is too short for any step: leave it out for no time-out")
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{whose}: {error}") from None


def _check_dependencies(items: Sequence[Any]) -> None:
    names = [item.name for item in _flat(items)]
    graph: dict[str, list[str]] = {}
    before: list[str] = []
    for item in items:
        for name in _dependencies(item):
            if name not in names:
                close = get_close_matches(name, names, 1)
                advice = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
                raise DefinitionError(f"{item.place}: step {item.name!r} depends on {name!r}, which isn't a step{advice}")
        graph[item.name] = before if item.depends_on is None else list(item.depends_on)
        before = [item.name]
        members: Sequence[Any] = item.steps if isinstance(item, Parallel) else ()
        for member in members:
            graph[member.name] = [item.name]  # a member is done when its group is, as far as a cycle goes
    if cycle := _cycle(graph):
        place = next(item.place for item in items if item.name in cycle)
        raise DefinitionError(f"{place}: steps depend on each other in a circle: {' -> '.join(cycle)}")


def _dependencies(item: Any) -> Sequence[str]:
    if item.depends_on is None:
        return ()
    found = _names_or_steps(item.depends_on, f"{item.place}: depends_on of step {item.name!r}", "a list of names")
    for place, name in enumerate(found):
        if not isinstance(name, str) or name in found[:place]:
            words = "not a name" if not isinstance(name, str) else "there twice"
            raise DefinitionError(f"{item.place}: depends_on of step {item.name!r}: {name!r} is {words}")
    return found


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


def _order(saga: Saga, items: Sequence[Any], where: str) -> list[str] | None:
    try:
        order: Any = saga.compensation_order()
    except Exception as error:
        raise DefinitionError(f"{where}: compensation_order() failed: {failed_with(error)}") from error
    if order is None:
        return None
    names = order_units(items)
    for place, name in enumerate(_names_or_steps(order, f"{where}: compensation_order()", "a list of names")):
        if name not in names:
            close = get_close_matches(name, names, 1) if isinstance(name, str) else []
            advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
            raise DefinitionError(f"{where}: compensation_order() names {name!r}, which isn't a step: {advice}")
        if name in order[:place]:
            raise DefinitionError(f"{where}: compensation_order() names {name!r} twice")
    return list(order)


def sub_sagas(items: Sequence[Any]) -> list[Any]:
    """What the table holds as sub-sagas, in its groups too."""
    return [one.saga for one in _flat(items) if isinstance(one, SubSaga)]


def _flat(items: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        found += [item, *(item.steps if isinstance(item, Parallel) else ())]
    return found


def failed_with(error: BaseException) -> str:
    """The error and where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({last[0].filename}:{last[0].lineno})" if last else ""
    return f"{type(error).__name__}: {error}{place}"


def class_place(kind: type[Saga]) -> str:
    try:
        return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):
        return f"{kind.__module__}.{kind.__qualname__}"
