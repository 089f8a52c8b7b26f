"""One attempt of a step or compensation: what it has (a task, a thread, room, a time), and how far it is.

    waiting --it gets its turn--> begun --its code ends--> over
    wanted --its outcome is told, or it is cancelled or dropped--> not wanted

The two go on side by side: code that is not wanted any more may still run, and until it is over nothing else of its call
begins.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from durable_saga.authoring.step_context import StepContext, Stop, current
from durable_saga.errors import StepTimedOut
from durable_saga.hooks import Call, Hook, around
from durable_saga.replay.commands import RunCompensation, RunStep
from durable_saga.worker.threads import Threads, Work

EXPIRED = "its time-out is over"


class Attempt:
    """Use it on the worker's loop. `before` is the attempt that must be over first; `due_at`: it may begin since then."""

    __slots__ = (
        "_began_at", "_over", "_release", "_timer", "before", "began", "due_at", "effect", "is_called", "is_dropped",
        "is_expired", "is_hooked", "is_over", "is_wanted", "stop", "task", "timeout_ms", "was_told", "work",
    )  # fmt: skip

    def __init__(self, effect: RunStep | RunCompensation, before: Attempt | None, due_at: float) -> None:
        self.effect = effect
        self.due_at = due_at
        self.before = before
        self.task: asyncio.Task[None] | None = None
        self.work: Work | None = None
        self.stop = Stop()
        self.began = self.is_over = self.is_dropped = self.is_expired = self.is_hooked = self.is_called = False
        self.is_wanted, self.was_told = True, False
        self.timeout_ms = 0
        self._began_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._release: Callable[[], None] | None = None
        self._over: asyncio.Future[None] | None = None

    @property
    def is_first(self) -> bool:
        """No attempt of this call before it can have had an effect."""
        effect = self.effect
        return effect.attempt == 1 and not (isinstance(effect, RunStep) and effect.interrupted)

    @property
    def is_without_effect(self) -> bool:
        """Proven: none before it can have had one, and its function was not called."""
        return self.is_first and (not self.began or (self.is_hooked and not self.is_called))

    @property
    def is_working(self) -> bool:
        """Its thread goes on."""
        return self.work is not None and not self.work.is_done

    # --- what is done to it --------------------------------------------------------------------------------------------

    def admit(self, release: Callable[[], None]) -> None:
        """It has room; `release` gives that back."""
        self._release = release
        self.began = True

    def set_off(self, now: float, timeout_ms: int, timer: asyncio.TimerHandle | None) -> None:
        """Its code begins. `timeout_ms` 0: it has no time-out."""
        self._began_at, self.timeout_ms, self._timer = now, timeout_ms, timer

    def seconds(self, now: float) -> float:
        """How long its code has run."""
        return max(now - self._began_at, 0.0) if self._began_at else 0.0

    def seconds_unlimited(self, now: float) -> float:
        """How long it has been at work without a time-out; 0.0: it has one, or is not at work."""
        if self.timeout_ms or self.is_over or not self.is_wanted or not self._began_at:
            return 0.0
        return now - self._began_at

    def cancel(self, reason: str) -> None:
        self.stop.reason = reason
        if self.task is not None:
            self.task.cancel(reason)

    def expire(self) -> None:
        self.is_expired = True
        self.cancel(EXPIRED)

    def give_room_back(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None

    def close(self) -> None:
        """Its code has ended, or will never begin."""
        self.give_room_back()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.is_over = True
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    # --- what it does --------------------------------------------------------------------------------------------------

    def waits_for(self, other: Attempt) -> bool:
        before = self.before
        while before is not None and before is not other:
            before = before.before
        return before is not None

    async def wait_for_those_before(self, seconds_max: float) -> None:
        """One that was cancelled before its turn leaves the one that it waited for."""
        before = self.before
        while before is not None:
            await before.wait_until_over(seconds_max)
            before = before.before
        self.before = None

    async def wait_until_over(self, seconds_max: float) -> None:
        if not self.is_over:
            if self._over is None:
                self._over = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._over], timeout=seconds_max)

    async def call(self, make_context: Callable[[], StepContext], threads: Threads) -> tuple[Any, BaseException | None]:
        """What the function returned, or raised in its thread. Raises what it raised on the loop."""
        effect = self.effect
        function = effect.definition.function
        current.set(make_context)  # in the context of this task
        if effect.definition.is_async:
            return await function(*effect.args, **effect.kwargs), None
        context = contextvars.copy_context()
        self.work = work = threads.submit(partial(context.run, function, *effect.args, **effect.kwargs))
        await work.ended
        if work.error is None and inspect.isawaitable(work.value):
            self.work = None
            return await work.value, None
        return work.value, work.error

    async def call_within(
        self, hooks: tuple[Hook, ...], call: Call, make_context: Callable[[], StepContext], threads: Threads
    ) -> tuple[Any, BaseException | None]:  # fmt: skip
        """As call(), with hooks around it: they are part of the attempt, and learn of its time-out as the saga does."""
        self.is_hooked = True  # from here on: its function is called by the last of them, or not at all
        current.set(make_context)

        async def function() -> Any:
            if self.stop.reason:  # a hook has swallowed that
                raise asyncio.CancelledError(self.stop.reason)
            self.is_called = True
            try:
                value, error = await self.call(make_context, threads)
            except asyncio.CancelledError as cancelled:
                if not self.is_expired:
                    raise
                raise self.timed_out() from cancelled
            if error is not None:
                raise error
            return value

        return await around(hooks, call, function), None

    def timed_out(self) -> StepTimedOut:
        return StepTimedOut(f"{self.effect.definition.name} took longer than {self.timeout_ms / 1000} s")

    def is_too_late(self, now: float) -> bool:
        """Its time-out was over when it ended, also where nothing could interrupt it."""
        seconds = self.timeout_ms / 1000
        if not seconds:
            return False
        if self.work is not None and not self.is_hooked:
            return self.work.seconds > seconds  # by its own thread: the loop may have been busy
        return self.is_expired or now - self._began_at > seconds
