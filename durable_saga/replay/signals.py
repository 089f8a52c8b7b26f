"""Messages to one run: kept until the saga reads them, handed to handlers where the saga declares them."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_saga import codec
from durable_saga.definition import SagaDefinition
from durable_saga.errors import DecodeError
from durable_saga.pb import history_pb2 as h

if TYPE_CHECKING:
    from durable_saga.replay.run import Core


@dataclass(frozen=True, slots=True)
class _Waiter:
    future: asyncio.Future[Any]
    annotation: Any


class Signals:
    """Unread messages and the code that waits for them, by name, both in order of arrival."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kept: dict[str, deque[h.SignalReceived]] = {}
        self._waiting: dict[str, deque[_Waiter]] = {}
        self.undecodable: list[str] = []
        self._handling: list[asyncio.Task[Any]] = []
        self._listening: list[SagaDefinition] = [core.definition]

    def enter(self, child: SagaDefinition) -> None:
        """A child saga begins: its handlers come before its parent's."""
        self._listening.append(child)

    def leave(self, child: SagaDefinition) -> None:
        self._listening.remove(child)

    def received(self, fact: h.SignalReceived) -> None:
        for definition in reversed(self._listening):
            if (handler := definition.handlers.get(fact.name)) is not None:
                self._handle(handler, fact)
                return
        for definition in reversed(self._listening):
            if definition.any_signal is not None:
                self._handle_any(definition.any_signal, fact)
                return
        self.keep(fact)

    def keep(self, fact: h.SignalReceived) -> None:
        """For the code that waits for it, now or later."""
        self._kept.setdefault(fact.name, deque()).append(fact)
        self._match(fact.name)

    async def wait(self, name: str, annotation: Any) -> Any:
        core = self._core
        if core.forward.refuses or core.loop.discarded:
            await core.forward.refused()
        waiter = _Waiter(core.loop.create_future(), annotation)
        self._waiting.setdefault(name, deque()).append(waiter)
        self._match(name)
        return await waiter.future

    def unread(self) -> list[str]:
        return self.undecodable + self.kept()

    def kept(self) -> list[str]:
        return [fact.message_id for queue in self._kept.values() for fact in queue]

    async def handled(self) -> None:
        """Wait until no handler runs."""
        while running := [task for task in self._handling if not task.done()]:
            await asyncio.wait(running[:1])

    def _match(self, name: str) -> None:
        kept, waiting = self._kept.get(name, deque()), self._waiting.get(name, deque())
        while kept and waiting:
            waiter = waiting.popleft()
            if waiter.future.done():
                continue  # cancelled or timed out while it waited
            fact = kept.popleft()
            try:
                waiter.future.set_result(_value(fact, waiter.annotation))
            except DecodeError as error:
                waiter.future.set_exception(error)

    def _handle(self, handler: Any, fact: h.SignalReceived) -> None:
        try:
            args, kwargs = codec.decode_call(fact.input.data, inspect.signature(handler, eval_str=True))
        except (DecodeError, TypeError):
            self.undecodable.append(fact.message_id)  # somebody else's bad message is no failure of the saga
            return
        self._run(handler, args, kwargs)

    def _handle_any(self, handler: Any, fact: h.SignalReceived) -> None:
        try:
            value = _value(fact, Any)
        except DecodeError:
            self.undecodable.append(fact.message_id)
            return
        self._run(handler, (fact, value), {})

    def _run(self, handler: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        loop = self._core.loop

        async def run() -> None:
            outcome = handler(*args, **kwargs)
            if inspect.isawaitable(outcome):
                await outcome

        task = loop.create_task(run())
        task.add_done_callback(self._core.forward.handler_done)
        self._handling = [*(one for one in self._handling if not one.done()), task]


def _value(fact: h.SignalReceived, annotation: Any) -> Any:
    """One argument is the value, none is None, several are a tuple."""
    args = codec.decode(fact.input.data, where=f"signal {fact.name}")[0]
    if len(args) > 1:
        return tuple(args)
    if not args:
        return None
    return codec.decode(codec.encode(args[0], where=fact.name), annotation, where=f"signal {fact.name}")
