"""Makes the attempts of a driven saga: calls the step, or its mock, with the mishap that a schedule asks for."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from durable_saga.authoring.step_context import StepContext, current, key_prefix
from durable_saga.errors import StepTimedOut
from durable_saga.pb import history_pb2 as h
from durable_saga.replay import RunStep
from durable_saga.testing.driver import Attempt, Driver, Ended
from durable_saga.testing.faults import Mishap

_KEYS = key_prefix(h.RunKey(namespace="test", saga="saga", run=1), b"test run")
"""Each run of a test is the first life of its saga, in a world of its own."""


class InjectedFailure(Exception):
    """Raised by a step when a schedule lets it fail."""


@dataclass
class Performer:
    """`mocks` maps names of steps and compensations to what is called instead. A mishap happens once to its call."""

    mocks: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    mishaps: dict[tuple[str, str], Mishap] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    async def drive(self, driver: Driver, play: Generator[Attempt, Ended, None] | None = None) -> None:
        """To the end of the run."""
        attempts = play or driver.play()
        try:
            effect = next(attempts)
            while True:
                version = driver.core.versions.at(effect.call)
                effect = attempts.send(await self.attempt(effect, driver.processes, version))
        except StopIteration:
            return

    async def attempt(self, effect: Attempt, epoch: int, version: int = 1) -> Ended:
        kind = "do" if isinstance(effect, RunStep) else "undo"
        mishap = self.mishaps.pop((kind, effect.call), None)
        final = mishap in ("fails before", "fails after")
        if mishap in ("fails before", "fails once before"):
            return Ended(error=_injected(effect), final=final)
        try:
            value = await self._call(effect, epoch, kind, version)
        except BaseException as error:  # as a worker does: what a step raises is its failure
            task = asyncio.current_task()
            if isinstance(error, GeneratorExit) or (task is not None and task.cancelling()):
                raise
            return Ended(error=error)
        if mishap == "dies after":
            return Ended(died=True)
        if mishap is not None:
            return Ended(error=_injected(effect), final=final)
        return Ended(value)

    async def _call(self, effect: Attempt, epoch: int, kind: str, version: int) -> Any:
        name, function = effect.definition.name, effect.definition.function
        args, kwargs = effect.args, dict(effect.kwargs)
        if name in self.mocks:
            self.used.add(name)
            given = getattr(function, "given", None)  # a table's step gets its arguments from the saga
            if given is not None:
                args, kwargs = given(**kwargs)
            function = self.mocks[name]
        key = f"{_KEYS}{effect.call}{'' if kind == 'do' else '/undo'}"
        token = current.set(partial(StepContext, key, epoch, "saga", effect.call, effect.attempt, name, version=version))
        seconds = effect.definition.timeout_ms / 1000 or None
        try:
            async with asyncio.timeout(seconds) as limit:
                outcome = function(*args, **kwargs)
                return await outcome if inspect.isawaitable(outcome) else outcome
        except TimeoutError as error:
            if limit.expired():
                raise StepTimedOut(f"{name} took longer than {seconds} s") from error
            raise
        finally:
            current.reset(token)


def _injected(effect: Attempt) -> InjectedFailure:
    return InjectedFailure(f"{effect.definition.name} fails, as its schedule says")
