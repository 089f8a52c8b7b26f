"""Many calls at the same time, bounded: `all_of()`. Saga code like any other; the order of its calls is that of what it is
given, and does not depend on how many run at once."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

from durable_saga.authoring.inside import scope
from durable_saga.errors import TooManyFailed, UnsupportedOperation
from durable_saga.replay.reach import core_here

T = TypeVar("T")
AT_ONCE = 50
AT_ONCE_MAX = 1_000
_MEMBER = "member"
_END: Any = object()


@dataclass(frozen=True)
class Outcomes(Generic[T]):
    """How the members of `all_of()` ended, by their places: `results` of those that succeeded, `failed` with the exceptions
    that were tolerated. A place in neither was cancelled, or never begun, because enough had succeeded."""

    results: dict[int, T] = field(default_factory=dict)
    failed: dict[int, Exception] = field(default_factory=dict)

    @property
    def values(self) -> list[T]:
        """The results, in the order of the members."""
        return [self.results[place] for place in sorted(self.results)]


@overload
async def all_of(calls: Iterable[Awaitable[T]], *, at_once: int = AT_ONCE) -> list[T]: ...
@overload
async def all_of(
    calls: Iterable[Awaitable[T]], *, at_once: int = AT_ONCE, enough: int | None = None, tolerate: int | float
) -> Outcomes[T]: ...
@overload
async def all_of(calls: Iterable[Awaitable[T]], *, at_once: int = AT_ONCE, enough: int) -> Outcomes[T]: ...
async def all_of(
    calls: Iterable[Awaitable[Any]], *, at_once: int = AT_ONCE, enough: int | None = None, tolerate: int | float | None = None,
) -> Any:  # fmt: skip
    """Make many calls, `at_once` of them at the same time: `await all_of(ship(parcel) for parcel in parcels)`.

    A member is a call of a step, of a saga, or of an async function of your own; one of the latter that fails undoes what it
    did. Calls of a generator are made when their turn comes. Without more options: all results, in order. The first failure
    cancels the rest, and is raised.

    - `tolerate`: so many may fail, a number, or a share such as 0.1 of those that have ended, once all have. What a failed
      member did is undone, at the latest before the saga ends. With one failure more the rest is cancelled, and TooManyFailed
      is raised.
    - `enough`: it is over as soon as so many have succeeded. The rest is cancelled, and undone where it may have had an effect.

    With either of them it gives `Outcomes`. Raises UnsupportedOperation outside of saga code, ValueError for numbers that mean
    nothing, and what the calls raise."""
    if core_here() is None:
        raise UnsupportedOperation("all_of() is for saga code: call it in a function marked @saga")
    _check(at_once, enough, tolerate)
    fan = _FanOut(iter(calls), at_once, enough, tolerate)
    try:
        await fan.run()
    finally:
        fan.close(calls)
    return fan.outcomes.values if enough is None and tolerate is None else fan.outcomes


def _check(at_once: Any, enough: Any, tolerate: Any) -> None:
    if not _is_count(at_once) or not 1 <= at_once <= AT_ONCE_MAX:
        raise ValueError(f"all_of(): at_once is {at_once!r}: give a whole number from 1 to {AT_ONCE_MAX}")
    if enough is not None and (not _is_count(enough) or enough < 1):
        raise ValueError(f"all_of(): enough is {enough!r}: give a whole number, 1 or more")
    if tolerate is None or (_is_count(tolerate) and tolerate >= 0):
        return
    if not isinstance(tolerate, float) or not 0 <= tolerate <= 1:
        raise ValueError(f"all_of(): tolerate is {tolerate!r}: give a whole number, or a share from 0.0 to 1.0")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class _FanOut:
    """One call of all_of()."""

    def __init__(
        self, calls: Iterator[Awaitable[Any]], at_once: int, enough: int | None, tolerate: int | float | None
    ) -> None:  # fmt: skip
        self.outcomes: Outcomes[Any] = Outcomes()
        self._calls, self._at_once, self._enough, self._tolerate = calls, at_once, enough, tolerate
        self._running: dict[asyncio.Task[Any], tuple[int, Awaitable[Any]]] = {}
        self._ended: deque[asyncio.Task[Any]] = deque()
        self._wakes: asyncio.Future[None] | None = None
        self._begun, self._is_exhausted = 0, False

    async def run(self) -> None:
        try:
            while not self._has_enough and self._begin():
                await self._wait()
                while self._ended:
                    self._take(self._ended.popleft())
        finally:
            await self._stop()
        if isinstance(self._tolerate, float) and len(self.outcomes.failed) > self._tolerate * self._begun:
            raise self._too_many()

    def close(self, calls: Iterable[Any]) -> None:
        """What was made and never began is no call any more."""
        for one in calls if isinstance(calls, list | tuple) else ():
            _close(one)

    @property
    def _has_enough(self) -> bool:
        return self._enough is not None and len(self.outcomes.results) >= self._enough

    def _begin(self) -> bool:
        """Members for the places that are free; whether any runs."""
        while len(self._running) < self._at_once and not self._is_exhausted:
            call = next(self._calls, _END)
            if call is _END:
                self._is_exhausted = True
                break
            task = asyncio.create_task(_made(call))
            self._running[task] = self._begun, call
            self._begun += 1
            task.add_done_callback(self._one_ended)
        return bool(self._running)

    def _one_ended(self, task: asyncio.Task[Any]) -> None:
        self._ended.append(task)
        if self._wakes is not None and not self._wakes.done():
            self._wakes.set_result(None)

    async def _wait(self) -> None:
        if not self._ended:
            self._wakes = asyncio.get_running_loop().create_future()
            await self._wakes

    def _take(self, task: asyncio.Task[Any]) -> None:
        place, _ = self._running.pop(task)
        if task.cancelled():
            raise asyncio.CancelledError
        error = task.exception()
        if error is None:
            self.outcomes.results[place] = task.result()
            return
        if self._tolerate is None or not isinstance(error, Exception):
            raise error
        self.outcomes.failed[place] = error
        if not isinstance(self._tolerate, float) and len(self.outcomes.failed) > self._tolerate:
            raise self._too_many()

    def _too_many(self) -> TooManyFailed:
        failed = self.outcomes.failed
        return TooManyFailed(
            f"{len(failed)} of {self._begun} calls failed, and {self._tolerate} may",
            [failed[place] for place in sorted(failed)],
        )

    async def _stop(self) -> None:
        """Nothing of it goes on afterwards. What succeeds all the same, while it is cancelled, is a result."""
        for task in self._running:
            task.cancel()
        while self._running:
            await self._wait()
            while self._ended:
                task = self._ended.popleft()
                place, call = self._running.pop(task)
                _close(call)
                if not task.cancelled() and task.exception() is None:
                    self.outcomes.results[place] = task.result()


def _close(call: Any) -> None:
    """Its task may have been cancelled before it began."""
    if inspect.iscoroutine(call):
        call.close()


async def _made(call: Awaitable[Any]) -> Any:
    if _is_one_call(call):
        return await call
    async with scope(_MEMBER):
        return await call


def _is_one_call(call: Awaitable[Any]) -> bool:
    """Of a step or saga: what fails of it is undone as one unit anyway."""
    code = getattr(call, "cr_code", None)
    frame = getattr(call, "cr_frame", None)
    return (
        code is not None and frame is not None and str(frame.f_globals.get("__name__", "")).startswith("durable_saga.replay.")
    )
