"""A deterministic asyncio event loop: it runs one saga's coroutines and does no I/O.

It owns the order of callbacks and the saga's clock. Time moves only when the core says so, tasks and futures hash by their
birth number (asyncio and anyio keep them in sets), and whatever asks for a file, socket, thread or process raises a
sentence that says what to do instead. A callback that raises is told in the log, as asyncio does; one of the engine's own fails
the activation. An activation is bounded. Code that does not let itself be closed is given up, not waited for.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import logging
import sys
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import MethodType
from typing import Any

from durable_saga.errors import FutureEventKind, LimitExceeded, NonDeterminism, UnsupportedOperation
from durable_saga.replay.awaiting import busy_at
from durable_saga.replay.carrying import NOTHING_CARRIED, Carry
from durable_saga.replay.closing import Discarded, TakenOut, close, keep
from durable_saga.replay.conditions import Conditions
from durable_saga.replay.generators import Generators
from durable_saga.replay.refusals import refuse_all_but
from durable_saga.replay.running_loop import running_loop, set_running_loop
from durable_saga.replay.standing import Standing
from durable_saga.replay.tape import Tape

log = logging.getLogger(__name__)
CALLBACKS_PER_ACTIVATION_MAX = 1_000_000
NEVER_SECONDS = 253_402_300_799.0
"""The end of the year 9999, the last that a datetime can name."""
REFUSALS_MAX = 1_000
"""So often an await raises at once because the saga is stopped or dropped; who asks again all the same then waits."""
_KEPT = {
    "call_soon", "call_later", "call_at", "time", "create_future", "create_task", "get_debug", "is_running", "is_closed",
    "call_exception_handler", "get_task_factory", "get_exception_handler",
}  # fmt: skip
_ORDERLESS = ("as_completed", "as_completed.<locals>.<setcomp>", "_AsCompletedIterator.__init__")


class Scope:
    """Gives out call ids: the parent's id plus a position. Every task has one."""

    __slots__ = ("count", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0

    def next(self) -> str:
        self.count += 1
        return f"{self.path}.{self.count}" if self.path else str(self.count)


class SagaFuture(asyncio.Future[Any]):
    """A future whose place in a set is the same in every process. In a run of rules 0 it follows from its birth, later from the
    order in which futures are hashed, which Python's versions do not change."""

    _birth: int | None = None

    def __hash__(self) -> int:
        if self._birth is None:
            self._birth = self.get_loop().next_place()  # type: ignore[attr-defined]
        return self._birth


class SagaTask(asyncio.Task[Any]):
    """A task whose place in a set is the same in every process, and which knows its scope of call ids. In a run of rules 0 its
    place follows from its birth, later from its scope: siblings follow each other, in every version of Python."""

    def __init__(self, coro: Any, *, loop: SagaLoop, scope: Scope, name: str | None, context: Any, **options: Any) -> None:
        self.birth = loop.next_birth()
        self._place = _place_of(scope.path) if loop.rules else self.birth
        self.scope = scope
        self.own_context = context
        if name is None:
            name = f"task-{scope.path if loop.rules else self.birth}"
        super().__init__(coro, loop=loop, name=name, context=context, **options)
        self._log_destroy_pending = False  # a saga that is dropped from memory leaves tasks behind on purpose

    def __hash__(self) -> int:
        return self._place


def _place_of(path: str) -> int:
    parent, _, last = path.rpartition(".")
    return (zlib.crc32(parent.encode()) << 16) + (int(last) if last.isdigit() else zlib.crc32(last.encode()))


class Entered:
    """The loop of a saga is the thread's running loop inside; for one that is so already, nothing happens."""

    __slots__ = ("_before", "_hooks", "_loop")

    def __init__(self, loop: SagaLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._before = running_loop()
        if self._before is not self._loop:
            self._hooks = sys.get_asyncgen_hooks()
            set_running_loop(self._loop)
            generators = self._loop.generators
            sys.set_asyncgen_hooks(firstiter=generators.begun, finalizer=generators.left)

    def __exit__(self, *_: object) -> None:
        if self._before is not self._loop:
            sys.set_asyncgen_hooks(*self._hooks)
            set_running_loop(self._before)


class SagaLoop(asyncio.AbstractEventLoop):
    """The loop of the run of a saga. `owner` is what the saga's code reaches through the running loop; the loop does not look
    at it. Its time is that of the tape. `carried` came with the start.

    `rules` are what the run was started by, set by the core. `discarded` is True once the run was dropped from memory: then
    nothing may be asked for any more.
    """

    def __init__(self, owner: Any, saga: str, tape: Tape, standing: Standing, carry: Carry = NOTHING_CARRIED) -> None:
        self.owner = owner
        self._saga, self._tape, self._standing = saga, tape, standing
        self.discarded = False
        self.root = Scope("")
        self.tasks: dict[int, SagaTask] = {}
        self.rules, self.carry, self.carried = 0, carry, b""
        self.generators = Generators(self)
        self._births = 0
        self._places = 0
        self._ready: deque[asyncio.Handle] = deque()
        self._lazy: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._failure: BaseException | None = None
        self._refusals = 0
        self.conditions = Conditions(standing)

    def next_birth(self) -> int:
        self._births += 1
        return self._births

    def next_place(self) -> int:
        """In sets, of a future that is hashed now for the first time."""
        self._places += 1
        return self._places

    # --- running -------------------------------------------------------------------------------------------------

    def entered(self) -> Entered:
        """Make this the running loop of the thread; the loop that ran before is back afterwards."""
        return Entered(self)

    def run_until_idle(self) -> None:
        """Run callbacks until nothing can go on without a new event. Call it while the loop is entered. Raises what a
        callback raised, or LimitExceeded."""
        budget, ready = CALLBACKS_PER_ACTIVATION_MAX, self._ready
        while True:
            while ready:
                handle = ready.popleft()
                if not handle._cancelled:
                    try:
                        handle._run()
                    except (SystemExit, KeyboardInterrupt) as error:
                        self._standing.interrupt(error)  # of the saga, not of the process that runs it
                budget -= 1
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                if budget < 0:
                    raise LimitExceeded(
                        "CALLBACKS_PER_ACTIVATION_MAX",
                        CALLBACKS_PER_ACTIVATION_MAX,
                        f"{busy_at(handle)}: the saga's code runs without ever waiting for a step, a timer or a message",
                    )
            if (not self._lazy or not self._run_lazy()) and not (self.conditions and self.conditions.come_true()):
                return

    def _run_lazy(self) -> bool:
        """Run anyio's redeliveries of a cancellation once; True if they woke anything. They reschedule themselves for as
        long as a task has not left its scope, so on their own they are no reason to go on."""
        for handle in [self._lazy.popleft() for _ in range(len(self._lazy))]:
            if not handle.cancelled():
                handle._run()
        return bool(self._ready)

    def _make_ready(self, handle: asyncio.Handle) -> None:
        """What goes on meets the cancellation that its scope is under, as on asyncio."""
        self._ready.append(handle)
        if self._lazy and self.rules:
            self._ready.extend(self._lazy)
            self._lazy.clear()

    def next_timer_ms(self) -> int:
        """When the earliest timer is due, in Unix time; 0 without timers."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] + self._tape.stood_ms if self._timers else 0

    def fire_timers(self, due_ms: int) -> None:
        """Make ready every timer that is due at `due_ms` or before, in order of (due, birth)."""
        while (top := self.next_timer_ms()) and top <= due_ms:
            self._make_ready(heapq.heappop(self._timers)[2])

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio: told in the log, once; a replay does not tell it again. What makes the run impossible fails it."""
        error, handle = context.get("exception"), context.get("handle")
        if handle is not None and (isinstance(error, _FATAL) or _is_ours(handle._callback)):
            self._failure = self._failure or error
        elif not isinstance(error, (*_FATAL, Discarded, TakenOut)) and not self._tape.is_replaying:
            log.error("saga %s: %s", self._saga, context.get("message", "an error"), exc_info=error)

    def refused(self) -> Coroutine[Any, Any, Any]:
        """What an await of a stopped or dropped run gives. Raises at once; code that takes no notice of that waits."""
        self._refusals += 1
        if self._refusals <= REFUSALS_MAX:
            if self.discarded:
                raise Discarded
            self._standing.check_cancelled()
        return self._never()

    async def _never(self) -> Any:
        return await self.create_future()

    def impossible(self, error: BaseException) -> Coroutine[Any, Any, Any]:
        """What the code asked for can't be in this run: the activation fails by this error, and whoever awaits it waits."""
        self._failure = self._failure or error
        return self._never()

    # --- what asyncio needs ----------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._tape.clock_ms / 1000

    def call_soon(  # type: ignore[override]  # the supertype is generic in the arguments, to no use here
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if type(callback) is not MethodType or callback.__name__ != "_deliver_cancellation":
            self._make_ready(handle)
        elif self.rules and (self._ready or asyncio.current_task(self) is not None):
            self._ready.append(handle)
        else:
            self._lazy.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # the supertype is generic in the arguments, to no use here
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # the supertype is generic in the arguments, to no use here
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """One that is due after NEVER_SECONDS never comes, and is no timer of the run."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        birth = self.next_birth()
        if not when > NEVER_SECONDS:
            heapq.heappush(self._timers, (max(_ceil_ms(when), self._tape.clock_ms), birth, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by TimerHandle.cancel(); cancelled timers leave the heap when they come to its top."""

    def create_future(self) -> asyncio.Future[Any]:
        future = SagaFuture(loop=self)
        if not self.rules:
            future._birth = self.next_birth()
        return future

    def create_task(
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **options: Any,
    ) -> asyncio.Task[Any]:
        return self.begin(coro, self._scope_of_new_task(coro), name, context, **options)

    def begin(
        self, coro: Any, scope: Scope, name: str | None = None, context: contextvars.Context | None = None, **options: Any
    ) -> SagaTask:
        """A task with that scope of call ids."""
        context = context if context is not None else contextvars.copy_context()
        task = SagaTask(coro, loop=self, scope=scope, name=name, context=context, **options)
        self.tasks[task.birth] = task
        task.add_done_callback(self._forget)
        return task

    def close_generator(self, generator: AsyncGenerator[Any, Any], number: int) -> None:
        """It was the `number`th that was begun. No call of the saga has position 0."""
        self.begin(generator.aclose(), Scope(f"0.{number}"))

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task.birth, None)  # type: ignore[attr-defined]  # all tasks of this loop are SagaTasks
        if self._tape.is_replaying:
            task._log_traceback = False  # it was told when it happened

    def scope(self) -> Scope:
        """The scope of the code that runs now."""
        task = asyncio.current_task(self)
        return task.scope if isinstance(task, SagaTask) else self.root

    def _scope_of_new_task(self, coro: Any) -> Scope:
        """A child of the current scope. Python 3.11's wait_for() makes a task of its own, later ones do not: it shares the
        scope of its caller, so that call ids are the same in every version."""
        scope = self.scope()
        frame = sys._getframe(2)
        for _ in range(4):
            if frame is None or not frame.f_code.co_filename.endswith("tasks.py"):
                break
            name = frame.f_code.co_qualname
            if name == "wait_for":
                return scope
            if name in _ORDERLESS:
                coro.close()
                raise UnsupportedOperation(
                    "asyncio.as_completed() over coroutines starts them in no fixed order: make tasks first,"
                    " as in as_completed([asyncio.create_task(c) for c in coroutines])"
                )
            frame = frame.f_back  # type: ignore[assignment]
        return Scope(scope.next())

    def get_task_factory(self) -> None:
        """anyio asks; tasks are always ours."""

    def get_exception_handler(self) -> None:
        """There is none, and none can be set."""

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return running_loop() is self

    def is_closed(self) -> bool:
        return self.discarded

    # --- dropping a run ----------------------------------------------------------------------------------------------

    def discard(self) -> str:
        """Close every coroutine. What saga code does in `finally` meets `discarded` and can't ask for anything. Tells where one
        goes on all the same, or "": it is never run again."""
        if self.discarded:
            return ""
        self.discarded, self._refusals, place = True, 0, ""
        self._ready.clear()
        self._lazy.clear()
        self._timers.clear()
        with self.entered():
            for task in list(self.tasks.values()):
                place = close(task) or place
        self.tasks.clear()
        self._ready.clear()
        return place

    def give_up(self) -> None:
        """What `discard()`, when it was cut short, has not closed is never run again."""
        for task in self.tasks.values():
            keep(task)
        self.tasks.clear()


_FATAL = (NonDeterminism, FutureEventKind, LimitExceeded)


def _is_ours(callback: Any) -> bool:
    """A callback of the engine's or of asyncio's own machinery: the step of a task, say."""
    while (inner := getattr(callback, "func", None)) is not None:
        callback = inner
    module = getattr(callback, "__module__", None) or ""
    return (
        f"{module}.".startswith(("durable_saga.", "asyncio.", "_asyncio.")) or type(callback).__name__ == "TaskStepMethWrapper"
    )


refuse_all_but(_KEPT, SagaLoop)


def _ceil_ms(seconds: float) -> int:
    """Round up, with room for the float's error: 0.1 s after a whole second is 100 ms, not 101."""
    milliseconds = seconds * 1000
    nearest = round(milliseconds)
    return nearest if abs(milliseconds - nearest) < 0.001 else int(milliseconds) + 1
