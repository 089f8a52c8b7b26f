"""Child sagas: sagas that a saga calls. Each is a part of the same run and history, with a scope, calls and state of
its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import SagaTimedOut
from durable_saga.replay.keys import Declared
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.next_run import next_run_asked_in
from durable_saga.replay.scopes import Scopes
from durable_saga.replay.signals import Signals
from durable_saga.replay.standing import Standing
from durable_saga.replay.state import State
from durable_saga.replay.surroundings import ChildSaga, child_name, of_child
from durable_saga.replay.unawaited import Unawaited


class Children:
    __slots__ = ("_declared", "_loop", "_scopes", "_signals", "_standing", "_state", "_unawaited")

    def __init__(
        self, standing: Standing, loop: SagaLoop, scopes: Scopes, state: State, signals: Signals, declared: Declared,
        unawaited: Unawaited,
    ) -> None:  # fmt: skip
        self._standing, self._loop, self._scopes, self._state = standing, loop, scopes, state
        self._signals, self._declared, self._unawaited = signals, declared, unawaited

    def call(
        self, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], *, label: str = ""
    ) -> Coroutine[Any, Any, Any]:
        """What calling a saga inside a saga gives. `label` is its name in the compensation order of its parent, where that is
        not its own."""
        self._standing.check_not_asked(f"saga {definition.name} can't be called")
        unawaited = self._unawaited
        key = unawaited.key()

        async def run() -> Any:
            unawaited.begun(key)
            return await self._run(definition, args, kwargs, label)

        return unawaited.made(key, definition.name, run(), depth=3)

    async def _run(self, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], label: str) -> Any:
        definition.signature.bind(*args, **kwargs)
        data = codec.encode_call(
            args, kwargs, where=f"saga {definition.name}", signature=definition.signature, function=definition.function,
        )  # fmt: skip
        own_args, own_kwargs = codec.decode_call(data, definition.signature)

        async def run() -> Any:
            scope = self._scopes.new(
                definition.name, child=definition, order=definition.compensation_order,
                parallel=definition.compensation_parallel, label=label, input=data if definition.table is not None else b"",
            )  # fmt: skip
            path = self._loop.scope().path
            of_child.set(ChildSaga(path, definition, self._state.name_of_child(child_name(), label or definition.name)))
            self._declared.declare(definition, own_args, own_kwargs, path=path)
            self._signals.enter(definition, path)
            limit = asyncio.timeout(definition.timeout_ms / 1000 or None)
            try:
                async with scope, limit:
                    value = await self._call(definition, own_args, own_kwargs)
            except TimeoutError as error:
                if limit.expired():
                    raise SagaTimedOut(f"child saga {definition.name} took longer than its timeout") from error
                raise
            finally:
                self._signals.leave(definition, path)
            what, kind = f"result of saga {definition.name}", definition.result_type
            return codec.decode(
                codec.encode(value, where=what, annotation=kind, function=definition.function), kind, where=what
            )  # fmt: skip

        return await self._loop.create_task(run(), name=definition.name)

    async def _call(self, definition: SagaDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        try:
            return await definition.function(*args, **kwargs)
        except Exception as error:
            if definition.hold and not self._standing.stopping and next_run_asked_in(error) is None:
                await self._hold(error)
            raise

    async def _hold(self, error: BaseException) -> None:
        """A child saga that is to be held failed: the whole saga is held as it stands. Ends only by cancellation."""
        self._standing.failed_child = error
        try:
            await self._loop.create_future()
        finally:
            self._standing.failed_child = None
