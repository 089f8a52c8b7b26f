"""Hooks: code of yours around every step, compensation, start and message, such as timing, tenants or error reports.

A hook surrounds a call as a decorator would, and decides less: a call that failed stays failed, whatever its hooks return, and
a result is the one that the function gave. What a hook raises is the outcome of the call, so what a hook could not finish (a
session that did not commit) does not count as done. The function runs at most once for each call. All hooks together have
HOOK_SECONDS_MAX before the function and again after it; then the call fails. No hook is around saga code.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from durable_saga.authoring.declaring import check_function
from durable_saga.definition.definition import place_of
from durable_saga.errors import HookFailed

HOOK_SECONDS_MAX = 60.0
"""So long may hooks take before what they are around begins, and again after it ended."""
Kind = Literal["start", "signal", "publish", "step", "compensation"]
GoOn = Callable[[], Awaitable[Any]]


def _never(error: BaseException) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Call:
    """What a hook is around: `kind`, and the `name` of the saga's type, signal, event, step or compensation. `saga` is the id
    of the saga, "" for an event that is published by key. Steps and compensations have `saga_type`, `run`, `call` and
    `attempt`, which counts from 1; `step_context()` has the rest. `args` and `kwargs` are those of the function: they are
    not shown by repr()."""

    kind: Kind
    name: str
    namespace: str
    saga: str
    args: tuple[Any, ...] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    saga_type: str = ""
    run: int = 0
    call: str = ""
    attempt: int = 0
    _again: Callable[[BaseException], bool] = field(default=_never, repr=False, compare=False)

    def is_tried_again(self, error: BaseException) -> bool:
        """Whether another attempt follows if this one ends with `error`, as the policy says."""
        return self._again(error)


class Hook:
    """Made by `@hook`, for `connect(hooks=…)` and `Worker(hooks=…)`. Call it as its function, in a test."""

    def __init__(self, function: Callable[[Call, GoOn], Awaitable[Any]]) -> None:
        self.name = check_function(function, None, "@hook")
        self.place = place_of(function)
        self._function = function
        self.__doc__ = function.__doc__

    def __repr__(self) -> str:
        return f"<hook {self.name}>"

    async def __call__(self, call: Call, go_on: GoOn) -> Any:
        return await self._function(call, go_on)


def hook(function: Callable[[Call, GoOn], Awaitable[Any]]) -> Hook:
    """Make an async function a hook:

        @hook
        async def timed(call: Call, go_on: Callable[[], Awaitable[Any]]) -> Any:
            began = time.monotonic()
            try:
                return await go_on()
            finally:
                print(call.kind, call.name, time.monotonic() - began)

    `go_on()` runs what the hook is around, or the next hook, and gives or raises what that does. Raises TypeError for a
    function that is not async, or does not take these two."""
    made = Hook(function)
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{made.place}: @hook needs an `async def {made.name}(call, go_on)`")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise TypeError(f"{made.place}: {made.name} must take two arguments, (call, go_on)") from None
    return made


def checked(hooks: Iterable[Hook] | Hook) -> tuple[Hook, ...]:
    """Raises TypeError for anything else."""
    found = (hooks,) if isinstance(hooks, Hook) else tuple(hooks)
    for one in found:
        if not isinstance(one, Hook):
            raise TypeError(f"{one!r} isn't a hook: mark an async function of (call, go_on) with @hook")
    return found


async def around(hooks: tuple[Hook, ...], call: Call, function: Callable[[], Awaitable[Any]]) -> Any:
    """What the function returned, the first hook outermost. Raises what it, or a hook, raised, and HookFailed."""
    chain = _Chain(hooks, call, function)
    try:
        async with asyncio.timeout(HOOK_SECONDS_MAX) as chain.limit:
            return await chain.run(0)
    except TimeoutError as error:
        if chain.limit is None or not chain.limit.expired():
            raise
        at = chain.at
        raise HookFailed(
            f"hook {at.name} ({at.place}) took longer than {HOOK_SECONDS_MAX:g} s around {call.kind} {call.name}"
        ) from error


class _Chain:
    """Of one call. `limit` runs while a hook is at work and not while the function is; `at` is the hook that was last."""

    def __init__(self, hooks: tuple[Hook, ...], call: Call, function: Callable[[], Awaitable[Any]]) -> None:
        self.at = hooks[0]
        self.limit: asyncio.Timeout | None = None
        self._hooks, self._call, self._function = hooks, call, function

    async def run(self, number: int) -> Any:
        if number == len(self._hooks):
            return await self._innermost()
        self.at = one = self._hooks[number]
        go_on = _GoOn(self, number)
        try:
            await one(self._call, go_on)
        except BaseException:
            await go_on.end()
            raise
        return await go_on.outcome()

    async def _innermost(self) -> Any:
        self._limit(None)
        try:
            return await self._function()
        finally:
            self._limit(asyncio.get_running_loop().time() + HOOK_SECONDS_MAX)

    def _limit(self, at: float | None) -> None:
        if self.limit is not None:
            with suppress(RuntimeError):  # it is over already, where a hook did not wait
                self.limit.reschedule(at)


class _GoOn:
    """What one hook gets: it runs the rest of the chain, once."""

    def __init__(self, chain: _Chain, number: int) -> None:
        self._chain, self._number = chain, number
        self._task: asyncio.Task[Any] | None = None
        self._over: asyncio.Future[None] | None = None
        self._value: Any = None
        self._error: BaseException | None = None

    async def __call__(self) -> Any:
        one = self._chain._hooks[self._number]
        if self._over is not None:
            raise HookFailed(f"hook {one.name} ({one.place}) called go_on() a second time: what it is around runs once")
        self._over = asyncio.get_running_loop().create_future()
        self._task = asyncio.current_task()
        try:
            self._value = await self._chain.run(self._number + 1)
            return self._value
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._chain.at = one
            self._task = None
            if not self._over.done():
                self._over.set_result(None)

    async def outcome(self) -> Any:
        """After its hook has returned, which may have swallowed an error, or may not have waited."""
        one = self._chain._hooks[self._number]
        if self._over is None:
            raise HookFailed(
                f"hook {one.name} ({one.place}) returned without go_on(), so nothing was done: `await go_on()`, or raise an"
                " error that says why not"
            )
        try:
            await asyncio.shield(self._over)
        except BaseException:
            await self.end()
            raise
        if self._error is not None:
            raise self._error
        return self._value

    async def end(self) -> None:
        """Its hook has raised: what still goes on in a task that it made is cancelled, and waited for."""
        task = self._task
        if task is not None and task is not asyncio.current_task() and self._over is not None:
            task.cancel("the hook that called this has ended")
            await asyncio.wait([self._over])
