"""What a saga must do, said a second time and simply: no journal, no replay, no crash. Plain asyncio on a virtual clock runs
the saga's code; a list of units says what is to be undone. The laws compare the engine with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any

from durable_saga.errors import NotApplied, SagaTimedOut
from tests.laws.sagas import FAILURES_BEFORE_OK, HANDLED, Program, Refused, child_name, execute, outcome_of, undo_outcome
from tests.laws.units import DONE, IN_DOUBT, LEFT_OUT, PENDING, RUNNING, STANDS, STUCK, UNDER_WAY, Undo, Unit, leave_out
from tests.laws.virtual_loop import VirtualLoop

ROUNDS_MAX = 20


@dataclass(eq=False)
class Attempt:
    """Something to be made: a step, or a compensation."""

    label: int
    kind: str
    outcome: str
    of: Undo | None
    future: asyncio.Future[str] | None = None
    born: int = 0
    attempt: int = 1
    not_before_ms: int = 0


_unit: ContextVar[Unit] = ContextVar("reference_unit")
_handler: ContextVar[Unit | None] = ContextVar("reference_handler", default=None)


class Inside:
    """The run as its code sees it. `log` holds ("do", label, attempt) and ("undo", label, attempt, result) in the order in
    which they were made."""

    def __init__(
        self, program: Program, *, cancel_after: int | None, timeout_ms: int, hold: bool,
        early: Sequence[str], late: Sequence[str], handled: Sequence[Program] = (),
    ) -> None:  # fmt: skip
        self.loop = VirtualLoop()
        self.root = Unit("whole")
        self.log: list[tuple[Any, ...]] = []
        self.status = "RUNNING"
        self.value: Any = None
        self._program, self._hold, self._handled = program, hold, handled
        self._handlers: list[asyncio.Task[None]] = []
        self._cancel_after = cancel_after
        self._deadline_ms = self.loop.now_ms + timeout_ms if timeout_ms else 0
        self._early, self._late = early, deque(enumerate(late, len(early)))
        self._waiting: list[Attempt] = []
        self._kept: dict[str, deque[int]] = {}
        self._readers: dict[str, deque[asyncio.Future[int]]] = {}
        self._facts = 0
        self._phase = "forward"
        self._stop: BaseException | None = None
        self._cancelled = self._asked = self._past_pivot = False
        self._parts: list[tuple[Unit, Callable[[], None]]] = []
        self._had_any = False

    # --- what the saga's code calls ----------------------------------------------------------------------------------

    async def step(self, kind: str, label: int, outcome: str, undo: str) -> str:
        self._check()
        entry = None
        if kind not in ("look", "compute"):
            entry = Undo(label, kind, undo, kind, effect=UNDER_WAY)
            self._enlist(entry)
        attempt = Attempt(label, kind, outcome, entry, self.loop.create_future(), self._facts)
        self._waiting.append(attempt)
        assert attempt.future is not None
        try:
            return await attempt.future
        except asyncio.CancelledError:
            self._give_up(attempt)
            raise

    def on_failure(self, label: int, undo: str) -> None:
        self._check()
        self._enlist(Undo(label, "undo_later", undo))

    def _enlist(self, item: Undo | Unit) -> None:
        _unit.get().items.append(item)
        if (handler := _handler.get()) is not None and _unit.get() is self.root:
            handler.items.append(item)

    async def signal(self, name: str) -> int:
        self._check()
        future: asyncio.Future[int] = self.loop.create_future()
        self._readers.setdefault(name, deque()).append(future)
        self._deliver(name)
        return await future

    @asynccontextmanager
    async def scope(self, name: str, order: str) -> Any:
        self._check()
        unit = Unit(name, order)
        self._enlist(unit)
        token = _unit.set(unit)
        try:
            yield
        except GeneratorExit:
            raise  # dropped
        except BaseException as error:
            _unit.reset(token)
            if self._stop is None and self._phase == "forward":
                await self._stop_inside(lambda context: unit.holds(context.get(_unit)))
                await self._undo_part(unit, error)
            raise
        else:
            _unit.reset(token)

    async def child(self, order: str, program: Program) -> Any:
        async def run() -> Any:
            async with self.scope(child_name(order), order):
                return await execute(program, self)

        return await self.loop.create_task(run())

    def pivot(self) -> None:
        self._check()
        self._pass_pivot()

    def _pass_pivot(self) -> None:
        if not self._past_pivot:
            self._past_pivot, self._deadline_ms = True, 0
            for one in self.root.undos():
                one.state = LEFT_OUT if one.state == PENDING and one.effect == STANDS else one.state

    def _check(self) -> None:
        if self._stop is not None and self._phase == "forward":
            raise asyncio.CancelledError

    def _give_up(self, attempt: Attempt) -> None:
        if attempt in self._waiting:
            self._waiting.remove(attempt)
            if attempt.of is not None and attempt.born == self._facts:
                attempt.of.state = LEFT_OUT if attempt.of.state == PENDING else attempt.of.state  # proven not to have begun
            elif attempt.of is not None:
                attempt.of.effect = IN_DOUBT

    def _deliver(self, name: str) -> None:
        kept, readers = self._kept.get(name, deque()), self._readers.get(name, deque())
        while kept and readers:
            reader = readers.popleft()
            if not reader.done():
                reader.set_result(kept.popleft())

    async def _handle(self, program: Program) -> None:
        """A signal handler: undone alone when it fails."""
        unit = Unit("handler")
        _handler.set(unit)
        _unit.set(self.root)
        try:
            await execute(program, self)
        except Exception as error:
            if self._stop is None and self._phase == "forward":
                await self._stop_inside(lambda context: context.get(_handler) is unit)
                if unit.any(PENDING, RUNNING, STUCK):
                    await self._undo_part(unit, error)

    async def _stop_inside(self, is_inside: Callable[[Context], bool]) -> None:
        """No step is undone while it goes on."""
        here = asyncio.current_task()
        while tasks := [one for one, context in self.loop.tasks.items() if one is not here and is_inside(context)]:
            for one in tasks:
                one.cancel()
            await self._insist(asyncio.ensure_future(asyncio.wait(tasks)))

    async def _undo_part(self, unit: Unit, error: BaseException) -> None:
        leave_out(unit, error, may_postpone=True)
        if not unit.any(PENDING, RUNNING, STUCK):
            return
        future: asyncio.Future[None] = self.loop.create_future()
        self._begin_part(unit, lambda: future.set_result(None))
        await self._insist(future)

    def _begin_part(self, unit: Unit, then: Callable[[], None]) -> None:
        unit.make_plan()
        self._parts.append((unit, then))

    async def _insist(self, future: asyncio.Future[Any]) -> None:
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                if self._stop is not None or self._phase != "forward":
                    raise


class Reference(Inside):
    """The run as the world sees it."""

    def run(self) -> Reference:
        with self.loop.running():
            _unit.set(self.root)
            self._main = self.loop.create_task(execute(self._program, self))
            self._fact(lambda: None)
            for number, name in enumerate(self._early):
                if self._phase != "over":
                    self._fact(lambda name=name, number=number: self._message(name, number))  # type: ignore[misc]
            while self._phase != "over" and self._turn():
                pass
        return self

    def _turn(self) -> bool:
        if self._cancel_after is not None and self._facts > self._cancel_after:
            self._cancel_after = None
            self._fact(self._asked_to_stop)
            return True
        if self._waiting:
            attempt = min(self._waiting, key=lambda one: (one.not_before_ms, one.label))
            if attempt.not_before_ms <= min(self._timers(), default=attempt.not_before_ms):
                self._make(attempt)
                return True
        return self._time_passes()

    def _timers(self) -> list[int]:
        timer_ms = self.loop.next_timer_ms() if self._phase == "forward" else 0
        return [ms for ms in (timer_ms, self._deadline_ms) if ms]

    def _time_passes(self) -> bool:
        timers = self._timers()
        if not timers:
            if self._late:
                number, name = self._late.popleft()
                self._fact(lambda: self._message(name, number))
                return True
            return False
        due_ms = min(timers)
        self.loop.now_ms = max(self.loop.now_ms, due_ms)
        if self._phase == "forward" and self.loop.next_timer_ms() == due_ms:
            self._fact(lambda: self.loop.fire(due_ms))
        else:
            self._deadline_ms = 0
            self._fact(lambda: self._interrupt(SagaTimedOut("timeout")))
        return True

    def _fact(self, happens: Callable[[], None]) -> None:
        self._facts += 1
        happens()
        self._settle()

    def _message(self, name: str, number: int) -> None:
        if name == HANDLED and not self._main.done():
            program = self._handled[number] if number < len(self._handled) else ["seq"]
            self._handlers.append(self.loop.create_task(self._handle(program), context=Context()))
            return
        self._kept.setdefault(name, deque()).append(number)
        self._deliver(name)

    def _asked_to_stop(self) -> None:
        if self._past_pivot:
            return
        if self._phase == "held":
            self._cancelled = True
            self._unwind(self._error)
        else:
            self._cancelled = self._cancelled or (self._stop is None and self._phase == "forward")
            self._interrupt(asyncio.CancelledError("test"))

    def _interrupt(self, reason: BaseException) -> None:
        if self._stop is None and self._phase == "forward":
            self._stop, self._asked = reason, True
            self._main.cancel()

    # --- attempts ------------------------------------------------------------------------------------------------------

    def _make(self, attempt: Attempt) -> None:
        self._waiting.remove(attempt)
        self.loop.now_ms = max(self.loop.now_ms + 1, attempt.not_before_ms)
        try:
            if attempt.future is None:
                assert attempt.of is not None
                self.log.append(("undo", attempt.label, attempt.attempt, attempt.of.result))
                undo_outcome(attempt.outcome, attempt.attempt)
                self._fact(lambda: self._undone(attempt))
            else:
                self.log.append(("do", attempt.label, attempt.attempt))
                value = outcome_of(attempt.label, attempt.outcome, attempt.attempt)
                self._fact(lambda: self._done(attempt, value))
        except (Refused, NotApplied) as error:
            failure = error
            self._fact(lambda: self._failed(attempt, failure))

    def _done(self, attempt: Attempt, value: str) -> None:
        assert attempt.future is not None
        if attempt.of is not None:
            attempt.of.result, attempt.of.effect = value, STANDS
            if self._past_pivot and attempt.of.state == PENDING:
                attempt.of.state = LEFT_OUT
        if attempt.kind == "turn":
            self._pass_pivot()
        attempt.future.set_result(value)

    def _undone(self, attempt: Attempt) -> None:
        assert attempt.of is not None
        attempt.of.state = DONE

    def _failed(self, attempt: Attempt, error: Exception) -> None:
        if (seconds := self._pause(attempt, error)) is not None:
            attempt.not_before_ms = self.loop.now_ms + seconds * 1000
            attempt.attempt += 1
            attempt.born = -1
            self._waiting.append(attempt)
        elif attempt.future is None:
            assert attempt.of is not None
            attempt.of.state = STUCK
        else:
            self._failed_for_good(attempt, error)

    def _pause(self, attempt: Attempt, error: Exception) -> int | None:
        """Seconds until the next attempt, None: there is none."""
        if attempt.future is None:
            return 1 if attempt.attempt < 2 else None
        first = 30 if attempt.kind in ("tries", "compute") else 1
        attempts = 3 if attempt.kind in ("tries", "compute") else 1
        if not self._past_pivot and (isinstance(error, NotApplied) or attempt.attempt >= attempts):
            return None
        assert attempt.attempt <= FAILURES_BEFORE_OK
        return int(first * 2 ** (attempt.attempt - 1))

    def _failed_for_good(self, attempt: Attempt, error: Exception) -> None:
        future, entry = attempt.future, attempt.of
        assert future is not None

        def tell() -> None:
            if not future.done():
                future.set_exception(error)

        if entry is not None and isinstance(error, NotApplied):
            entry.state = LEFT_OUT
        elif entry is not None:
            entry.effect, entry.error = IN_DOUBT, error
        if entry is not None and entry.kind == "now" and entry.state == PENDING:
            self._begin_part(Unit("", items=[entry]), tell)
        else:
            tell()

    # --- undoing -------------------------------------------------------------------------------------------------------

    def _start(self, undos: list[Undo]) -> None:
        for one in undos:
            one.state = RUNNING
            self._waiting.append(Attempt(one.label, "undo", one.undo, one))

    def _settle(self) -> None:
        if self._phase == "forward":
            self.loop.run_until_idle()
            while self._parts_go_on():
                self.loop.run_until_idle()
            self._end_forward()
        if self._phase in ("unwinding", "settling"):
            self._start(self.root.next())
            self._judge()

    def _parts_go_on(self) -> bool:
        settled = [one for one in self._parts if not one[0].any(PENDING, RUNNING, STUCK)]
        self._parts = [one for one in self._parts if one not in settled]
        for _, then in settled:
            then()
        for unit, _ in self._parts:
            self._start(unit.next())
        stuck = any(not unit.any(PENDING, RUNNING) for unit, _ in self._parts)
        self.status = "COMPENSATION_STUCK" if stuck else "RUNNING"
        return bool(settled)

    def _end_forward(self) -> None:
        if not self._main.done():
            if self._stop is None:
                return
            self._cancel_tasks()
            assert self._main.done(), "the program goes on after it was stopped"
        ended_well = not self._main.cancelled() and self._main.exception() is None
        if ended_well and self._stop is None and any(not one.done() for one in self._handlers):
            return
        self._cancel_tasks()
        error = asyncio.CancelledError() if self._main.cancelled() else self._main.exception()
        if self._stop is not None and (error is None or isinstance(error, asyncio.CancelledError)):
            error = self._stop
        held = self._past_pivot or (self._hold and not self._asked)
        if self._parts and (error is None or held):
            return
        self._waiting = [one for one in self._waiting if one.future is None]
        if error is None:
            self._settle_doubts(self._main.result())
        elif held:
            self._phase, self._deadline_ms, self._error = "held", 0, error
            self.status = "HELD"
        else:
            self._unwind(error)

    def _cancel_tasks(self) -> None:
        for _ in range(ROUNDS_MAX):
            if not self.loop.tasks:
                return
            for task in list(self.loop.tasks):
                task.cancel()
            self.loop.run_until_idle()

    def _unwind(self, error: BaseException) -> None:
        self._phase = "unwinding"
        self._parts = []
        leave_out(self.root, error)
        self.root.make_plan()
        self._had_any = self.root.any(PENDING, RUNNING, STUCK)

    def _settle_doubts(self, value: Any) -> None:
        """What may have happened and is not known to have is undone before the end."""
        self.value, self._deadline_ms, self._phase = value, 0, "settling"
        for one in self.root.undos():
            error = one.error if one.effect == IN_DOUBT else asyncio.CancelledError() if one.postponed else None
            one.postponed = False
            if error is not None:
                leave_out(Unit("", items=[one]), error)
        self.root.make_plan(IN_DOUBT)

    def _judge(self) -> None:
        def any_in(*states: str) -> bool:
            return any(one.planned and one.state in states for one in self.root.undos())

        if any_in(PENDING, RUNNING):
            self.status = "RUNNING" if self._phase == "settling" else "COMPENSATING"
        elif any_in(STUCK):
            self.status = "COMPENSATION_STUCK"
        elif self._phase == "settling":
            self.status, self._phase = "COMPLETED", "over"
        else:
            undone = "COMPENSATED" if self._had_any or self.root.any(DONE) else "FAILED"
            self.status, self._phase = ("CANCELLED" if self._cancelled else undone), "over"
