"""A process that means harm: nonsense to every server, about everybody's runs, while the others do their work.

It has no run of its own. What it says as a worker names real runs and epochs, and incarnations that it can't know; as a client
it asks for what it may not have. Every promise to the others holds all the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from durable_saga.errors import ClientError
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.calls import REQUESTS
from tests.attack.nonsense import Nonsense
from tests.simulation.network import SimulatedTransport
from tests.simulation.processes import Clock, Process

if TYPE_CHECKING:
    from tests.simulation.world import World

ITEMS_PER_STREAM = 40
PAUSE_SECONDS_MAX = 4.0
CALLS = ("Describe", "History", "Wait", "List", "Statistics", "Changes", "Claim", "Fetch")


class _NoWorker:
    """What the oracle looks for in a worker."""

    _runs: dict[Any, Any] = {}  # noqa: RUF012 - nobody writes to it


class HostileProcess(Process):
    def __init__(self, world: World, place: str, boot: int, clock: Clock) -> None:
        super().__init__(world, place, boot, clock)
        self.worker = _NoWorker()
        self._dice = random.Random(f"hostile/{world.seed}")
        sagas = [start.saga for start in world.plan.starts]
        words = {"namespace": ["default"], "saga": sagas, "worker": list(world.workers), "saga_types": ["none"]}
        self._nonsense = Nonsense(self._dice, words)
        self._sagas = sagas
        self._transport = SimulatedTransport(world.network, self, world.server_places)

    def start(self) -> None:
        self.spawn(self._work())
        self.spawn(self._ask())

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._dice.uniform(0, PAUSE_SECONDS_MAX))
            target = self._dice.choice(self.world.server_places)
            try:
                async for _ in self._transport.work(self._frames(), target):
                    pass
            except ClientError:
                continue  # as it should be

    async def _frames(self) -> AsyncIterator[w.WorkerFrame]:
        hello = w.Hello(
            worker=f"evil-{self._dice.randrange(3)}", protocol=1, namespace="default", saga_types=["none"], capacity=9
        )
        yield w.WorkerFrame(items=[w.WorkerItem(hello=hello)])
        for _ in range(ITEMS_PER_STREAM):
            await asyncio.sleep(self._dice.uniform(0, 0.2))
            yield w.WorkerFrame(items=[self._item()])

    def _item(self) -> w.WorkerItem:
        item: w.WorkerItem = self._nonsense.message(w.WorkerItem)
        kind = item.WhichOneof("kind")
        if kind in ("commit", "release", "owned"):
            said = getattr(item, kind)
            said.key.CopyFrom(h.RunKey(namespace="default", saga=self._dice.choice(self._sagas), run=1))
            said.epoch, said.incarnation = self._dice.randint(1, 5), self._dice.randbytes(16)
            if kind != "owned":
                said.status = h.RUNNING
        return item

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self._dice.uniform(0, PAUSE_SECONDS_MAX))
            method = self._dice.choice(CALLS)
            try:
                async with asyncio.timeout(5):
                    await self._transport.call(method.lower(), self._nonsense.message(REQUESTS[method]))
            except (ClientError, TimeoutError):
                continue  # as it should be
