"""A server's way to the shared journal: slow, and failing as a store behind a network fails.

The store is the real MemoryJournal. Each access arrives some time later, is carried out in one instant, and is answered
later still; a fault (durable_saga_server.journal.faults) decides what is lost. What was sent is carried out even if its
server died meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from durable_saga_server.journal import Commit, JournalUnavailable, Run, Unknown
from durable_saga_server.journal.faults import Fault

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

TIMEOUT_US = 2_000_000
LATE_US_MAX = 40_000_000


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The outcome of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the memory journal waits for nothing")


class SimulatedJournal:
    """The Journal protocol, for one server process. Methods that are not here go through `_plain` by their name."""

    batches_at_once = 3

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def close(self) -> None: ...

    def list_again(self, run: Run) -> None: ...

    async def create(self, *args: Any) -> Any:
        self._refuse()
        return await self._conditional("create", *args)

    async def acquire(self, *args: Any) -> Any:
        self._refuse()
        return await self._conditional("acquire", *args)

    async def purge(self, *args: Any) -> Any:
        self._refuse()
        return await self._conditional("purge", *args)

    async def commit_many(self, commits: list[Commit]) -> list[Any]:
        """Each commit is a write of its own."""
        self._refuse()
        found = await asyncio.gather(*(self._conditional("commit_many", [commit]) for commit in commits))
        return [outcome if isinstance(outcome, Unknown) else outcome[0] for outcome in found]

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            return await self._plain(name, *args, **options)

        return call

    def _refuse(self) -> None:
        self._process.world.plan_step(self._process)
        if self._world.dice.random() < self._world.faults_now.refused:
            raise JournalUnavailable("refused, by the plan")

    def _choose(self) -> Fault:
        faults, dice = self._world.faults_now, self._world.dice
        if dice.random() >= faults.journal:
            return Fault.NONE
        return dice.choice([Fault.LOST_ANSWER, Fault.LOST_REQUEST, Fault.LATE])

    async def _conditional(self, name: str, *args: Any) -> Any:
        """The outcome, or Unknown."""
        try:
            return await self._carry(self._choose(), name, args, {})
        except TimeoutError as error:
            return Unknown(str(error))

    async def _plain(self, name: str, *args: Any, **options: Any) -> Any:
        self._refuse()
        try:
            return await self._carry(self._choose(), name, args, options)
        except TimeoutError as error:
            raise JournalUnavailable(str(error)) from None

    async def _carry(self, fault: Fault, name: str, args: Any, options: Any) -> Any:
        """Raises TimeoutError for every fault; then the access may have been, or may still be, carried out."""
        world, loop = self._world, self._world.loop
        future: asyncio.Future[Any] = loop.create_future()
        heard = future if fault is Fault.NONE else None
        if fault is not Fault.NONE:
            world.say(self._process.name, f"journal {name}: {fault.value}")
        if fault is not Fault.LOST_REQUEST:
            late_us = world.dice.randrange(LATE_US_MAX) if fault is Fault.LATE else 0
            at = loop.now_us + world.delay_us("journal") + late_us
            loop.at(at, world.context, self._execute, name, args, options, heard)
        if heard is None:
            await asyncio.sleep(TIMEOUT_US / 1_000_000)
            raise TimeoutError(f"a time-out, by the plan ({fault.value})")
        return await future

    def _execute(self, name: str, args: Any, options: Any, heard: asyncio.Future[Any] | None) -> None:
        world = self._world
        outcome, error = None, None
        try:
            outcome = at_once(getattr(world.memory, name)(*args, **options))
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
