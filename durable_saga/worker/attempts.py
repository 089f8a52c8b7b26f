"""Runs attempts of steps and compensations, bounded, and reports each outcome as a fact.

Async functions run on the worker's loop, plain ones in threads. An attempt always leaves a fact, whatever it raises; only one
that is cancelled leaves none, unless it proves something: that it never began, that it was not applied, or a result which came
after all. An attempt that took too long is reported at once. Nothing else of its call begins before it ends, or before
LINGER_SECONDS_MAX are over; then it is given up, and so is one that swallows its cancellation.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any

from durable_saga.authoring.step_context import StepContext, key_prefix
from durable_saga.clock import Chance, Clock
from durable_saga.codec.decode import ASIDE_ABOVE_BYTES
from durable_saga.definition.retry import Retry
from durable_saga.errors import StepInterrupted, StepTimedOut
from durable_saga.hooks import Call, Hook
from durable_saga.machine import Machine
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import RunCompensation, RunStep
from durable_saga.replay.carrying import NOTHING_CARRIED, Carry
from durable_saga.replay.commands import NOT_DECODED
from durable_saga.worker.attempt import Attempt
from durable_saga.worker.failing import FailureLog
from durable_saga.worker.outcomes import (
    TO_CHECK,
    Circumstances,
    check,
    ended,
    failed,
    is_proof,
    is_tried_again,
    late,
    not_applied,
    rejected,
)
from durable_saga.worker.recording import Recording
from durable_saga.worker.room import Room, watching_over
from durable_saga.worker.threads import Threads

LINGER_SECONDS_MAX = 60.0
SWALLOWED_AFTER_SECONDS = 0.1
"""So long may an async attempt take to end when its time is over, before it is reported without waiting for it."""
STRAY_CANCEL_SECONDS = 1.0
TELL_SLOW_SECONDS = 60.0
"""An attempt without a time-out that is at work for longer is told in the log, once."""
Report = Callable[..., object]
"""Called with a fact, and for one that settles its attempt with the result of Fact too."""


class Executor:
    """What attempts of a worker have in common."""

    def __init__(
        self, concurrency: int, clock: Clock, retry: Retry, chance: Chance, step_timeout_ms: int = 0,
        hooks: tuple[Hook, ...] = (), carry: Carry = NOTHING_CARRIED,
    ) -> None:  # fmt: skip
        self.hooks, self.carry = hooks, carry
        self.step_timeout_ms = step_timeout_ms  # of steps without one of their own, 0: none
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()  # of the worker, with what its lifespans set
        self.retry = retry
        self.room = Room(concurrency, self.loop)
        self.threads = Threads()
        self.clock = clock
        self.chance = chance
        is_cached = type(self.loop).__module__.startswith("uvloop")  # its time stands still while a step blocks it
        self.time: Callable[[], float] = Machine.monotonic if is_cached else self.loop.time
        self.failures = FailureLog(self.time)
        self._watching = watching_over(self.room, self.threads)
        self._watching.start()

    def close(self) -> None:
        self._watching.stop()
        self.failures.close()
        self.threads.close()


class Attempts:
    """The attempts of one run, by call. `report` gets a fact for each; it returns True if the fact was recorded.
    `forward_only` tells whether the run is past its pivot, where a step that fails is always tried again, also one that was
    begun before."""

    def __init__(
        self, executor: Executor, key: h.RunKey, incarnation: bytes, epoch: int, report: Report,
        forward_only: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._executor = executor
        self._key, self.record = key, Recording(key, executor.failures)
        self._calls = key_prefix(key, incarnation)
        self._epoch, self._report, self._forward_only = epoch, report, forward_only
        self.version_at: Callable[[str], int] = lambda call: 1  # of its saga's code, for a step
        self.carried = b""  # by the start of its run
        self._last: dict[str, Attempt] = {}
        self._wanted = 0

    def __len__(self) -> int:
        """Those that somebody waits for."""
        return self._wanted

    def start(self, effect: RunStep | RunCompensation) -> None:
        """Behind the attempt of the same call that is under way. A compensation that waits for that one too is replaced."""
        before = self._last.get(effect.call)
        if before is not None and not before.began and isinstance(before.effect, RunCompensation):
            self._drop(before)
            before = before.before
        attempt = self._last[effect.call] = Attempt(effect, before, self._executor.time())
        self._wanted += 1
        attempt.task = self._executor.loop.create_task(self._run(attempt), context=self._executor.context.copy())
        attempt.task.add_done_callback(partial(self._task_done, attempt))

    def cancel(self, call: str) -> None:
        """What it does from now on is reported only if it proves something."""
        if (attempt := self._last.get(call)) is not None:
            self._unwant(attempt)
            attempt.cancel("the attempt was cancelled")
            self._executor.loop.call_later(SWALLOWED_AFTER_SECONDS, attempt.give_room_back)

    def cancel_all(self) -> None:
        """The run is not here any more; nothing is reported."""
        for attempt in list(self._last.values()):
            self._drop(attempt)
            self._executor.loop.call_later(SWALLOWED_AFTER_SECONDS, attempt.give_room_back)

    def take_back(self) -> list[RunStep | RunCompensation]:
        """Those that have not begun, and don't begin now."""
        found = [one for one in self._last.values() if one.is_wanted and not one.began]
        for attempt in found:
            self._drop(attempt)
        return [one.effect for one in found]

    def tell_slow(self) -> None:
        """A warning, once, for each attempt that nothing ends and that is at work for long."""
        now = self._executor.time()
        for attempt in self._last.values():
            if not attempt.was_told and (seconds := attempt.seconds_unlimited(now)) > TELL_SLOW_SECONDS:
                attempt.was_told = True
                self.record.slow(attempt.effect, seconds)

    def _drop(self, attempt: Attempt) -> None:
        self._unwant(attempt)
        attempt.is_dropped = True
        attempt.cancel("the saga continues on another worker, or has ended")

    def _unwant(self, attempt: Attempt) -> None:
        if attempt.is_wanted:
            attempt.is_wanted = False
            self._wanted -= 1

    # --- one attempt -----------------------------------------------------------------------------------------------------

    async def _run(self, attempt: Attempt) -> None:
        room, threads = self._executor.room, self._executor.threads
        if attempt.before is not None:
            await attempt.wait_for_those_before(LINGER_SECONDS_MAX)
        if threads.hung and not attempt.effect.definition.is_async:
            await threads.has_room()
        await room.enter(attempt, self._key.saga)
        attempt.admit(partial(room.leave, attempt))
        value, error = None, None
        try:
            value, error = await self._invoke(attempt)
        except BaseException as found:
            if isinstance(found, GeneratorExit) and not self._executor.loop.is_running():
                raise  # nobody runs this any more
            error = found
        if attempt.is_working:
            self._leave_its_thread(attempt)
            return
        if attempt.work is not None and not attempt.is_hooked:
            value, error = attempt.work.value, attempt.work.error
        if (large := self._ended(attempt, value, error)) is not None:
            await self._check_aside(attempt, value, large)

    async def _invoke(self, attempt: Attempt) -> tuple[Any, BaseException | None]:
        effect, definition = attempt.effect, attempt.effect.definition
        if isinstance(effect, RunStep) and effect.interrupted and effect.definition.at_most_once:
            raise StepInterrupted(
                f"step {definition.name} was cut off in attempt {effect.attempt}; it is declared at_most_once"
            )
        timeout_ms = definition.timeout_ms or (self._executor.step_timeout_ms if isinstance(effect, RunStep) else 0)
        timer = self._executor.loop.call_later(timeout_ms / 1000, self._expired, attempt) if timeout_ms else None
        attempt.set_off(now := self._executor.time(), timeout_ms, timer)
        self.record.attempt_began(now - attempt.due_at)
        with self.record.span(effect) as span:
            value, error = await _called(self, attempt, self._executor)
            if error is not None:
                span.failed(error)
            return value, error

    def _expired(self, attempt: Attempt) -> None:
        attempt.expire()
        self._executor.loop.call_later(SWALLOWED_AFTER_SECONDS, self._swallowed, attempt)

    def _swallowed(self, attempt: Attempt) -> None:
        """It does not end although its time is over: it is not waited for."""
        if attempt.is_wanted and not attempt.is_over:
            attempt.give_room_back()
            self._time_out(attempt)

    # --- how it ended ------------------------------------------------------------------------------------------------------

    def _ended(self, attempt: Attempt, value: Any, error: BaseException | None) -> h.Event | None:
        """Its code has ended: by itself, or because it was cancelled. Gives the event of a large result, to be checked."""
        attempt.close()
        if attempt.is_dropped:
            return None
        if not attempt.is_wanted:
            self._tell_late(attempt, value, error)
        elif attempt.is_too_late(self._executor.time()) and not _is_proof(attempt, error):
            self._time_out(attempt, error)
            self._tell_late(attempt, value, error)
        elif isinstance(error, asyncio.CancelledError) and attempt.task is not None and attempt.task.cancelling():
            self._executor.loop.call_later(STRAY_CANCEL_SECONDS, self._stray, attempt, error)
        else:
            event, result = ended(attempt.effect, value, error, self._around, aside_above=ASIDE_ABOVE_BYTES)
            if result is TO_CHECK:
                return event
            self._settle(attempt, event, result)
        return None

    async def _check_aside(self, attempt: Attempt, value: Any, event: h.Event) -> None:
        """In a thread. It has ended: what cancels it meanwhile learns of its result at once."""
        effect, result, wrong = attempt.effect, NOT_DECODED, None
        assert isinstance(effect, RunStep), "compensations have no result"
        with suppress(asyncio.CancelledError):
            result, wrong = await asyncio.to_thread(check, effect, event.step_completed.result.data)
        if attempt.is_dropped:
            return
        if not attempt.is_wanted:
            self._tell_late(attempt, value, None)
        elif wrong is not None:
            self._settle(attempt, rejected(effect, value, wrong, self._around()))
        else:
            self._settle(attempt, event, result)

    def _stray(self, attempt: Attempt, error: BaseException) -> None:
        """It was cancelled, and not by us. The program ends, and then nobody comes here; or the step has cancelled itself."""
        if attempt.is_wanted:
            self._settle(attempt, *ended(attempt.effect, None, error, self._around))

    def _leave_its_thread(self, attempt: Attempt) -> None:
        """It is cancelled or too late, in a thread that can't be stopped; or one that has not even begun."""
        work = attempt.work
        assert work is not None, "it is working"
        if work.withdraw():
            attempt.began = False
            attempt.close()
            if attempt.is_wanted:
                self._time_out(attempt)
            else:
                self._tell_unbegun(attempt)
            return

        def came_back() -> None:
            attempt.close()
            if not attempt.is_dropped:
                self._tell_late(attempt, work.value, work.error)
            self._forget(attempt)

        work.given_up(came_back)
        attempt.give_room_back()
        if attempt.is_wanted:
            self._time_out(attempt)

    def _time_out(self, attempt: Attempt, cause: BaseException | None = None) -> None:
        error = attempt.timed_out()
        error.__cause__ = cause.__cause__ if isinstance(cause, StepTimedOut) else cause
        event = failed(attempt.effect, error, self._around())
        self._settle(attempt, event)

    def _settle(self, attempt: Attempt, event: h.Event, result: Any = NOT_DECODED) -> None:
        """Its outcome is told."""
        self._unwant(attempt)
        if event.HasField("step_failed") and attempt.is_without_effect:
            event.step_failed.failure.not_applied = True
        if attempt.is_over:
            self._forget(attempt)
        executor = self._executor
        self.record.attempt_ended(attempt.effect, event, attempt.seconds(executor.time()), executor.clock.now_ms())
        self._report(event, result)

    def _tell_late(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        """What it proves after all."""
        if isinstance(attempt.effect, RunStep) and (event := late(attempt.effect, value, error)) is not None:
            self._tell(attempt, event)

    def _tell_unbegun(self, attempt: Attempt) -> None:
        if isinstance(attempt.effect, RunStep) and attempt.is_first and not attempt.is_dropped:
            error = asyncio.CancelledError("cancelled before it began")
            self._tell(attempt, not_applied(attempt.effect, error))

    def _tell(self, attempt: Attempt, event: h.Event) -> None:
        """A compensation that waits for this attempt is replaced by one that knows of it."""
        if self._report(event) is True:
            last = self._last.get(attempt.effect.call)
            if last is not None and last.waits_for(attempt) and isinstance(last.effect, RunCompensation):
                self._drop(last)

    def _around(self) -> Circumstances:
        executor = self._executor
        return Circumstances(executor.retry, executor.clock.now_ms(), executor.chance.random(), self._forward_only())

    def _task_done(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        attempt.task = None  # its context leads back here: such circles wait for the collector, and make it come often
        if task.cancelled() and not attempt.is_over:  # it did not come to its turn
            attempt.close()
            if not attempt.is_wanted:
                self._tell_unbegun(attempt)
        if attempt.is_over and not attempt.is_wanted and self._last.get(attempt.effect.call) is attempt:
            self._forget(attempt)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # the loop's handler shows it: an error of ours

    def _forget(self, attempt: Attempt) -> None:
        """One that never had its turn leaves the one that it waited for."""
        call = attempt.effect.call
        if self._last.get(call) is attempt:
            before = attempt.before
            while before is not None and before.is_over:
                before = before.before
            if before is not None:
                self._last[call] = before
            else:
                del self._last[call]


def _is_proof(attempt: Attempt, error: BaseException | None) -> bool:
    return error is not None and isinstance(attempt.effect, RunStep) and is_proof(attempt.effect.definition, error)


def _context(attempts: Attempts, attempt: Attempt) -> StepContext:
    effect, key = attempt.effect, attempts._key
    of_call = f"{attempts._calls}{effect.call}{'' if isinstance(effect, RunStep) else '/undo'}"
    return StepContext(
        of_call, attempts._epoch, key.saga, effect.call, effect.attempt, effect.definition.name, key.run,
        attempts.record.saga_type, attempts.version_at(effect.call), attempt.stop,
    )  # fmt: skip


def _called(
    attempts: Attempts, attempt: Attempt, executor: Executor
) -> Awaitable[tuple[Any, BaseException | None]]:  # fmt: skip
    """Its function, with what it carries, within the hooks. Raises DecodeError."""
    if attempts.carried or attempt.effect.carried:
        executor.carry.bind(attempts.carried, attempt.effect.carried)  # in the context of this task
    make_context = partial(_context, attempts, attempt)
    if executor.hooks:
        return attempt.call_within(executor.hooks, _call_of(attempts, attempt.effect), make_context, executor.threads)
    return attempt.call(make_context, executor.threads)


def _call_of(attempts: Attempts, effect: RunStep | RunCompensation) -> Call:
    """What hooks see of it."""
    key = attempts._key
    return Call(
        "step" if isinstance(effect, RunStep) else "compensation", effect.definition.name, key.namespace, key.saga,
        tuple(effect.args), MappingProxyType(effect.kwargs), attempts.record.saga_type, key.run, effect.call, effect.attempt,
        lambda error: is_tried_again(effect, error, attempts._around()),
    )  # fmt: skip
