"""What saga code may ask for beside its steps: time, randomness, messages, undo. All of it replays alike."""

from __future__ import annotations

import asyncio
import random as _random
import uuid as _uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar, overload

from durable_saga.authoring.compensation import compensation_definition
from durable_saga.authoring.step import StepFunction
from durable_saga.authoring.step_context import version_of_saga
from durable_saga.definition.definition import CompensationDefinition, check_decides, check_decides_alone, version_of
from durable_saga.definition.retry import to_ms
from durable_saga.errors import EventTimedOut, UnsupportedOperation
from durable_saga.replay.closing import Discarded
from durable_saga.replay.keys import check_key
from durable_saga.replay.reach import core_here
from durable_saga.replay.run import Core

T = TypeVar("T")
_READING = ("now()", "state.get()", "saga_context()", "unwind_progress()")


def core_for(asked: str, *, awaited: bool = False) -> Core:
    """The run whose code asks for this. `awaited`: what is asked for refuses by itself once the run was dropped. Raises
    UnsupportedOperation outside of saga code, and where the code only computes or looks."""
    core = core_here()
    if core is None:
        raise UnsupportedOperation(f"{asked} is for saga code: call it in a function marked @saga")
    if core.loop.discarded and not awaited:
        raise Discarded
    if core.standing.judging and asked not in _READING:
        core.standing.check_not_asked(f"{asked} can't be used")
    return core


def now() -> datetime:
    """The saga's time, UTC: the same in every replay."""
    return datetime.fromtimestamp(core_for("now()").now(), UTC)


@dataclass(frozen=True, slots=True)
class SagaContext:
    """What saga code may know about its run. `id` is that of the saga. `run` counts from 1 and grows when the saga continues
    in a new run. `type` is the saga's name, `started_at` the start of this run, UTC, and `version` that of its code, at which
    the run began. The same in every replay."""

    id: str
    run: int
    type: str
    started_at: datetime
    namespace: str
    version: int = 1


def saga_context() -> SagaContext:
    """Which saga this is, for saga code and signal handlers. In a child saga it is the run that the child is a part of.
    Raises UnsupportedOperation outside of saga code; in a step use `step_context()`."""
    core = core_for("saga_context()")
    started_at = datetime.fromtimestamp(core.standing.started_ms / 1000, UTC)
    return SagaContext(
        core.key.saga, core.key.run, core.definition.name, started_at, core.key.namespace, core.versions.run
    )  # fmt: skip


def since(version: int) -> bool:
    """Whether this run began at this version of its saga's code, or at a later one: `@saga(version=2)`, and in its code
    `if since(2):` for what is new. Runs that began before go on by the old way. The same in every replay. In a child saga, and
    in its signal handlers, it asks for the version at which the child began; in a step or compensation for that of the saga,
    or child saga, whose step it is. Raises UnsupportedOperation elsewhere, and in conditions and orders of compensations;
    TypeError and ValueError for what is no version."""
    version_of(version, "since()")
    if core_here() is None and (began := version_of_saga()) is not None:
        return began >= version
    core = core_for("since()")
    return core.versions.at(core.loop.scope().path) >= version


def random() -> _random.Random:
    """A generator seeded by the run: `random().randint(1, 6)`."""
    return core_for("random()").dice.saga()


def uuid4() -> _uuid.UUID:
    """A random UUID that is the same in every replay."""
    return core_for("uuid4()").dice.uuid4()


async def sleep(duration: float | timedelta) -> None:
    """Sleep durably, for seconds or a timedelta; the same as asyncio.sleep()."""
    await asyncio.sleep(duration.total_seconds() if isinstance(duration, timedelta) else duration)


@overload
async def signal(name: str) -> Any: ...
@overload
async def signal(name: str, type: type[T]) -> T: ...
@overload
async def signal(name: str, type: Any) -> Any: ...
async def signal(name: str, type: Any = Any) -> Any:
    """Wait for the next signal of this name. A signal that came early was kept. One argument is returned as it is (made into
    `type`), no argument as None, several as a tuple. Raises DecodeError if the value does not fit `type`."""
    return await core_for("signal()", awaited=True).signals.wait(name, type)


async def wait_until(condition: Callable[[], Any], *, timeout: float | timedelta | None = None) -> None:
    """Wait until a condition is true: `await wait_until(lambda: state.get("paid"))`. It is asked now, and again whenever
    something has reached the saga and its code has come to rest. It only computes: from `state`, and from variables that signal
    handlers change. Raises TimeoutError after `timeout` (seconds or a timedelta), what the condition raises, and TypeError for
    one that is async."""
    check_decides_alone(condition, "the condition of wait_until()")
    core = core_for("wait_until()", awaited=True)
    if core.standing.refuses or core.loop.discarded:
        await core.loop.refused()
    seconds = None if timeout is None else to_ms(timeout, name="timeout") / 1000
    async with asyncio.timeout(seconds):
        await core.loop.conditions.wait(core.loop.create_future(), condition)


def on_failure(undo: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Register an undo for the case that the saga fails from here on: a step or any function. Its intent is in the journal
    before the next effect can start. If the function has a parameter `result` for which nothing is given, it gets None.
    Raises TypeError if the arguments don't fit, and for a lambda without `compensation(name=…)`; and NotSerializable."""
    core = core_for("on_failure()")
    core.calls.on_failure(_undo_definition(undo), args, kwargs)


def _undo_definition(undo: Callable[..., Any]) -> CompensationDefinition:
    function = undo.definition.function if isinstance(undo, StepFunction) else undo
    return compensation_definition(function)


@overload
async def event(name: str, *, timeout: float | timedelta | None = None) -> Any: ...
@overload
async def event(name: str, *, timeout: float | timedelta | None = None, type: type[T]) -> T: ...
@overload
async def event(name: str, *, timeout: float | timedelta | None = None, type: Any) -> Any: ...
async def event(name: str, *, timeout: float | timedelta | None = None, type: Any = Any) -> Any:
    """Wait for an event that is published to this saga, without using memory and without polling. An event that came before
    the wait was kept. Its value is that of `signal()`. Raises EventTimedOut after `timeout` (seconds or a timedelta)."""
    seconds = None if timeout is None else to_ms(timeout, name="timeout") / 1000
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await signal(name, type)
    except TimeoutError as error:
        if limit.expired():
            raise EventTimedOut(f"event {name!r} did not come within {seconds} s") from error
        raise


def correlate(key: str) -> None:
    """Let events that are published to this key reach this saga, from its next commit on. Raises ValueError for a key that is
    empty or longer than 255 characters."""
    core = core_for("correlate()")
    core.keys.declare(core.loop.scope().next(), check_key(key))


def set_attributes(**attributes: str | int | bool) -> None:
    """Let listings find this saga by these search attributes, from its next commit on: `set_attributes(customer="c-7")`, then
    `client.list(attributes={"customer": "c-7"})`. They are added to those set before; for each name the last value counts.
    Raises ValueError for a text that is empty or longer than 255 characters, and for a seventeenth name."""
    core = core_for("set_attributes()")
    core.attributes.set(core.loop.scope().next(), attributes)


def scope(
    name: str = "scope", *, order: Callable[[list[str]], list[str]] | None = None, parallel: bool = False
) -> AbstractAsyncContextManager[None]:
    """`async with scope():` undoes what was done inside if the block fails, before the error reaches the code around it. If
    that code catches the error, the saga does not fail. `order` and `parallel` work as for a saga."""
    check_decides(order, "the order of a scope", "names")
    return core_for("scope()").scopes.new(name, order=order, parallel=parallel)


def pivot() -> None:
    """The point of no return. What was done before is never undone. From here on steps are tried until they succeed, the
    timeout of the saga no longer applies, and a saga whose code fails is held for a person. `@step(pivot=True)` does the same
    when that step is done."""
    core = core_for("pivot()")
    core.standing.check_cancelled()
    core.holding.pass_pivot()


async def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """End this run and continue in the next run of the same saga, with these arguments and an empty history. Does not return:
    `await continue_as_new(rest)` leaves the saga's function as an exception would, so only `finally` blocks still run.
    Signals that were not read go to the next run; `state` does not. Raises UnsupportedOperation while something is registered
    that could still be undone (call pivot() first), while steps run, and in tasks, handlers and child sagas."""
    await core_for("continue_as_new()").continuing.ask(args, kwargs)


class State:
    """Values that a saga keeps, by name: `state.set("attempts", 3)`, `state.get("attempts", 0)`. They are durable with the
    saga's next commit, and readable from outside: `handle.state()`, `durable-saga describe`."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value that was set last, or `default` if there is none."""
        return core_for("state.get()").state.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Raises NotSerializable."""
        core_for("state.set()").state.set(key, value)


state = State()
