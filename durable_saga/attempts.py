"""Runs attempts of steps and compensations, bounded, and reports each outcome as a fact.

Async functions run on the worker's loop, plain ones in its threads. An attempt that took too long is reported at once; if
its thread goes on, nothing else of that call starts before it ends (at most LINGER_SECONDS_MAX).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from durable_saga import codec
from durable_saga.clock import Chance, Clock
from durable_saga.errors import StepInterrupted, StepTimedOut, failure_from_exception
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import RunCompensation, RunStep
from durable_saga.retry import Retry, decide, delay_ms
from durable_saga.step_context import StepContext, current

LINGER_SECONDS_MAX = 60.0
Report = Callable[[h.Event], object]


class Executor:
    """The room that a worker has for attempts: `concurrency` at once, plain functions in as many threads at most."""

    def __init__(self, concurrency: int, clock: Clock, retry: Retry, chance: Chance) -> None:
        self.loop = asyncio.get_running_loop()
        self.retry = retry
        self.room = asyncio.Semaphore(concurrency)
        self.threads = ThreadPoolExecutor(concurrency, thread_name_prefix="saga-step")
        self.clock = clock
        self.chance = chance

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)


class Attempts:
    """The attempts of one run, by call. `report` gets a fact for each that ends by itself. `forward_only` tells whether the run
    is past its pivot, where a step that fails is always tried again, also one that was begun before."""

    def __init__(
        self, executor: Executor, key: h.RunKey, epoch: int, report: Report, forward_only: Callable[[], bool]
    ) -> None:  # fmt: skip
        self._executor = executor
        self._saga, self._calls = key.saga, f"{key.namespace}/{key.saga}/{key.run}/"
        self._epoch = epoch
        self._report = report
        self._forward_only = forward_only
        self._running: dict[str, asyncio.Task[None]] = {}
        self._lingering: dict[str, asyncio.Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self, effect: RunStep | RunCompensation) -> None:
        before = self._running.get(effect.call)
        task = self._executor.loop.create_task(self._run(effect, before))
        self._running[effect.call] = task

        def done(task: asyncio.Task[None]) -> None:
            if self._running.get(effect.call) is task:
                del self._running[effect.call]
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error  # the loop's handler shows it: an error of ours

        task.add_done_callback(done)

    def cancel(self, call: str) -> None:
        if (task := self._running.get(call)) is not None:
            task.cancel()

    def cancel_all(self) -> None:
        for task in self._running.values():
            task.cancel()

    async def _run(self, effect: RunStep | RunCompensation, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        if (lingering := self._lingering.pop(effect.call, None)) is not None:
            await asyncio.wait([lingering], timeout=LINGER_SECONDS_MAX)
        async with self._executor.room:
            try:
                result = await self._invoke(effect)
                data = codec.encode(
                    result, where=f"result of {effect.definition.name}", annotation=effect.definition.result_type,
                    function=effect.definition.function,
                )  # fmt: skip
            except asyncio.CancelledError as error:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                self._report(self._failed(effect, error))  # the step cancelled itself
            except Exception as error:
                self._report(self._failed(effect, error))
            else:
                self._report(_succeeded(effect, data))

    async def _invoke(self, effect: RunStep | RunCompensation) -> Any:
        if isinstance(effect, RunStep) and effect.interrupted and effect.definition.at_most_once:
            raise StepInterrupted(
                f"step {effect.definition.name} was cut off in attempt {effect.attempt}; it is declared at_most_once"
            )
        token = current.set(partial(self._context, effect))
        try:
            return await (self._call(effect) if not effect.definition.timeout_ms else self._call_in_time(effect))
        finally:
            current.reset(token)

    def _context(self, effect: RunStep | RunCompensation) -> StepContext:
        key = f"{self._calls}{effect.call}{'' if isinstance(effect, RunStep) else '/undo'}"
        return StepContext(key, self._epoch, self._saga, effect.call, effect.attempt)

    async def _call_in_time(self, effect: RunStep | RunCompensation) -> Any:
        seconds = effect.definition.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds) as scope:
                return await self._call(effect)
        except TimeoutError as error:
            if not scope.expired():
                raise  # the step's own
            raise StepTimedOut(f"{effect.definition.name} took longer than {seconds} s") from error

    async def _call(self, effect: RunStep | RunCompensation) -> Any:
        function = effect.definition.function
        if effect.definition.is_async:
            return await function(*effect.args, **effect.kwargs)
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(
            self._executor.threads, lambda: context.run(function, *effect.args, **effect.kwargs)
        )
        try:
            outcome = await asyncio.shield(future)
        except asyncio.CancelledError:
            self._lingering[effect.call] = future
            future.add_done_callback(_consume)
            raise
        return await outcome if inspect.isawaitable(outcome) else outcome

    def _delay_ms(self, effect: RunStep | RunCompensation, error: BaseException) -> int | None:
        if isinstance(effect, RunCompensation):
            return decide(effect.definition.retry, effect.attempt, error, self._executor.chance.random())
        retry = effect.retry or self._executor.retry
        found = decide(retry, effect.attempt, error, self._executor.chance.random())
        if found is None and self._forward_only() and not isinstance(error, StepInterrupted):
            return delay_ms(retry, effect.attempt, self._executor.chance.random())
        return found

    def _failed(self, effect: RunStep | RunCompensation, error: BaseException) -> h.Event:
        failure = failure_from_exception(error)
        call, attempt = effect.call, effect.attempt
        delay_ms = self._delay_ms(effect, error)
        failure.non_retryable = delay_ms is None
        if delay_ms is not None:
            retry_at_ms = self._executor.clock.now_ms() + delay_ms
            if isinstance(effect, RunStep):
                again = h.StepAttemptFailed(call=call, attempt=attempt, failure=failure, retry_at_ms=retry_at_ms)
                return h.Event(step_attempt_failed=again)
            redo = h.CompensationAttemptFailed(call=call, attempt=attempt, failure=failure, retry_at_ms=retry_at_ms)
            return h.Event(compensation_attempt_failed=redo)
        if isinstance(effect, RunStep):
            return h.Event(step_failed=h.StepFailed(call=call, attempt=attempt, failure=failure))
        return h.Event(compensation_stuck=h.CompensationStuck(call=call, attempt=attempt, failure=failure))


def _succeeded(effect: RunStep | RunCompensation, data: bytes) -> h.Event:
    if isinstance(effect, RunStep):
        event = h.Event()
        done = event.step_completed
        done.call, done.attempt, done.result.data = effect.call, effect.attempt, data
        return event
    return h.Event(compensation_completed=h.CompensationCompleted(call=effect.call, attempt=effect.attempt))


def _consume(future: asyncio.Future[Any]) -> None:
    """The outcome of an attempt that nobody waits for any more was told as a time-out or a cancellation."""
    if not future.cancelled():
        future.exception()
