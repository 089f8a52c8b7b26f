"""Tries a saga with everything that can go wrong, and tells the shortest way to break what must hold.

First without a fault; then with one: a crash after or before each commit, a worker that dies after each effect, each step
failing before and after its effect, a cancel at each position; then, where one of these led to an unwind, with a second one
in that unwind. Shorter schedules come first, so the first that fails is the shortest.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from durable_saga.errors import DurableSagaError
from durable_saga.testing.driver import Stalled
from durable_saga.testing.faults import NO_FAULTS, Faults, Mishap
from durable_saga.testing.results import SagaResult

SCHEDULES_MAX = 5_000
SAY_EVERY = 50
_FAILURES: tuple[Mishap, ...] = ("fails before", "fails after")
_TROUBLE: tuple[Mishap, ...] = ("dies after", "fails once after", "fails once before")


class ScheduleFailed(AssertionError):
    """A schedule broke the invariant. `faults` repeats it: `await runner.run_with(error.faults, saga, ...)`."""

    def __init__(self, message: str, faults: Faults) -> None:
        super().__init__(message)
        self.faults = faults


@dataclass(frozen=True)
class Exploration:
    """Every schedule held. `complete` is False if `schedules_max` ended the exploration before all schedules were tried."""

    schedules: int
    complete: bool


async def explore(
    run: Callable[[Faults], Awaitable[SagaResult]],
    *,
    invariant: Callable[..., Any],
    setup: Callable[[], Any] | None,
    schedules_max: int | None,
    say: Callable[[str], None] | None,
) -> Exploration:
    """Raises ScheduleFailed."""
    limit = schedules_max or SCHEDULES_MAX
    explorer = _Explorer(run, invariant, setup, say)
    base = await explorer.attempt(NO_FAULTS)
    unwinding: list[tuple[Faults, SagaResult]] = []
    if "unwind_started" in _kinds(base):
        unwinding.append((NO_FAULTS, base))
    for faults in _single(base):
        if explorer.tried >= limit:
            return Exploration(explorer.tried, complete=False)
        result = await explorer.attempt(faults)
        if "unwind_started" in _kinds(result):
            unwinding.append((faults, result))
    for first, result in unwinding:
        for faults in _second(first, result):
            if explorer.tried >= limit:
                return Exploration(explorer.tried, complete=False)
            await explorer.attempt(faults)
    return Exploration(explorer.tried, complete=True)


class _Explorer:
    def __init__(
        self, run: Callable[[Faults], Awaitable[SagaResult]], invariant: Callable[..., Any],
        setup: Callable[[], Any] | None, say: Callable[[str], None] | None,
    ) -> None:  # fmt: skip
        self._run = run
        self._invariant = invariant
        self._setup = setup
        self._say = say
        self._names: dict[tuple[str, str], str] = {}
        self._steps: dict[str, str] = {}
        self.tried = 0

    async def attempt(self, faults: Faults) -> SagaResult:
        self.tried += 1
        if self._say is not None and self.tried % SAY_EVERY == 0:
            self._say(f"{self.tried} schedules tried, all held")
        world = self._setup() if self._setup is not None else None
        try:
            result = await self._run(faults)
        except (DurableSagaError, Stalled) as error:
            raise ScheduleFailed(self._report(faults, f"{type(error).__name__}: {error}", None), faults) from error
        self._remember(result)
        before = await self._broken(world, result)
        after = await self._broken_by_replay(world, result)
        problem = after if before is None or after is None or "NonDeterminism" in after else before
        problem = problem or before
        if problem is not None:
            raise ScheduleFailed(self._report(faults, problem, result), faults)
        return result

    async def _broken_by_replay(self, world: Any, result: SagaResult) -> str | None:
        """Replay asks for the same things and does nothing to the world; code outside a step that does is found here."""
        try:
            result.replay()
        except DurableSagaError as error:
            return f"{type(error).__name__}: {error}"
        problem = await self._broken(world, result)
        return None if problem is None else f"replaying the saga changed the world: it has an effect outside a step ({problem})"

    async def _broken(self, world: Any, result: SagaResult) -> str | None:
        try:
            held = self._invariant(world, result) if self._setup is not None else self._invariant(result)
            held = await held if inspect.isawaitable(held) else held
        except AssertionError as error:
            return str(error) or "an assertion of the invariant failed"
        return "the invariant is False" if held is False else None

    def _remember(self, result: SagaResult) -> None:
        for event in result._events:
            if event.HasField("step_scheduled"):
                self._steps[event.step_scheduled.call] = event.step_scheduled.name
            elif event.HasField("compensation_registered"):
                self._steps[event.compensation_registered.call] = event.compensation_registered.name
        for call, name in self._steps.items():
            self._names["do", call] = self._names["undo", call] = name

    def _report(self, faults: Faults, problem: str, result: SagaResult | None) -> str:
        words = faults.words(self._names)
        happened = [f"  {place}. {sentence}" for place, sentence in enumerate(words, 1)] or ["  nothing goes wrong"]
        lines = [f"{problem}", f"the shortest schedule that shows it (schedule {self.tried}):", *happened]
        if result is not None:
            lines += [f"what ran: {', '.join(result.names) or 'nothing'}", f"the saga ended as {result.status}"]
            if result.error:
                lines.append(f"with {result.error.strip().splitlines()[-1]}")
        lines.append(f"repeat it with: await runner.run_with({faults!r}, ...)")
        return "\n".join(lines)


def _kinds(result: SagaResult) -> set[str]:
    return {str(event.WhichOneof("kind")) for event in result._events}


def _calls(result: SagaResult, kind: str) -> Sequence[str]:
    return list(dict.fromkeys(call for one, call, _ in result.calls if one == kind))


def _single(base: SagaResult) -> Iterator[Faults]:
    for call in _calls(base, "do"):
        for mishap in (*_FAILURES, *_TROUBLE):
            yield Faults(mishaps={("do", call): mishap})
    for call in _calls(base, "undo"):
        for mishap in _TROUBLE:
            yield Faults(mishaps={("undo", call): mishap})
    for number in range(1, base.commits + 1):
        yield Faults(crash_at=[number])
        yield Faults(lose_at=[number])
    for position in range(len(base._events)):
        yield Faults(cancel_after=position)


def _second(first: Faults, result: SagaResult) -> Iterator[Faults]:
    """One more fault in the unwind that the first one led to."""
    for call in _calls(result, "undo"):
        for mishap in _TROUBLE:
            if ("undo", call) not in first.mishaps:
                mishaps = {**first.mishaps, ("undo", call): mishap}
                yield Faults(first.crash_at, first.lose_at, mishaps, first.cancel_after)
    for number in range(1, result.commits + 1):
        if number not in first.crash_at and number not in first.lose_at:
            yield Faults([*first.crash_at, number], first.lose_at, first.mishaps, first.cancel_after)
