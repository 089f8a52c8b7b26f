"""The forward part of a run: the main coroutine of the saga, from its start to the point where it ends, fails or is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from durable_saga import codec
from durable_saga.definition.definition import SagaDefinition
from durable_saga.errors import NonDeterminism, SwallowedCancellation
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.aside import Decode
from durable_saga.replay.commands import NOT_DECODED
from durable_saga.replay.ending import Ending
from durable_saga.replay.keys import Declared
from durable_saga.replay.loop import SagaLoop
from durable_saga.replay.next_run import next_run_asked_in
from durable_saga.replay.signals import Signals
from durable_saga.replay.standing import Standing
from durable_saga.replay.tape import Tape
from durable_saga.replay.unawaited import Unawaited
from durable_saga.replay.unwinding import Unwinding

CANCELLATION_ROUNDS_MAX = 20


class Forward:
    """Starts the saga's code, and sees when it is over. `cannot_start`: why its code can't be called; nothing of it ran, so all
    that can be done with such a run is to end it."""

    __slots__ = (
        "_declared", "_definition", "_ending", "_loop", "_signals", "_standing", "_tape", "_unawaited", "_unwinding",
        "cannot_start",
    )  # fmt: skip

    def __init__(
        self, definition: SagaDefinition, tape: Tape, standing: Standing, loop: SagaLoop, declared: Declared,
        unawaited: Unawaited, signals: Signals, unwinding: Unwinding, ending: Ending,
    ) -> None:  # fmt: skip
        self._definition, self._tape, self._standing, self._loop, self._declared = definition, tape, standing, loop, declared
        self._unawaited, self._signals, self._unwinding, self._ending = unawaited, signals, unwinding, ending
        self.cannot_start: Exception | None = None

    def start(self, fact: h.SagaStarted) -> None:
        root = self._loop.root
        loop = self._loop
        loop.carried = fact.carried_values.data
        context = loop.carry.context(loop.carried)
        task = loop.create_task(self._first(fact), name=self._definition.name, context=context)
        task.scope = root  # type: ignore[attr-defined]
        root.count = 0
        self._standing.main = task

    def decode(self, fact: h.SagaStarted) -> Decode:
        """What start() will decode."""
        return partial(codec.decode_call, fact.input.data, self._definition.signature)

    def _first(self, fact: h.SagaStarted) -> Coroutine[Any, Any, Any]:
        definition = self._definition
        try:
            given = self._tape.take_given()
            args, kwargs = self.decode(fact)() if given is NOT_DECODED else given
            self._declared.declare(definition, args, kwargs, start=fact)
            return definition.function(*args, **kwargs)  # type: ignore[no-any-return]
        except Exception as error:
            self.cannot_start = error
            return _never()

    @contextmanager
    def told_why_it_cannot_start(self) -> Iterator[None]:
        """A history goes on behind a start that is impossible now: that is what is wrong, not where it goes on."""
        try:
            yield
        except NonDeterminism as error:
            raise self.cannot_start or error from None

    def settle(self) -> None:
        """After an activation: see whether the forward part is over, and end, hold or unwind the run."""
        standing, ending = self._standing, self._ending
        main = standing.main
        assert main is not None, "a history starts with saga_started"
        if not main.done():
            if standing.stop is None:
                if standing.failed_child is not None and not self._unwinding.has_parts:
                    ending.fail(standing.failed_child)
                return
            self._cancel_all()
            if not main.done():
                ending.fail(SwallowedCancellation(f"the saga went on waiting after it was stopped ({standing.stop})"))
                return
        loop, history = self._loop, self._tape.history
        if standing.stop is None and self._signals.is_handling and _ended_well(main) and not history.ended_at_once():
            return  # what was acknowledged is carried out before the end
        self._cancel_all()
        if loop.generators.close_all():
            loop.run_until_idle()
            self._cancel_all()
        error = asyncio.CancelledError() if main.cancelled() else main.exception()
        if standing.stop is not None and (error is None or isinstance(error, asyncio.CancelledError)):
            error = standing.stop
        if standing.stop is None and (data := next_run_asked_in(error)) is not None:
            ending.go_on_in_next_run(data)
            return
        if self._unwinding.has_parts and (error is None or ending.is_to_be_held):
            return  # what is being undone comes to its end first
        if error is None and not history.ended_at_once():
            error = self._unawaited.take_error()
        if error is None:
            ending.complete(main.result())
        else:
            ending.fail(error)

    def _cancel_all(self) -> None:
        """Cancel every task that is left, again while they go on; bounded."""
        loop, self._standing.is_over = self._loop, True
        for _ in range(CANCELLATION_ROUNDS_MAX):
            if not loop.tasks:
                return
            for task in list(loop.tasks.values()):
                task.cancel()
            loop.run_until_idle()

    def idle_at(self) -> str:
        """Where the main coroutine waits, for messages."""
        main = self._standing.main
        if main is None or main.done():
            return "the end of the saga" if main is not None else "the start of the saga"
        frames = main.get_stack()
        place = next((f for f in reversed(frames) if "durable_saga." not in f.f_globals.get("__name__", "")), None)
        return f"{place.f_code.co_filename}:{place.f_lineno} in {place.f_code.co_qualname}" if place else "unknown"


def _ended_well(main: asyncio.Task[Any]) -> bool:
    return not main.cancelled() and main.exception() is None


async def _never() -> None:
    await asyncio.get_running_loop().create_future()
