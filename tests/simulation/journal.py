"""A server's way to the shared journal: slow, and failing as a store behind a network fails.

The store is the real MemoryJournal. Each access arrives some time later, is carried out in one instant, and is answered
later still; a fault (durable_saga_server.journal.faults) decides what is lost. What was sent is carried out even if its
server died meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from durable_saga_server.journal import JournalUnavailable, Unknown
from durable_saga_server.journal.faults import CONDITIONAL, Fault
from durable_saga_server.journal.wrapping import Call, WrappedJournal

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

TIMEOUT_US = 2_000_000
LATE_US_MAX = 40_000_000


def at_once(work: Awaitable[Any]) -> Any:
    """The outcome of a coroutine that never waits."""
    try:
        next(work.__await__())
    except StopIteration as end:
        return end.value
    raise AssertionError("the memory journal waits for nothing")


class SimulatedJournal(WrappedJournal):
    """For one server process."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(world.memory)
        self.batches_at_once = 3
        self._world = world
        self._process = process

    async def initialize(self) -> None:
        await self.around("initialize", self._journal.initialize)

    async def close(self) -> None: ...

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        self._refuse()
        if name == "runs.commit_many":  # each commit is a write of its own
            found = await asyncio.gather(*(self._conditional(name, call, [commit]) for commit in args[0]))
            return [outcome if isinstance(outcome, Unknown) else outcome[0] for outcome in found]
        if name in CONDITIONAL:
            return await self._conditional(name, call, *args)
        try:
            return await self._carry(self._choose(), name, call, args)
        except TimeoutError as error:
            raise JournalUnavailable(str(error)) from None

    def _refuse(self) -> None:
        self._process.world.plan_step(self._process)
        if self._world.dice.random() < self._world.faults_now.refused:
            raise JournalUnavailable("refused, by the plan")

    def _choose(self) -> Fault:
        faults, dice = self._world.faults_now, self._world.dice
        if dice.random() >= faults.journal:
            return Fault.NONE
        return dice.choice([Fault.LOST_ANSWER, Fault.LOST_REQUEST, Fault.LATE])

    async def _conditional(self, name: str, call: Call, *args: Any) -> Any:
        """The outcome, or Unknown."""
        try:
            return await self._carry(self._choose(), name, call, args)
        except TimeoutError as error:
            return Unknown(str(error))

    async def _carry(self, fault: Fault, name: str, call: Call, args: Any) -> Any:
        """Raises TimeoutError for every fault; then the access may have been, or may still be, carried out."""
        world, loop = self._world, self._world.loop
        future: asyncio.Future[Any] = loop.create_future()
        heard = future if fault is Fault.NONE else None
        if fault is not Fault.NONE:
            world.say(self._process.name, f"journal {name}: {fault.value}")
        if fault is not Fault.LOST_REQUEST:
            late_us = world.dice.randrange(LATE_US_MAX) if fault is Fault.LATE else 0
            at = loop.now_us + world.delay_us("journal") + late_us
            loop.at(at, world.context, self._execute, name, call, args, heard)
        if heard is None:
            await asyncio.sleep(TIMEOUT_US / 1_000_000)
            raise TimeoutError(f"a time-out, by the plan ({fault.value})")
        return await future

    def _execute(self, name: str, call: Call, args: Any, heard: asyncio.Future[Any] | None) -> None:
        world = self._world
        outcome, error = None, None
        try:
            outcome = at_once(call(*args))
        except Exception as raised:
            error = raised
        world.oracle.carried_out(self._process, name, args, outcome)
        if heard is not None:
            at = world.loop.now_us + world.delay_us("journal")
            world.loop.at(at, self._process.context, _settle, heard, outcome, error)


def _settle(future: asyncio.Future[Any], outcome: Any, error: Exception | None) -> None:
    if future.done():
        return  # whoever asked was cancelled
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(outcome)
