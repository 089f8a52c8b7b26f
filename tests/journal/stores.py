"""Several stores beside each other, which are asked the same."""

from __future__ import annotations

import asyncio
import time

from durable_saga_server.journal import Journal
from durable_saga_server.journal.faults import Fault, FaultyJournal


class Clock:
    """Stands still in an example, so that all stores see the same time, and goes on between two."""

    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000  # hints that are long past expire in Cassandra

    def now_ms(self) -> int:
        return self.ms

    async def sleep(self, seconds: float) -> None:
        """For ever: the logs are not looked after meanwhile, and a call that waited would not end."""
        await asyncio.Event().wait()


class Stores:
    """The stores and the loop they live on, shared by all examples; an example has a namespace of its own."""

    def __init__(self, journals: list[Journal], clock: Clock) -> None:
        self.runner = asyncio.Runner()
        self.fault = Fault.NONE
        self.clock = clock
        self.journals = [FaultyJournal(one, lambda: self.fault) for one in journals]
        for one in journals:
            self.runner.run(one.initialize())

    def close(self) -> None:
        for one in self.journals:
            self.runner.run(one.close())
        self.runner.close()
