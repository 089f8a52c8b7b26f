"""Messages to one run: kept until the saga reads them, handed to handlers where the saga declares them.

A handler is a unit of its own: when it fails, what it did is undone, that is recorded, and the saga goes on. The same holds
for a message whose value does not fit: it is rejected, and who waits for it waits on. Handlers that are at work when the saga's
code is done are let finish. What comes after that is recorded as unread.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition, signature_of
from durable_saga.errors import DecodeError
from durable_saga.failures.failures import failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.aside import Decode
from durable_saga.replay.history import kind_of
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.scopes import Scopes
from durable_saga.replay.standing import Standing
from durable_saga.replay.tape import Tape


@dataclass(frozen=True, slots=True)
class _Waiter:
    future: asyncio.Future[Any]
    annotation: Any


class _Decoded(NamedTuple):
    """A message's value as a handler or a waiter takes it: for this one, or for others of this annotation."""

    taker: Any
    value: Any


class Signals:
    """Unread messages and the code that waits for them, by name, both in order of arrival."""

    __slots__ = (
        "_decoded", "_handling", "_kept", "_listening", "_loop", "_scopes", "_standing", "_tape", "_waiting", "undecodable",
    )  # fmt: skip

    def __init__(
        self, definition: SagaDefinition, tape: Tape, standing: Standing, loop: SagaLoop, scopes: Scopes
    ) -> None:  # fmt: skip
        self._tape, self._standing, self._loop, self._scopes = tape, standing, loop, scopes
        self._kept: dict[str, deque[h.SignalReceived]] = {}
        self._waiting: dict[str, deque[_Waiter]] = {}
        self.undecodable: list[str] = []
        self._handling: list[asyncio.Task[Any]] = []
        self._decoded: _Decoded | None = None
        self._listening: list[tuple[SagaDefinition, str]] = [(definition, "")]

    def enter(self, child: SagaDefinition, path: str) -> None:
        """A child saga begins: its handlers come before its parent's. `path`: of its task."""
        self._listening.append((child, path))

    def leave(self, child: SagaDefinition, path: str) -> None:
        self._listening.remove((child, path))

    def decode(self, fact: h.SignalReceived) -> Decode | None:
        """What gives the value to who takes it, as far as that is known now; None: nobody yet."""
        if self._standing.is_done:
            return None
        for definition, _ in reversed(self._listening):
            if (handler := definition.handlers.get(fact.name)) is not None:
                return lambda: _Decoded(handler, codec.decode_call(fact.input.data, signature_of(handler)))
        for waiter in self._waiting.get(fact.name, ()):
            if not waiter.future.done():
                return lambda: _Decoded(waiter.annotation, _value(fact, waiter.annotation))
        return None

    def received(self, fact: h.SignalReceived) -> None:
        given = self._tape.take_given()
        self._decoded = given if isinstance(given, _Decoded) else None
        try:
            self._receive(fact)
        finally:
            self._decoded = None

    def _receive(self, fact: h.SignalReceived) -> None:
        if self._standing.is_done:
            self.keep(fact)
            return
        for definition, path in reversed(self._listening):
            if (handler := definition.handlers.get(fact.name)) is not None:
                self._handle(handler, fact, path)
                return
        for definition, path in reversed(self._listening):
            if definition.any_signal is not None:
                self._handle_any(definition.any_signal, fact, path)
                return
        self.keep(fact)

    def keep(self, fact: h.SignalReceived) -> None:
        """For the code that waits for it, now or later."""
        self._kept.setdefault(fact.name, deque()).append(fact)
        self._match(fact.name)

    async def wait(self, name: str, annotation: Any) -> Any:
        loop = self._loop
        if self._standing.refuses or loop.discarded:
            await loop.refused()
        waiter = _Waiter(loop.create_future(), annotation)
        self._waiting.setdefault(name, deque()).append(waiter)
        self._match(name)
        return await waiter.future

    def awaited(self) -> list[str]:
        """Names of those that code waits for, in order of the first wait."""
        return [name for name, waiting in self._waiting.items() if any(not one.future.done() for one in waiting)]

    def unread(self) -> list[str]:
        return self.undecodable + self.kept()

    def kept(self) -> list[str]:
        return [fact.message_id for queue in self._kept.values() for fact in queue]

    @property
    def is_handling(self) -> bool:
        return any(not task.done() for task in self._handling)

    async def handled(self) -> None:
        """Wait until no handler runs."""
        while running := [task for task in self._handling if not task.done()]:
            await asyncio.wait(running[:1])

    def _take_decoded(self, taker: Any) -> _Decoded | None:
        """The value of the message that is being told, if it was decoded for this taker."""
        decoded, self._decoded = self._decoded, None
        return decoded if decoded is not None and decoded.taker is taker else None

    def _failed_the_saga(self) -> bool:
        """In histories of before handlers were units of their own."""
        history = self._tape.history
        if not history.replaying or history.holds_in_this_activation("signal_rejected"):
            return False
        return any(
            kind in ("saga_held", "saga_ended") or (kind == "unwind_started" and not event.unwind_started.call)
            for event in history.activation()[0]
            for kind in [kind_of(event)]
        )

    def _match(self, name: str) -> None:
        kept, waiting = self._kept.get(name, deque()), self._waiting.get(name, deque())
        while kept and waiting:
            waiter = waiting.popleft()
            if waiter.future.done():
                continue  # cancelled or timed out while it waited
            fact = kept.popleft()
            try:
                known = None if kept else self._take_decoded(waiter.annotation)
                waiter.future.set_result(_value(fact, waiter.annotation) if known is None else known.value)
            except DecodeError as error:
                if self._is_of_before("signal_rejected"):
                    waiter.future.set_exception(error)
                else:
                    self._reject(fact, fact.message_id, error)
                    waiting.appendleft(waiter)

    def _handle(self, handler: Any, fact: h.SignalReceived, path: str) -> None:
        try:
            known = self._take_decoded(handler)
            args, kwargs = codec.decode_call(fact.input.data, signature_of(handler)) if known is None else known.value
        except (DecodeError, TypeError) as error:
            self._refuse(fact, error)
            return
        self._run(fact, path, handler, args, kwargs)

    def _handle_any(self, handler: Any, fact: h.SignalReceived, path: str) -> None:
        try:
            value = _value(fact, Any)
        except DecodeError as error:
            self._refuse(fact, error)
            return
        self._run(fact, path, handler, (fact, value), {})

    def _refuse(self, fact: h.SignalReceived, error: Exception) -> None:
        """Somebody else's bad message is no failure of the saga."""
        if self._is_of_before("signal_rejected"):
            self.undecodable.append(fact.message_id)
        else:
            self._reject(fact, fact.message_id, error)

    def _reject(self, fact: h.SignalReceived, call: str, error: BaseException) -> None:
        if self._tape.takes_back:
            return  # it was recorded then, and that is not taken back
        self._tape.ask(h.Event(signal_rejected=h.SignalRejected(
            call=call, message_id=fact.message_id, name=fact.name, failure=failure_from_exception(error),
        )))  # fmt: skip

    def _is_of_before(self, kind: str) -> bool:
        """This activation stands in a history that was made when there was no such event."""
        history = self._tape.history
        return history.replaying and history.activation()[1] and not history.holds_in_this_activation(kind)

    def _run(
        self, fact: h.SignalReceived, path: str, handler: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:  # fmt: skip
        standing = self._standing

        async def run() -> None:
            entered = self._scopes.enter_handler(fact.name, path)
            try:
                outcome = handler(*args, **kwargs)
                if inspect.isawaitable(outcome):
                    await outcome
            except (Exception, asyncio.CancelledError) as error:
                if standing.stopping or self._loop.discarded or self._failed_the_saga():
                    raise
                if isinstance(error, asyncio.CancelledError) and (standing.is_over or self._is_of_before("signal_rejected")):
                    raise  # the engine ends it with the saga
                await self._scopes.undo_handler(entered, error)
                self._reject(fact, entered.unit.call, error)

        context = self._loop.carry.context(self._loop.carried, fact.carried_values.data)
        task = self._loop.create_task(run(), context=context)
        task.add_done_callback(self._handler_done)
        self._handling = [*(one for one in self._handling if not one.done()), task]

    def _handler_done(self, task: asyncio.Task[Any]) -> None:
        """An error in a signal handler is an error of the saga."""
        if not task.cancelled() and (error := task.exception()) is not None and self._standing.stop is None:
            self._standing.interrupt(error)


def _value(fact: h.SignalReceived, annotation: Any) -> Any:
    """One argument is the value, none is None, several are a tuple."""
    return codec.decode_message(fact.input.data, annotation, where=f"signal {fact.name}")
