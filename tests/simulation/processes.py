"""Simulated processes: servers, workers and clients, each with a clock of its own that is wrong in its own way.

A process is started, paused, resumed and killed by the plan. What it runs is the real code; only its transport, its journal
and its sources of time, ids and dice are the simulation's.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from durable_saga_server.config import Config
from durable_saga_server.incoming.serving import start_when_reachable
from durable_saga_server.service import HistoryService

from durable_saga import Client, Worker
from tests.simulation import builds, deployed
from tests.simulation.journal import SimulatedJournal
from tests.simulation.log_journal import LoggedJournal
from tests.simulation.loop import PROCESS
from tests.simulation.network import SimulatedTransport

if TYPE_CHECKING:
    from tests.simulation.world import World

WORKER_SAGAS_MAX = 40


class Clock:
    """Wrong by an offset that the plan may change, and by a rate."""

    def __init__(self, world: World, offset_ms: int, rate: float) -> None:
        self._world = world
        self.offset_ms = offset_ms
        self._rate = rate

    def now_ms(self) -> int:
        now_us = self._world.loop.now_us
        return now_us // 1000 + self.offset_ms + int((now_us - self._world.start_us) * self._rate / 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Chance:
    """Ids and dice of one process, from the seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def new(self) -> bytes:
        return self._random.randbytes(16)

    def random(self) -> float:
        return self._random.random()


class Process:
    """One start of a process; after a crash the next start is another one of the same `place`."""

    def __init__(self, world: World, place: str, boot: int, clock: Clock) -> None:
        self.world = world
        self.place = place
        self.name = f"{place}#{boot}"
        self._boot = boot
        self.clock = clock
        self.chance = Chance(f"{world.seed}/{self.name}")
        self.is_dead = False
        self.is_paused = False
        self.held: list[asyncio.Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.world.loop.spawn(work, self.context)

    def pause(self) -> None:
        self.is_paused = True
        self.world.network.paused(self)

    def resume(self) -> None:
        self.is_paused = False
        self.world.loop.resume(self.held)

    def kill(self) -> None:
        """As kill -9, or as a machine that loses its power: nothing of it runs any more."""
        self.is_dead, self.is_paused = True, False
        self.held.clear()
        self.world.network.died(self)


class ServerProcess(Process):
    """A history server. `listening`: it takes calls."""

    def __init__(self, world: World, place: str, boot: int, clock: Clock) -> None:
        super().__init__(world, place, boot, clock)
        self.listening = False
        self.service: HistoryService

    def start(self) -> None:
        self.spawn(self._run())

    async def _run(self) -> None:
        journal = self._journal()
        retention_ms = self.world.plan.retention_seconds * 1000
        self.service = HistoryService(
            journal, clock=self.clock, ids=self.chance, config=Config(retention_ms=retention_ms), name=self.name
        )
        await start_when_reachable(self.service, "simulated")
        self.listening = True
        self.world.say(self.name, "listens")
        await self.service.join(self.place)

    def _journal(self) -> SimulatedJournal:
        if self.world.logs is None:
            return SimulatedJournal(self.world, self)
        return LoggedJournal(self.world, self, self.world.logs)

    async def stop(self) -> None:
        """An orderly end, as after SIGTERM."""
        await self.service.drain()
        self.listening = False
        await self.service.shut_down()
        self.world.say(self.name, "has stopped")
        self.world.loop.at(self.world.loop.now_us, self.world.context, self.kill)


class WorkerProcess(Process):
    worker: Worker

    def start(self) -> None:
        self.spawn(self._run())

    async def _run(self) -> None:
        transport = SimulatedTransport(self.world.network, self, self.world.server_places)
        client = Client(transport, chance=self.chance)
        build = builds.build_at(self.world.plan, self.place)
        self.worker = Worker(
            client, sagas=[*builds.sagas_of(build), *deployed.of_worker(self.place, self._boot, self.world.plan)],
            name=self.name,
            clock=self.clock, chance=self.chance, sagas_max=WORKER_SAGAS_MAX, build=build,
        )  # fmt: skip
        await self.worker.run()
        self.world.say(self.name, "has stopped")
        self.world.loop.at(self.world.loop.now_us, self.world.context, self.kill)

    async def stop(self) -> None:
        self.worker.stop()

    def forget(self) -> None:
        """The world is over: close what its sagas left behind."""
        worker: Worker | None = getattr(self, "worker", None)
        for run in list(worker._runs.values()) if worker is not None else ():
            run._core.discard()


class ClientProcess(Process):
    """Where the scripts of clients run; it is not harmed, only its links are."""

    def __init__(self, world: World, place: str, boot: int, clock: Clock) -> None:
        super().__init__(world, place, boot, clock)
        self.client = Client(SimulatedTransport(world.network, self, world.server_places), chance=self.chance)
