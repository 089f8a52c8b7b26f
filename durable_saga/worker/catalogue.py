"""What a worker's modules have under a name: the steps, compensations and sagas of a run that is undone without its code.

It looks where the code of a saga could have reached it, nearest first: what the saga's function has kept, its module, what that
has imported, then the same for the other sagas of the worker. The first place that has the name decides; two different ones of
one name in one place are no answer, and neither is a step whose compensation has another name than the journal says, unless it
stands where the saga does. Only what is loaded is looked at: a name in a journal imports nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

from durable_saga.authoring.compensation import compensation_definition, registered_name
from durable_saga.authoring.saga import SagaFunction
from durable_saga.authoring.step import StepFunction
from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga, Saga
from durable_saga.definition.definition import CompensationDefinition, SagaDefinition, StepDefinition, place_of
from durable_saga.errors import CannotUndo, DurableSagaError

_OURS = "durable_saga"


class Catalogue:
    """`sagas`: those of a worker, to which others may be added later. Raises nothing but CannotUndo."""

    def __init__(self, sagas: Sequence[AnySaga]) -> None:
        self._sagas = sagas
        self._known: list[SagaFunction[..., Any]] = []
        self._known_at = (0, 0)

    def saga(self, name: str, /) -> SagaDefinition | None:
        for known in ([one for one in map(_function, self._sagas) if one is not None], self._known_sagas):
            found = {_identity(one.definition): one.definition for one in known if one.definition.name == name}
            if found:
                return next(iter(found.values())) if len(found) == 1 else None
        return None

    def step(self, saga: str, name: str, compensation: str, /) -> StepDefinition:
        def of(value: Any, is_own: bool) -> tuple[Any, StepDefinition] | None:
            if not isinstance(value, StepFunction) or value.definition.name != name:
                return None
            undo = value.definition.compensation
            is_it = is_own or (undo is not None and undo.name == compensation)
            return (value.definition.function, value.definition) if is_it else None

        found: StepDefinition = self._find(saga, f"step {name}", of)
        return found

    def undo(self, saga: str, name: str, /) -> CompensationDefinition:
        def of(value: Any, _: bool) -> tuple[Any, CompensationDefinition] | None:
            function = value.definition.function if isinstance(value, StepFunction) else value
            if not isinstance(function, FunctionType) or registered_name(function) != name:
                return None
            try:
                return function, compensation_definition(function)
            except (TypeError, ValueError):
                return None

        found: CompensationDefinition = self._find(saga, f"function {name}", of)
        return found

    def _find(self, saga: str, what: str, of: Callable[[Any, bool], tuple[Any, Any] | None]) -> Any:
        for is_own, place in self._places(saga):
            found = {id(hit[0]): hit for value in place if (hit := of(value, is_own)) is not None}
            if len(found) > 1:
                at = " and ".join(place_of(function) for function, _ in found.values())
                raise CannotUndo(f"there is more than one {what}, at {at}, and the journal does not say which it was")
            if found:
                return next(iter(found.values()))[1]
        raise CannotUndo(f"the modules of this worker have no {what}")

    # --- places ----------------------------------------------------------------------------------------------------------

    def _places(self, saga: str) -> Iterator[tuple[bool, Iterable[Any]]]:
        """Nearest first; those of the saga itself are its own."""
        own = [one for one in self._known_sagas if one.definition.name == saga]
        others = [one for one in map(_function, self._sagas) if one is not None and one not in own]
        for is_own, sagas in ((True, own), (False, others)):
            functions = [one.definition.function for one in sagas]
            yield is_own, [cell for function in functions for cell in _kept(function)]
            modules = _unique(_module_of(one) for one in sagas)
            yield is_own, [value for module in modules for value in _values(module)]
            imported = _unique(one for module in modules for one in vars(module).values() if isinstance(one, ModuleType))
            yield is_own, [value for module in imported if _is_of_user(module) for value in _values(module)]

    @property
    def _known_sagas(self) -> list[SagaFunction[..., Any]]:
        """Those of the worker, and those that their modules have: child sagas need not be the worker's."""
        if self._known_at != (now := (len(self._sagas), len(sys.modules))):
            self._known, self._known_at = self._look(), now
        return self._known

    def _look(self) -> list[SagaFunction[..., Any]]:
        known = [one for one in map(_function, self._sagas) if one is not None]
        for module in _unique(map(_module_of, known)):
            known += [one for one in map(_function, _values(module)) if one is not None]
        for one in [one for one in known if one.definition.table is None]:
            known += [found for found in map(_function, _kept(one.definition.function)) if found is not None]
        return list({_identity(one.definition): one for one in reversed(known)}.values())[::-1]


def _identity(definition: SagaDefinition) -> Any:
    """A declared saga is compiled for each of its instances."""
    is_declared = definition.table is not None
    return (definition.home, definition.function.__qualname__) if is_declared else id(definition.function)


def _function(value: Any) -> SagaFunction[..., Any] | None:
    is_saga = isinstance(value, SagaFunction | Saga) or (
        isinstance(value, type) and issubclass(value, Saga) and value is not Saga and bool(value.name)
    )
    if not is_saga:
        return None
    try:
        return function_of(value)
    except (DurableSagaError, TypeError):
        return None


def _module_of(saga: SagaFunction[..., Any]) -> ModuleType | None:
    return sys.modules.get(saga.definition.home)


def _unique(modules: Iterable[ModuleType | None]) -> list[ModuleType]:
    return list({id(one): one for one in modules if one is not None}.values())


def _is_of_user(module: ModuleType) -> bool:
    top = module.__name__.partition(".")[0]
    return top != _OURS and top not in sys.stdlib_module_names


def _values(module: ModuleType) -> Iterator[Any]:
    """What has a name in it, and what stands in its classes, dicts, lists and tuples."""
    for value in list(vars(module).values()):
        yield value
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield from map(_plain, list(vars(value).values()))
        elif type(value) is dict:
            yield from list(value.values())
        elif type(value) in (list, tuple):
            yield from value


def _plain(value: Any) -> Any:
    return value.__func__ if isinstance(value, staticmethod) else value


def _kept(function: Any) -> Iterator[Any]:
    """What a function that was made in another one has kept of it."""
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
