"""The forward part of a run: the main coroutine of the saga, from its start to the point where it ends, fails or is stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from durable_saga import codec
from durable_saga.errors import LimitExceeded, NotSerializable, SwallowedCancellation
from durable_saga.pb import history_pb2 as h

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

CANCELLATION_ROUNDS_MAX = 20


class Forward:
    """Owns the main task and the reason why it is being stopped. `cancels`: the saga then ends as cancelled. `asked_for`: the
    reason came from outside, so the saga unwinds even where an error of its own would hold it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.main: asyncio.Task[Any] | None = None
        self.stop: BaseException | None = None
        self.cancels = False
        self._asked_for = False

    def start(self, fact: h.SagaStarted) -> None:
        """Raises DecodeError when the arguments don't fit."""
        core = self._core
        args, kwargs = codec.decode_call(fact.input.data, core.definition.signature)
        core.start_keys.declare(fact.keys, args, kwargs)
        task = core.loop.create_task(core.definition.function(*args, **kwargs), name=core.definition.name)
        task.scope = core.loop.root  # type: ignore[attr-defined]
        core.loop.root.count = 0
        self.main = task

    def interrupt(self, reason: BaseException, *, cancels: bool = False, asked_for: bool = False) -> None:
        """The first reason counts."""
        if self.stop is None:
            self.stop, self.cancels, self._asked_for = reason, cancels, asked_for
            if self.main is not None:
                self.main.cancel(str(reason))

    def handler_done(self, task: asyncio.Task[Any]) -> None:
        """An error in a signal handler is an error of the saga."""
        if not task.cancelled() and (error := task.exception()) is not None and self.stop is None:
            self.interrupt(error)

    def settle(self) -> None:
        """After an activation: see whether the forward part is over, and end, hold or unwind the run."""
        core = self._core
        assert self.main is not None, "a history starts with saga_started"
        if not self.main.done() and self.stop is not None:
            self._cancel_all()
        if not self.main.done():
            if self.stop is not None:
                core.fail(SwallowedCancellation(f"the saga went on waiting after it was stopped ({self.stop})"))
            return
        self._cancel_all()
        error = asyncio.CancelledError() if self.main.cancelled() else self.main.exception()
        if self.stop is not None and (error is None or isinstance(error, asyncio.CancelledError)):
            error = self.stop
        if self.stop is None and (data := core.continuing.asked_in(error)) is not None:
            core.continuing.go_on(data)
            return
        if core.unwinding.has_parts and (error is None or self.is_to_be_held):
            return  # what is being undone comes to its end first
        if error is None:
            self._complete(self.main.result())
        else:
            core.fail(error)

    @property
    def is_to_be_held(self) -> bool:
        """Whether an error of the saga's code leads to a person instead of an unwind."""
        return self._core.holding.past_pivot or (self._core.definition.hold and not self._asked_for)

    def _cancel_all(self) -> None:
        """Cancel every task that is left, again while they go on; bounded."""
        loop = self._core.loop
        for _ in range(CANCELLATION_ROUNDS_MAX):
            if not loop.tasks:
                return
            for task in list(loop.tasks.values()):
                task.cancel()
            loop.run_until_idle()

    def _complete(self, result: Any) -> None:
        core = self._core
        core.calls.cancel_all()
        core.state.flush()
        try:
            data = codec.encode(result, where=f"result of saga {core.definition.name}")
        except (NotSerializable, LimitExceeded) as error:
            core.fail(error)
            return
        core.end(h.COMPLETED, result=data)

    def idle_at(self) -> str:
        """Where the main coroutine waits, for messages."""
        if self.main is None or self.main.done():
            return "the end of the saga" if self.main is not None else "the start of the saga"
        frames = self.main.get_stack()
        place = next((f for f in reversed(frames) if "durable_saga." not in f.f_globals.get("__name__", "")), None)
        return f"{place.f_code.co_filename}:{place.f_lineno} in {place.f_code.co_qualname}" if place else "unknown"
