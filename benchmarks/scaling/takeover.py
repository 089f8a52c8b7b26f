"""How long it takes until sagas that were at work in a process that is killed with -9 go on, by their number."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

from benchmarks.scaling.stand import Settings, Stand, warm_up
from benchmarks.workload import held_then_passed
from durable_saga import Client
from examples.demo.processes import Process

SIZES = (10, 100, 1_000, 5_000)
SIZES_OF_SERVERS = (10, 100, 1_000)
ROOM = 12_000
STARTS_AT_ONCE = 64
SECONDS_MAX = 240.0
POLL_SECONDS = 0.02
READY_SECONDS = 12.0
"""By then members know each other, workers are connected to all of them, and a new home has looked at what it found."""


class Held:
    """So many sagas in their long step. Each step tells in a file which process runs it, and when it began."""

    def __init__(self, settings: Settings, count: int) -> None:
        self.folder = settings.folder / f"held-{uuid.uuid4().hex[:8]}"
        self.folder.mkdir()
        self.count = count

    def told(self, name: str, pid: int) -> dict[int, float]:
        """By the number of the saga, when its step of this name began in this process for the first time."""
        file = self.folder / name
        found: dict[int, float] = {}
        lines = file.read_text().splitlines() if file.exists() else []
        for number, process, at in (line.split() for line in lines):
            if int(process) == pid:
                found.setdefault(int(number), float(at))
        return found

    def wait(self, name: str, process: Process) -> dict[int, float]:
        """Until all of them have."""
        until = time.monotonic() + SECONDS_MAX
        while len(found := self.told(name, process.pid)) < self.count:
            if time.monotonic() > until:
                raise RuntimeError(f"{len(found)} of {self.count} sagas go on after {SECONDS_MAX} s")
            time.sleep(POLL_SECONDS if self.count <= 1_000 else 5 * POLL_SECONDS)
        return found

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    async def start(self, client: Client) -> None:
        await warm_up(client)
        numbers = iter(range(self.count))

        async def starter() -> None:
            for number in numbers:
                await client.start(held_then_passed, str(self.folder), number)

        await asyncio.gather(*(starter() for _ in range(STARTS_AT_ONCE)))


def seconds(times: dict[int, float], since: float) -> dict[str, float]:
    """When the first, the middle one and the last went on."""
    ordered = sorted(times.values())
    return {
        "first_seconds": round(ordered[0] - since, 2),
        "median_seconds": round(ordered[len(ordered) // 2] - since, 2),
        "all_seconds": round(ordered[-1] - since, 2),
    }


def of_worker(settings: Settings, kind: str, count: int) -> dict[str, float]:
    """Another worker is connected and idle."""
    held = Held(settings, count)
    with Stand(settings, settings.journal(kind)) as stand:
        victim = stand.worker(ROOM)
        settings.say(f"starting {count} sagas")
        stand.run(held.start)
        held.wait("held", victim)
        other = stand.worker(ROOM)
        time.sleep(2)
        settings.say(f"the worker of {count} sagas is killed")
        since = time.monotonic()
        victim.kill()
        return _ended(stand, seconds(held.wait("held", other), since))


def of_server(settings: Settings, count: int, *, kills: bool, worker_too: bool = False) -> dict[str, float]:
    """One server of two is killed as the long steps end, so that half of the commits had it as their home; without `kills`,
    the same with both. With `worker_too` the worker is killed at the same time, and the long steps go on."""
    held = Held(settings, count)
    with Stand(settings, settings.journal("cassandra"), servers=2) as stand:
        worker = stand.worker(ROOM)
        time.sleep(READY_SECONDS)
        settings.say(f"starting {count} sagas")
        stand.run(held.start)
        held.wait("held", worker)
        other = stand.worker(ROOM)
        time.sleep(READY_SECONDS)
        settings.say(f"{'a server' if kills else 'nothing'} is killed, {count} sagas")
        since = time.monotonic()
        if kills:
            stand.servers[0].kill()
        if worker_too:
            worker.kill()
            return _ended(stand, seconds(held.wait("held", other), since))
        held.open_gate()
        return _ended(stand, seconds(held.wait("passed", worker), since))


def _ended(stand: Stand, found: dict[str, float]) -> dict[str, float]:
    """Nothing of it is wanted any more: a stop in good order would wait for the long steps."""
    for process in [*stand.workers, *stand.servers]:
        process.kill()
    return found


def takeover(settings: Settings) -> None:
    for kind in settings.journals:
        for count in settings.sizes(*SIZES):
            found: dict[str, Any] = of_worker(settings, kind, count)
            settings.tell({"part": "takeover", "journal": kind, "killed": "worker", "sagas": count, **found})
    if "cassandra" not in settings.journals:
        return
    for count in settings.sizes(*SIZES_OF_SERVERS):
        for killed, options in (
            ("nothing", {"kills": False}),
            ("server", {"kills": True}),
            ("server and worker", {"kills": True, "worker_too": True}),
        ):
            found = of_server(settings, count, **options)
            settings.tell({"part": "takeover", "journal": "cassandra", "killed": killed, "sagas": count, **found})
