"""Scopes and child sagas: parts of a saga that are undone as one unit, without failing the saga that catches the error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context, ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition
from durable_saga.definition.retry import Retry
from durable_saga.errors import SagaTimedOut, UnsupportedOperation
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.closing import Discarded
from durable_saga.replay.loop import SagaTask
from durable_saga.replay.unwind import Entry, Scope

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

_current: ContextVar[Scope | None] = ContextVar("durable_saga_scope", default=None)
_handler: ContextVar[Handler | None] = ContextVar("durable_saga_handler", default=None)
_child: ContextVar[tuple[str, SagaDefinition, str] | None] = ContextVar("durable_saga_child", default=None)


def current_scope(core: Core) -> Scope:
    """Where a compensation that is registered now belongs."""
    return _current.get() or core.stack.root


def enlist(core: Core, item: Entry | Scope) -> None:
    """It is undone with the scope that it stands in, and, in a signal handler, with that."""
    scope, handler = current_scope(core), _handler.get()
    if isinstance(item, Entry):
        core.stack.register(item, scope)
    else:
        scope.items.append(item)
    if handler is not None and handler.outside is scope:
        handler.unit.items.append(item)


def child_path() -> str:
    """The call id of the child saga whose code runs now, empty in the saga itself."""
    child = _child.get()
    return child[0] if child else ""


def child_name() -> str:
    """By which the state of the child saga whose code runs now is known, empty in the saga itself."""
    child = _child.get()
    return child[2] if child else ""


def default_retry(core: Core) -> Retry | None:
    """What the saga, or the child saga, whose code runs now declares for its steps."""
    child = _child.get()
    return (child[1] if child else core.definition).retry


class OpenScope:
    """`async with`: what is registered inside is undone when the block fails, before the error goes on to the code around
    it. What completed is undone later, as one unit, if the saga fails. When the saga is stopped, its own unwind does it."""

    def __init__(
        self, core: Core, *, name: str, saga_type: str = "", order: Callable[[list[str]], list[str]] | None = None,
        parallel: bool = False, label: str = "",
    ) -> None:  # fmt: skip
        self._core = core
        self._scope = Scope("", name, order, parallel, label=label)
        self._saga_type = saga_type
        self._token: Token[Scope | None] | None = None

    async def __aenter__(self) -> None:
        core = self._core
        if core.forward.refuses or core.loop.discarded:
            await core.forward.refused()
        self._scope.call = core.loop.scope().next()
        opened = h.ScopeOpened(call=self._scope.call, name=self._scope.name, saga_type=self._saga_type)
        core.ask(h.Event(scope_opened=opened))
        enlist(core, self._scope)
        self._token = _current.set(self._scope)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        core = self._core
        assert self._token is not None, "a scope is left after it was entered"
        if not core.loop.discarded:
            _current.reset(self._token)
        if (
            error is None
            or core.stopping
            or core.loop.discarded
            or isinstance(error, GeneratorExit | Discarded)
            or core.continuing.asked_in(error)
        ):
            return
        inside = list(self._scope.scopes())
        await _stop_tasks(core, lambda context: any(context.get(_current) is one for one in inside))
        await core.unwinding.scope_failed(self._scope, error)


class Handler:
    """One signal handler at work: a unit of its own. If it fails, what it did is undone, and the saga goes on. `outside` is the
    scope that it stands in: if that unwinds, so does what the handler did, at its place."""

    def __init__(self, core: Core, name: str) -> None:
        self._core = core
        self.outside = current_scope(core)
        self.unit = Scope("", name)

    def enter(self) -> None:
        """In the handler's own task."""
        self.unit.call = self._core.loop.scope().path
        _handler.set(self)

    async def undo(self, error: BaseException) -> None:
        """Ends when all is settled."""
        await _stop_tasks(self._core, lambda context: context.get(_handler) is self)
        if not self.unit.settled():
            await self._core.unwinding.scope_failed(self.unit, error)


async def _stop_tasks(core: Core, is_inside: Callable[[Context], bool]) -> None:
    """What was begun inside and still goes on (the others of a gather, a task nobody waits for) is cancelled first, so
    that no step is undone while it runs, and none begins behind the unwind."""
    here = asyncio.current_task()
    while tasks := [one for one in core.loop.tasks.values() if one is not here and is_inside(one.own_context)]:
        ended = core.loop.create_future()
        left = set(tasks)

        def one_ended(task: asyncio.Task[Any], left: set[SagaTask] = left, ended: asyncio.Future[Any] = ended) -> None:
            left.discard(task)
            if not left and not ended.done():
                ended.set_result(None)

        for task in tasks:
            task.add_done_callback(one_ended)
            task.cancel()
        await wait_shielded(core, ended)


async def wait_shielded(core: Core, future: asyncio.Future[Any]) -> None:
    """Can't be cancelled, but by the end of the saga."""
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            if core.stopping:
                raise  # the whole saga unwinds now, and this scope with it


def run_child(
    core: Core, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], *, label: str = ""
) -> Coroutine[Any, Any, Any]:
    """What calling a saga inside a saga gives. `label` is its name in the compensation order of its parent, where that is not
    its own."""
    if core.judging:
        raise UnsupportedOperation(
            f"saga {definition.name} can't be called in a condition or an order of compensations: these only compute"
        )
    unawaited = core.calls.unawaited
    key = unawaited.key()

    async def run() -> Any:
        unawaited.begun(key)
        return await _run_child(core, definition, args, kwargs, label)

    return unawaited.made(key, definition.name, run(), depth=3)


async def _run_child(core: Core, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], label: str) -> Any:
    """A saga awaited by a saga: a part of the same run and history, with a scope, calls and state of its own."""
    definition.signature.bind(*args, **kwargs)
    data = codec.encode_call(
        args, kwargs, where=f"saga {definition.name}", signature=definition.signature, function=definition.function,
    )  # fmt: skip
    own_args, own_kwargs = codec.decode_call(data, definition.signature)

    async def run() -> Any:
        scope = OpenScope(
            core, name=definition.name, saga_type=definition.name, order=definition.compensation_order,
            parallel=definition.compensation_parallel, label=label,
        )  # fmt: skip
        path = core.loop.scope().path
        _child.set((path, definition, core.state.name_of_child(child_name(), label or definition.name)))
        core.declared.declare(definition, own_args, own_kwargs, path=path)
        core.signals.enter(definition)
        limit = asyncio.timeout(definition.timeout_ms / 1000 or None)
        try:
            async with scope, limit:
                value = await _call(core, definition, own_args, own_kwargs)
        except TimeoutError as error:
            if limit.expired():
                raise SagaTimedOut(f"child saga {definition.name} took longer than its timeout") from error
            raise
        finally:
            core.signals.leave(definition)
        what, kind = f"result of saga {definition.name}", definition.result_type
        return codec.decode(codec.encode(value, where=what, annotation=kind, function=definition.function), kind, where=what)

    return await core.loop.create_task(run(), name=definition.name)


async def _call(core: Core, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        return await definition.function(*args, **kwargs)
    except Exception as error:
        if definition.hold and not core.stopping and core.continuing.asked_in(error) is None:
            await core.forward.hold_for_child(error)
        raise
