"""Scopes: parts of a saga that are undone as one unit, without failing the saga that catches the error. Those that its code
opens, those of its child sagas, and the units of its signal handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, Token
from types import TracebackType
from typing import Any

from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import NonDeterminism
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.closing import Discarded
from durable_saga.replay.loop import SagaLoop, SagaTask
from durable_saga.replay.next_run import next_run_asked_in
from durable_saga.replay.standing import Standing
from durable_saga.replay.surroundings import HandlerUnit, current_scope, enlist, of_handler, of_scope
from durable_saga.replay.tape import Tape
from durable_saga.replay.unwind import Scope, Stack
from durable_saga.replay.unwinding import Unwinding
from durable_saga.replay.versions import Versions


class Scopes:
    """Opens and leaves the scopes of one run."""

    __slots__ = ("_loop", "_stack", "_standing", "_tape", "_unwinding", "_versions")

    def __init__(
        self, tape: Tape, standing: Standing, loop: SagaLoop, stack: Stack, unwinding: Unwinding, versions: Versions
    ) -> None:  # fmt: skip
        self._tape, self._standing, self._loop, self._stack, self._unwinding = tape, standing, loop, stack, unwinding
        self._versions = versions

    def new(
        self, name: str, *, child: SagaDefinition | None = None, order: Callable[[list[str]], list[str]] | None = None,
        parallel: bool = False, label: str = "", input: bytes = b"",
    ) -> OpenScope:  # fmt: skip
        """For an `async with`. `input`: of a child saga whose compensations need it."""
        return OpenScope(self, Scope("", name, order, parallel, label=label), child, input)

    async def enter(self, scope: Scope, child: SagaDefinition | None, input: bytes) -> Token[Scope | None]:
        loop = self._loop
        if self._standing.refuses or loop.discarded:
            await loop.refused()
        scope.call = loop.scope().next()
        opened = h.ScopeOpened(
            call=scope.call, name=scope.name, tells_scopes=True, parallel=scope.parallel, ordered=scope.order is not None,
            label=scope.label, scope=self._stack.told(scope.call, current_scope(self._stack)),
        )  # fmt: skip
        if input:
            opened.input.data = input
        if child is not None:
            opened.saga_type = child.name
            try:
                version = self._versions.open(scope.call, child)
            except NonDeterminism as error:
                await loop.impossible(error)
            opened.version = version if version > 1 else 0
        self._tape.ask(h.Event(scope_opened=opened))
        enlist(self._stack, scope)
        if child is not None:
            self._stack.children[loop.scope().path] = scope
        return of_scope.set(scope)

    async def leave(self, scope: Scope, token: Token[Scope | None], error: BaseException | None) -> None:
        standing, loop = self._standing, self._loop
        if not loop.discarded:
            of_scope.reset(token)
        if (
            error is None
            or standing.stopping
            or loop.discarded
            or isinstance(error, GeneratorExit | Discarded)
            or next_run_asked_in(error)
        ):
            return
        inside = list(scope.scopes())
        await self._stop_tasks(lambda context: any(context.get(of_scope) is one for one in inside))
        await self._unwinding.scope_failed(scope, error)

    def enter_handler(self, name: str, path: str) -> HandlerUnit:
        """In the handler's own task. If it fails, what it did is undone, and the saga goes on. `path`: of the child saga that
        declares it, empty: the saga itself."""
        if path:
            self._versions.same(self._loop.scope().path, path)
        handler = HandlerUnit(current_scope(self._stack), Scope(self._loop.scope().path, name))
        of_handler.set(handler)
        return handler

    async def undo_handler(self, handler: HandlerUnit, error: BaseException) -> None:
        """Ends when all is settled."""
        await self._stop_tasks(lambda context: context.get(of_handler) is handler)
        if not handler.unit.settled():
            await self._unwinding.scope_failed(handler.unit, error)

    async def _stop_tasks(self, is_inside: Callable[[Context], bool]) -> None:
        """What was begun inside and still goes on (the others of a gather, a task nobody waits for) is cancelled first, so
        that no step is undone while it runs, and none begins behind the unwind."""
        here, loop = asyncio.current_task(), self._loop
        while tasks := [one for one in loop.tasks.values() if one is not here and is_inside(one.own_context)]:
            ended = loop.create_future()
            left = set(tasks)

            def one_ended(task: asyncio.Task[Any], left: set[SagaTask] = left, ended: asyncio.Future[Any] = ended) -> None:
                left.discard(task)
                if not left and not ended.done():
                    ended.set_result(None)

            for task in tasks:
                task.add_done_callback(one_ended)
                task.cancel()
            await self._standing.wait_shielded(ended)


class OpenScope:
    """`async with`: what is registered inside is undone when the block fails, before the error goes on to the code around
    it. What completed is undone later, as one unit, if the saga fails. When the saga is stopped, its own unwind does it."""

    def __init__(self, scopes: Scopes, scope: Scope, child: SagaDefinition | None, input: bytes) -> None:
        self._scopes, self._scope, self._child, self._input = scopes, scope, child, input
        self._token: Token[Scope | None] | None = None

    async def __aenter__(self) -> None:
        self._token = await self._scopes.enter(self._scope, self._child, self._input)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None, "a scope is left after it was entered"
        await self._scopes.leave(self._scope, self._token, error)
