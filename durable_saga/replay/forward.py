"""The forward part of a run: the main coroutine of the saga, from its start to the point where it ends, fails or is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from durable_saga import codec
from durable_saga.errors import LimitExceeded, NonDeterminism, NotSerializable, SwallowedCancellation
from durable_saga.pb import history_pb2 as h
from durable_saga.replay.aside import Decode
from durable_saga.replay.closing import Discarded
from durable_saga.replay.commands import NOT_DECODED

if TYPE_CHECKING:
    from durable_saga.replay.run import Core

CANCELLATION_ROUNDS_MAX = 20


class Forward:
    """Owns the main task and the reason why it is being stopped. `cancels`: the saga then ends as cancelled. `asked_for`: the
    reason came from outside, so the saga unwinds even where an error of its own would hold it. `cannot_start`: why its code
    can't be called; nothing of it ran, so all that can be done with such a run is to end it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.main: asyncio.Task[Any] | None = None
        self.stop: BaseException | None = None
        self.cancels = False
        self._asked_for = False
        self._failed_child: BaseException | None = None
        self.cannot_start: Exception | None = None
        self.is_over = False  # what is left of its code is being cancelled, for good

    def start(self, fact: h.SagaStarted) -> None:
        core = self._core
        task = core.loop.create_task(self._first(fact), name=core.definition.name)
        task.scope = core.loop.root  # type: ignore[attr-defined]
        core.loop.root.count = 0
        self.main = task

    def decode(self, fact: h.SagaStarted) -> Decode:
        """What start() will decode."""
        return partial(codec.decode_call, fact.input.data, self._core.definition.signature)

    def _first(self, fact: h.SagaStarted) -> Coroutine[Any, Any, Any]:
        core = self._core
        try:
            given, core.given = core.given, NOT_DECODED
            args, kwargs = self.decode(fact)() if given is NOT_DECODED else given
            core.declared.declare(core.definition, args, kwargs, start=fact)
            return core.definition.function(*args, **kwargs)  # type: ignore[no-any-return]
        except Exception as error:
            self.cannot_start = error
            return _never()

    def check_cancelled(self) -> None:
        """A cancellation is delivered at every await: once asked for, nothing new can be begun."""
        if self.refuses:
            raise asyncio.CancelledError(str(self.stop))

    @contextmanager
    def told_why_it_cannot_start(self) -> Iterator[None]:
        """A history goes on behind a start that is impossible now: that is what is wrong, not where it goes on."""
        try:
            yield
        except NonDeterminism as error:
            raise self.cannot_start or error from None

    def interrupt(self, reason: BaseException, *, cancels: bool = False, asked_for: bool = False) -> None:
        """The first reason counts."""
        if self.stop is None:
            self.stop, self.cancels, self._asked_for = reason, cancels, asked_for
            if self.main is not None:
                self.main.cancel(str(reason))

    @property
    def refuses(self) -> bool:
        """Nothing new can be begun."""
        return self.stop is not None and self._core.phase == "forward"

    def refused(self) -> Coroutine[Any, Any, Any]:
        """What an await of a stopped or dropped run gives. Raises at once; code that takes no notice of that waits."""
        core = self._core
        if core.loop.refuses():
            if core.loop.discarded:
                raise Discarded
            core.forward.check_cancelled()
        return core.loop.never()

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
            if self._failed_child is not None and self.stop is None and not core.unwinding.has_parts:
                core.fail(self._failed_child)
            elif self.stop is not None:
                core.fail(SwallowedCancellation(f"the saga went on waiting after it was stopped ({self.stop})"))
            return
        if self.stop is None and core.signals.is_handling and self._ended_well() and not core.history.ended_at_once():
            return  # what was acknowledged is carried out before the end
        self._cancel_all()
        if core.loop.generators.close_all():
            core.loop.run_until_idle()
            self._cancel_all()
        error = asyncio.CancelledError() if self.main.cancelled() else self.main.exception()
        if self.stop is not None and (error is None or isinstance(error, asyncio.CancelledError)):
            error = self.stop
        if self.stop is None and (data := core.continuing.asked_in(error)) is not None:
            core.continuing.go_on(data)
            return
        if core.unwinding.has_parts and (error is None or self.is_to_be_held):
            return  # what is being undone comes to its end first
        if error is None and not core.history.ended_at_once():
            error = core.calls.unawaited.take_error()
        if error is None:
            self._complete(self.main.result())
        else:
            core.fail(error)

    @property
    def is_to_be_held(self) -> bool:
        """Whether an error of the saga's code leads to a person instead of an unwind."""
        wanted = self._core.definition.hold or self._failed_child is not None
        return self._core.holding.past_pivot or (wanted and not self._asked_for)

    async def hold_for_child(self, error: BaseException) -> None:
        """A child saga that is to be held failed: the whole saga is held as it stands. Ends only by cancellation."""
        self._failed_child = error
        try:
            await self._core.loop.create_future()
        finally:
            self._failed_child = None

    @property
    def is_done(self) -> bool:
        """The saga's own code is: nothing new is begun."""
        return self.main is not None and self.main.done()

    def _ended_well(self) -> bool:
        assert self.main is not None, "a history starts with saga_started"
        return not self.main.cancelled() and self.main.exception() is None

    def _cancel_all(self) -> None:
        """Cancel every task that is left, again while they go on; bounded."""
        loop, self.is_over = self._core.loop, True
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
            data = codec.encode(
                result, where=f"result of saga {core.definition.name}", annotation=core.definition.result_type,
                function=core.definition.function,
            )  # fmt: skip
        except (NotSerializable, LimitExceeded) as error:
            core.fail(error)
            return
        core.unwinding.settle(partial(core.end, h.COMPLETED, result=data), result=data)

    def idle_at(self) -> str:
        """Where the main coroutine waits, for messages."""
        if self.main is None or self.main.done():
            return "the end of the saga" if self.main is not None else "the start of the saga"
        frames = self.main.get_stack()
        place = next((f for f in reversed(frames) if "durable_saga." not in f.f_globals.get("__name__", "")), None)
        return f"{place.f_code.co_filename}:{place.f_lineno} in {place.f_code.co_qualname}" if place else "unknown"


async def _never() -> None:
    await asyncio.get_running_loop().create_future()
