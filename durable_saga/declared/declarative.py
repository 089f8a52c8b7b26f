"""Sagas as a class with a table of steps. `define()` is compiled to one function saga: the same steps, scopes and events.

    class OrderProcessing(Saga):
        name = "order_processing"

        def define(self) -> list[SagaStep]:
            return [
                Step("validate_payment", self.validate_payment, compensation=self.release_payment, timeout=30),
                Parallel("processing", [Step("pack", self.pack), Step("bill", self.bill, compensation=self.unbill)]),
            ]

A step without `depends_on` waits for the one before it in the list; `depends_on=[]` waits for nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast

from durable_saga import codec
from durable_saga.authoring.compensation import Strategy
from durable_saga.authoring.inside import State
from durable_saga.authoring.query import QUERY_NAME, QueryMethod, checked_query
from durable_saga.authoring.saga import SagaFunction
from durable_saga.definition.retry import FOREVER, Retry
from durable_saga.errors import CompensationRequested, UnsupportedOperation
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay.reach import core_here
from durable_saga.replay.run import Core

running_table: ContextVar[RunningTable] = ContextVar("durable_saga_table")
running_event: ContextVar[h.SignalReceived] = ContextVar("durable_saga_event")
P = ParamSpec("P")
T = TypeVar("T")
Seconds = float | timedelta
Condition = Callable[[Any, Mapping[str, Any]], bool]
SagaState = State


@dataclass(frozen=True, kw_only=True)
class SagaStep:
    """What all steps of a table have.

    - `depends_on`: names of the steps to wait for. None: the step before it in the list; empty: nothing.
    - `condition(context, results)`: if it returns false, the step is skipped, and never undone.
    - `when_skipped`: whether a step that depends on a skipped one runs ("run") or is skipped too ("skip").
    - `since`, `before`: it is a step of runs that began at version `since` of the saga or later, and before version `before`.
    - `place`: file and line, for messages."""

    depends_on: Sequence[str] | None = None
    condition: Condition | None = None
    when_skipped: Literal["run", "skip"] = "run"
    since: int = 1
    before: int | None = None
    place: str = field(default_factory=lambda: _place(), repr=False, compare=False)


@dataclass(frozen=True)
class Step(SagaStep):
    """A step of a table.

    - `action(context)` or `action(context, results)`, async or plain.
    - `compensation(context)` or `compensation(context, result)`; `result` is None if the action never returned.
    - `timeout` (seconds or a timedelta): for one attempt.
    - `compensation_strategy`: "deferred", "immediate", or "conditional" with `compensation_when(context, error)`.
    - The other options are those of `@step` and `compensation()`."""

    name: str
    action: Callable[..., Any]
    compensation: Callable[..., Any] | None = None
    timeout: Seconds | None = None
    retry: Retry | None = field(default=None, kw_only=True)
    effect: bool = field(default=True, kw_only=True)
    at_most_once: bool = field(default=False, kw_only=True)
    pivot: bool = field(default=False, kw_only=True)
    compensation_strategy: Strategy | Literal["conditional"] = field(default="deferred", kw_only=True)
    compensation_when: Callable[[Any, Any], bool] | None = field(default=None, kw_only=True)
    compensation_retry: Retry = field(default=FOREVER, kw_only=True)
    compensation_timeout: Seconds | None = field(default=None, kw_only=True)
    not_applied: type[BaseException] | Sequence[type[BaseException]] = field(default=(), kw_only=True)
    in_doubt: Literal["settle", "leave"] = field(default="settle", kw_only=True)


@dataclass(frozen=True)
class Parallel(SagaStep):
    """Steps that run at the same time. If one fails, the others are cancelled."""

    name: str
    steps: Sequence[SagaStep]


@dataclass(frozen=True)
class WaitForEvent(SagaStep):
    """Waits for an event. Its result is the value that was published. Fails with EventTimedOut after `timeout`."""

    name: str
    event: str
    timeout: Seconds | None = None


@dataclass(frozen=True)
class SubSaga(SagaStep):
    """Another saga as a step: undone as one unit. `context(context, results)` makes its context."""

    name: str
    saga: type[Saga] | Saga | SagaFunction[..., Any]
    context: Callable[[Any, Mapping[str, Any]], Any] | None = None


class RunningTable(Protocol):
    """One run of a table, as the methods of `Saga` see it."""

    async def call(self, name: str) -> Any: ...

    def item(self, name: str) -> SagaStep: ...


class Done:
    """What took effect at the call; awaiting it gives None at once."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


class Saga:
    """The base class of declared sagas. One instance serves all runs, so it must not keep anything of a run; use `state` for
    that. Raise `version` when open sagas can't go on with a change of the table, and say at the steps which runs have them."""

    name: ClassVar[str] = ""
    timeout: ClassVar[Seconds | None] = None
    retry: ClassVar[Retry | None] = None
    when_failed: ClassVar[Literal["compensate", "hold"]] = "compensate"
    compensation_parallel: ClassVar[bool] = False
    version: ClassVar[int] = 1

    @staticmethod
    def query(function: Callable[Concatenate[Any, P], T], /) -> QueryMethod[P, T]:
        """Above a method: makes it a query, as `query` of a saga function does: `@Saga.query` and `def phase(self) -> str`,
        then `handle.query(Shipping.phase)`. Raises TypeError for an async method."""
        setattr(function, QUERY_NAME, checked_query(function, None, "@Saga.query", is_method=True))
        return cast(QueryMethod[P, T], function)

    def define(self) -> Sequence[SagaStep]:
        """The table of steps. Read once, when the saga is registered."""
        raise NotImplementedError(f"{type(self).__qualname__} needs define(): return the list of its steps")

    def compensation_order(self) -> Sequence[str] | None:
        """Names of steps in the order in which they are undone; steps that are not named come after them. None: the reverse
        order."""
        return None

    def keys(self, context: Any) -> Sequence[str]:
        """Correlation keys by which events reach this saga."""
        return ()

    def attributes(self, context: Any) -> Mapping[str, Any]:
        """Search attributes by which listings find this saga."""
        return {}

    async def execute_step(self, name: str, context: Any, state: SagaState) -> Any:
        """Runs one step. Override it to wrap every step, and call `super()`. It is saga code and is replayed, so it may read
        and set `state` and raise, but does nothing to the world. Keeps `last_successful_step`, `last_error` and `attempts`
        (of the step that failed last) in the state."""
        attempts = state.get("attempts", 0)
        try:
            result = await _running(running_table).call(name)
        except Exception as error:
            state.set("attempts", attempts + 1)
            state.set("last_error", str(error))
            raise
        state.set("last_successful_step", name)
        state.set("attempts", 0)
        return result

    async def handle_event(self, event: str, data: Any, saga_id: str) -> None:
        """Gets each event. By default the step that waits for the event goes on with the data, now or when the saga gets
        there. Override it to decide otherwise, with `resume()` and `compensate()`."""
        core_of_saga().signals.keep(_running(running_event))

    def resume(self, step: str, data: Any = None) -> Awaitable[None]:
        """Let a WaitForEvent step go on with this data, now or when the saga gets there. It takes effect at the call; you may
        also await it. Raises ValueError for any other step."""
        waiting = _running(running_table).item(step)
        if not isinstance(waiting, WaitForEvent):
            raise ValueError(f"step {step!r} does not wait for an event: name a WaitForEvent step")
        data = codec.encode_message((data,), where=f"resume({step!r})")
        message_id = _running(running_event).message_id
        fact = h.SignalReceived(message_id=message_id, name=waiting.event, input=p.Payload(data=data))
        core_of_saga().signals.keep(fact)
        return Done()

    def compensate(self, reason: str = "") -> Awaitable[None]:
        """Stop forward work and undo what was done. It takes effect at the call, as resume() does. Raises
        UnsupportedOperation past the pivot."""
        core = core_of_saga()
        if core.past_pivot:
            raise UnsupportedOperation("the saga is past its pivot and can only go forward")
        core.standing.interrupt(CompensationRequested(reason or "compensation was asked for"), asked_for=True)
        return Done()


AnySaga = SagaFunction[..., Any] | Saga | type[Saga]


def _running(what: ContextVar[T]) -> T:
    try:
        return what.get()
    except LookupError:
        raise UnsupportedOperation("this is for execute_step() and handle_event(), which the engine calls in a saga") from None


def core_of_saga() -> Core:
    """Raises UnsupportedOperation outside saga code."""
    core = core_here()
    if core is None:
        raise UnsupportedOperation("this is for saga code: handle_event() and execute_step()")
    return core


def _place() -> str:
    """File and line outside this module: where the step stands."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in (__name__, "dataclasses"):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
