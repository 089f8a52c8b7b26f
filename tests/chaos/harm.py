"""What is done to the parts, from one seed: kill -9 and a restart, STOP and CONT, links that are cut or go silent."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from examples.demo.processes import Process
from tests.cassandra_node import CassandraNode
from tests.chaos.cell import ChaosCell, pause, resume
from tests.chaos.links import Link

PAUSE_BETWEEN_SECONDS = (1.0, 6.0)
DOWN_AFTER_SECONDS = 60.0
AT_ONCE_MAX = 3


class Harm:
    """Harms the cell until `stop()`; `run()` returns when everything is whole again. `counts` says what was done.
    `down_seconds`: one node is down for so long, and comes back to what it has missed as hints of the others; no other node is
    harmed meanwhile."""

    def __init__(self, cell: ChaosCell, seed: int, say: Callable[[str], None], down_seconds: float = 0.0) -> None:
        self._down_seconds = down_seconds
        self._cell = cell
        self._dice = random.Random(seed)
        self._say = say
        self._stopping = asyncio.Event()
        self._harmed: set[object] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.blows: list[tuple[int, int]] = []
        """From when to when something was harmed, in ms since 1970."""

    async def run(self) -> None:
        long = asyncio.create_task(self._long_down()) if self._down_seconds else None
        while not self._stopping.is_set():
            if len(self._harmed) < AT_ONCE_MAX:
                self._begin()
            try:
                async with asyncio.timeout(self._dice.uniform(*PAUSE_BETWEEN_SECONDS)):
                    await self._stopping.wait()
            except TimeoutError:
                pass  # time for the next one
        await asyncio.gather(*self._under_way, *([long] if long is not None else []))

    def stop(self) -> None:
        self._stopping.set()

    async def _long_down(self) -> None:
        await asyncio.sleep(DOWN_AFTER_SECONDS)
        while any(isinstance(one, CassandraNode) for one in self._harmed):
            await asyncio.sleep(0.2)
        node = self._dice.choice(self._cell.nodes)
        self._say(f"kill -9 node {node.host} for {self._down_seconds:.0f} s")
        self.counts["node down for long"] += 1
        self._harmed.add(node)
        await self._settled(node, self._node(node, kill=True, seconds=self._down_seconds))
        self._say(f"node {node.host} is back")

    def _begin(self) -> None:
        victims: list[CassandraNode | Process | Link] = [*self._cell.servers, *self._cell.workers, *self._cell.links]
        if not any(isinstance(one, CassandraNode) for one in self._harmed):
            victims += self._cell.nodes  # a majority of the three goes on
        victim = self._dice.choice([one for one in victims if one not in self._harmed])
        self._harmed.add(victim)
        kill = self._dice.random() < 0.5
        seconds = self._dice.uniform(0.5, 15.0)
        if isinstance(victim, Link):
            name, work = f"link to {victim.target}", self._link(victim, kill, seconds)
        elif isinstance(victim, CassandraNode):
            name, work = f"node {victim.host}", self._node(victim, kill, seconds)
        else:
            name, work = victim.name, self._process(victim, kill, seconds)
        what = ("cut" if kill else "silent") if isinstance(victim, Link) else ("kill -9" if kill else "STOP")
        self.counts[f"{what} {name.split()[0].rstrip('-0123456789')}"] += 1
        self._say(f"{what} {name} for {seconds:.1f} s")
        task = asyncio.create_task(self._settled(victim, work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _settled(self, victim: object, work: Awaitable[None]) -> None:
        begun_ms = _now_ms()
        try:
            await work
        finally:
            self._harmed.discard(victim)
            self.blows.append((begun_ms, _now_ms()))

    async def _link(self, link: Link, cut: bool, seconds: float) -> None:
        if cut:
            link.cut()
        else:
            link.silence()
        await asyncio.sleep(seconds)
        link.mend()

    async def _node(self, node: CassandraNode, kill: bool, seconds: float) -> None:
        if not kill:
            pause(node.pid)
            await asyncio.sleep(seconds)
            resume(node.pid)
            return
        node.kill()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(node.start)

    async def _process(self, process: Process, kill: bool, seconds: float) -> None:
        if not kill:
            pause(process.pid)
            await asyncio.sleep(seconds)
            resume(process.pid)
            return
        process.kill()
        await asyncio.sleep(seconds / 3)
        self._cell.restart(process)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
