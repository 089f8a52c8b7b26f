"""What the code that runs now stands in: a scope, a signal handler, a child saga. Each task has its own, by context
variables."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from durable_saga.definition.definition import SagaDefinition
from durable_saga.definition.retry import Retry
from durable_saga.replay.carrying import of_message
from durable_saga.replay.unwind import Entry, Scope, Stack


@dataclass(frozen=True, slots=True, eq=False)
class HandlerUnit:
    """One signal handler at work. `unit` is what it did; `outside` is the scope that it stands in: if that unwinds, so does
    what the handler did, at its place."""

    outside: Scope
    unit: Scope


@dataclass(frozen=True, slots=True)
class ChildSaga:
    """`path` is the call id of the task that runs it, `name` that by which its state is known."""

    path: str
    definition: SagaDefinition
    name: str


of_scope: ContextVar[Scope | None] = ContextVar("durable_saga_scope", default=None)
of_handler: ContextVar[HandlerUnit | None] = ContextVar("durable_saga_handler", default=None)
of_child: ContextVar[ChildSaga | None] = ContextVar("durable_saga_child", default=None)


def current_scope(stack: Stack) -> Scope:
    """Where a compensation that is registered now belongs."""
    return of_scope.get() or stack.root


def enlist(stack: Stack, item: Entry | Scope) -> None:
    """It is undone with the scope that it stands in, and, in a signal handler, with that."""
    scope, handler = current_scope(stack), of_handler.get()
    if isinstance(item, Entry):
        item.carried = of_message.get()
        stack.register(item, scope)
        item.told = stack.told(item.call, scope)
    else:
        scope.items.append(item)
    if handler is not None and handler.outside is scope:
        handler.unit.items.append(item)


def child_path() -> str:
    """The call id of the child saga whose code runs now, empty in the saga itself."""
    child = of_child.get()
    return child.path if child else ""


def child_name() -> str:
    """By which the state of the child saga whose code runs now is known, empty in the saga itself."""
    child = of_child.get()
    return child.name if child else ""


def default_retry(definition: SagaDefinition) -> Retry | None:
    """What the saga of this definition, or the child saga whose code runs now, declares for its steps."""
    child = of_child.get()
    return (child.definition if child else definition).retry
