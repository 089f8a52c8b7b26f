"""A declared saga as one function saga: its checks, and one run of its table."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from durable_saga import codec
from durable_saga.authoring.inside import event, state
from durable_saga.authoring.query import methods_of
from durable_saga.authoring.saga import SagaFunction
from durable_saga.declared.declarative import (
    AnySaga,
    Parallel,
    Saga,
    SagaStep,
    Step,
    SubSaga,
    WaitForEvent,
    core_of_saga,
    running_event,
    running_table,
)
from durable_saga.declared.declared_checks import check, class_place, defined, sub_sagas
from durable_saga.declared.declared_order import in_order, order_units
from durable_saga.declared.table_versions import items_at
from durable_saga.definition.binding import table_call, undo_call
from durable_saga.definition.definition import CompensationDefinition, SagaDefinition, StepDefinition
from durable_saga.definition.retry import error_types, to_ms
from durable_saga.errors import DefinitionError
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.run import Core

Call = tuple[list[Any], dict[str, Any]]


_being_compiled: set[type[Saga]] = set()
_of_class: dict[type[Saga], SagaFunction[..., Any]] = {}


def function_of(saga: AnySaga) -> SagaFunction[..., Any]:
    """The function saga behind either way of writing one. Raises DefinitionError, with file and line, and TypeError for what
    is no saga."""
    if isinstance(saga, SagaFunction):
        return saga
    if isinstance(saga, type) and issubclass(saga, Saga):
        if saga not in _of_class:
            _of_class[saga] = compile_saga(_made(saga))
        return _of_class[saga]
    if isinstance(saga, Saga):
        return compile_saga(saga)
    raise TypeError(f"{saga!r} isn't a saga: mark a function with @saga, or give a subclass of Saga")


def _made(saga: type[Saga]) -> Saga:
    try:
        return saga()
    except Exception as error:
        why = f"{saga.__qualname__}() can't be made without arguments, so give an instance: {type(error).__name__}: {error}"
        raise DefinitionError(f"{class_place(saga)}: {why}") from error


def _compile_subs(saga: Saga, items: Sequence[SagaStep]) -> None:
    """Errors in them are found now. A table may hold itself as a sub-saga."""
    outermost = type(saga) not in _being_compiled
    _being_compiled.add(type(saga))
    try:
        for one in sub_sagas(items):
            if not isinstance(one, SagaFunction) and (one if isinstance(one, type) else type(one)) not in _being_compiled:
                function_of(one)
    finally:
        if outermost:
            _being_compiled.discard(type(saga))


def compile_saga(saga: Saga) -> SagaFunction[..., Any]:
    """Raises DefinitionError for a table that is wrong."""
    items = defined(saga)
    order = check(saga, items)
    _compile_subs(saga, items)
    running: WeakKeyDictionary[Core, list[Execution]] = WeakKeyDictionary()

    async def run(context: Any) -> dict[str, Any]:
        key = core_of_saga()
        execution = Execution(saga, items_at(items, key.versions.at(key.loop.scope().path)), context)
        running.setdefault(key, []).append(execution)  # several, where the saga is a child of its own kind
        running_table.set(execution)
        try:
            return await execution.run()
        finally:
            running[key].remove(execution)
            if not running[key]:
                del running[key]

    async def on_event(fact: h.SignalReceived, data: Any) -> None:
        core = core_of_saga()
        if executions := running.get(core):
            running_event.set(fact)
            running_table.set(executions[-1])
            outcome: Any = saga.handle_event(fact.name, data, core.key.saga)
            if inspect.isawaitable(outcome):
                await outcome

    run.__name__, run.__qualname__ = saga.name, type(saga).__qualname__
    run.__doc__ = type(saga).__doc__
    return SagaFunction(
        SagaDefinition(
            name=saga.name, function=run, timeout_ms=0 if saga.timeout is None else to_ms(saga.timeout, name="timeout"),
            handlers={}, compensation_order=None if order is None else partial(in_order, order_units(items), order),
            compensation_parallel=saga.compensation_parallel, retry=saga.retry, hold=saga.when_failed == "hold",
            keys=lambda context: saga.keys(context), attributes=lambda context: saga.attributes(context), any_signal=on_event,
            version=saga.version, table=lambda context: Execution(saga, items, context).definitions(),
            module=type(saga).__module__, queries=methods_of(saga),
        )
    )  # fmt: skip


class Execution:
    """One run of a table. What a step and its compensation get is the context as it was at the start, a copy each time."""

    def __init__(self, saga: Saga, items: Sequence[SagaStep], context: Any) -> None:
        self._saga = saga
        self._items = items
        self._context = context
        self._data = codec.encode(context, where="context")
        self._results: dict[str, Any] = {}
        self._skipped: set[str] = set()
        self._done = {name: asyncio.Event() for name in _names(items)}

    async def run(self) -> dict[str, Any]:
        before: list[str] = []
        waiting: list[Coroutine[Any, Any, None]] = []
        for item in self._items:
            dependencies = before if item.depends_on is None else [name for name in item.depends_on if name in self._done]
            waiting.append(self._after(item, dependencies))
            before = [_name(item)]
        await _all(waiting)
        return {name: self._results[name] for name in _names(self._items) if name in self._results}

    async def _after(self, item: SagaStep, dependencies: Sequence[str]) -> None:
        for name in dependencies:
            await self._done[name].wait()
        missing = [name for name in dependencies if name in self._skipped]
        if missing and item.when_skipped == "skip":
            self._skip(item, f"{', '.join(missing)} was skipped")
        elif not self._is_due(item):
            self._skip(item, "its condition says no")
        elif isinstance(item, Parallel):
            await _all([self._after(member, ()) for member in item.steps])
        else:
            self._results[_name(item)] = await self._saga.execute_step(_name(item), self._context, state)
        self._done[_name(item)].set()

    def _is_due(self, item: SagaStep) -> bool:
        if item.condition is None:
            return True
        says = item.condition(copy.deepcopy(self._context), copy.deepcopy(self._results))
        if inspect.isawaitable(says):
            if inspect.iscoroutine(says):
                says.close()
            raise TypeError(
                f"{item.place}: the condition of step {_name(item)!r} is async, but it only computes: write a plain function"
            )
        return bool(says)

    def _skip(self, item: SagaStep, reason: str) -> None:
        core = core_of_saga()
        for name in _names([item]):
            self._skipped.add(name)
            self._results[name] = None
            skipped = h.StepSkipped(call=core.loop.scope().next(), name=name, reason=reason)
            core.tape.ask(h.Event(step_skipped=skipped))
            self._done[name].set()

    def definitions(self) -> dict[str, StepDefinition]:
        """Of its steps, by name: what undoes them needs nothing but the context."""
        steps = [one for item in self._items for one in (item.steps if isinstance(item, Parallel) else (item,))]
        return {one.name: self._definition(one) for one in steps if isinstance(one, Step)}

    def item(self, name: str) -> SagaStep:
        """Raises ValueError for a name that is not in the table."""
        for item in self._items:
            for one in [item, *(item.steps if isinstance(item, Parallel) else ())]:
                if _name(one) == name:
                    return one
        raise ValueError(f"saga {self._saga.name} has no step {name!r}; it has {', '.join(_names(self._items))}")

    async def call(self, name: str) -> Any:
        """The step itself."""
        item = self.item(name)
        if isinstance(item, WaitForEvent):
            return await event(item.event, timeout=item.timeout)
        if isinstance(item, SubSaga):
            make = item.context or (lambda context, _: context)
            given = make(self._context, copy.deepcopy(self._results))
            return await core_of_saga().children.call(function_of(item.saga).definition, (given,), {}, label=name)
        assert isinstance(item, Step), f"{name} is a step"
        return await core_of_saga().calls.call(self._definition(item), (), {})

    def _definition(self, item: Step) -> StepDefinition:
        results = dict(self._results)
        given = _arguments(item.action, self._data, results)
        definition = StepDefinition(
            name=item.name, function=_without_arguments(item.action, given), retry=item.retry, effect=item.effect,
            timeout_ms=0 if item.timeout is None else to_ms(item.timeout, name="timeout"), pivot=item.pivot,
            at_most_once=item.at_most_once, compensation=self._compensation(item),
            not_applied=error_types(item.not_applied, name="not_applied"), in_doubt_leave=item.in_doubt == "leave",
        )  # fmt: skip
        definition.__dict__["result_type"] = _result_type(item.action)
        return definition

    def _compensation(self, item: Step) -> CompensationDefinition | None:
        undo, when = item.compensation, item.compensation_when
        if undo is None:
            return None
        context = self._context
        limit = item.compensation_timeout
        return CompensationDefinition(
            name=getattr(undo, "__name__", item.name), function=_undo(undo, self._data), retry=item.compensation_retry,
            timeout_ms=0 if limit is None else to_ms(limit, name="compensation_timeout"), takes_result=True,
            takes_error=True, immediate=item.compensation_strategy == "immediate",
            when=None if when is None else (lambda error: when(context, error)), once=(self, item.name),
        )  # fmt: skip


def _name(item: SagaStep) -> str:
    return str(item.name)  # type: ignore[attr-defined]  # every kind of step has one; the base has no place for it


def _names(items: Sequence[SagaStep]) -> list[str]:
    found: list[str] = []
    for item in items:
        found.append(_name(item))
        found += [_name(member) for member in item.steps] if isinstance(item, Parallel) else []
    return found


async def _all(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all; the first failure, in the order of the table, cancels the others and is raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        await _cancel(tasks)
        raise
    await _cancel(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        return inspect.signature(function)


def _annotation(parameter: inspect.Parameter) -> Any:
    known = parameter.annotation is not inspect.Parameter.empty and not isinstance(parameter.annotation, str)
    return parameter.annotation if known else Any


def _result_type(function: Callable[..., Any]) -> Any:
    try:
        annotation = inspect.signature(function, eval_str=True).return_annotation
    except NameError:
        return Any
    return Any if annotation is inspect.Signature.empty else annotation


def _arguments(action: Callable[..., Any], data: bytes, results: Mapping[str, Any]) -> Callable[[], Call]:
    """The context is decoded and the results are copied for each attempt: what it does to them is seen by nobody else."""
    signature = _signature(action)

    def given() -> Call:
        return table_call(signature, _context(signature, data), "results", copy.deepcopy(dict(results)))

    return given


def _context(signature: inspect.Signature, data: bytes) -> Any:
    first = next(iter(signature.parameters.values()))
    return codec.decode(data, Any if first.kind is first.VAR_POSITIONAL else _annotation(first), where="context")


def _without_arguments(action: Callable[..., Any], given: Callable[..., Call]) -> Callable[..., Any]:
    """The table's arguments are no part of the journal: they follow from the saga's own. `given` tells them to a mock."""

    async def run(**result: Any) -> Any:
        args, named = given(**result)
        return await action(*args, **named)

    def run_plain(**result: Any) -> Any:
        args, named = given(**result)
        return action(*args, **named)

    chosen: Any = run if inspect.iscoroutinefunction(action) else run_plain
    chosen.given = given
    return chosen  # type: ignore[no-any-return]


def _undo(undo: Callable[..., Any], data: bytes) -> Callable[..., Any]:
    signature = _signature(undo)

    def given(result: Any, error: BaseException | None = None) -> Call:
        return undo_call(signature, _context(signature, data), result, error)

    return _without_arguments(undo, given)
