"""One world: everything of one seed, from the first start to rest.

`run()` gives an Outcome; the same seed gives the same log, line for line, in every process.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from durable_saga_server.journal.memory import MemoryJournal

from tests.simulation import rest
from tests.simulation.hostile import HostileProcess
from tests.simulation.log_tables import LogTables
from tests.simulation.loop import PROCESS, SimulationLoop
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle
from tests.simulation.plan import DRIFT_MAX, SKEW_MS_MAX, Event, Faults, Plan
from tests.simulation.processes import ClientProcess, Clock, Process, ServerProcess, WorkerProcess
from tests.simulation.scripts import Scripts
from tests.simulation.services import Services

T = TypeVar("T")
DELAYS_US = {"network": 300, "journal": 800, "service": 20_000}
SPIKE_SHARE = 0.02
LINGER_SECONDS = 150
CALLBACKS_MAX = 20_000_000
_CALM = Faults()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`violation` is empty when every promise held."""

    seed: int
    violation: str
    digest: str
    log: list[str]
    virtual_seconds: float
    callbacks: int
    statuses: dict[str, int]


class _Outside:
    """The world itself, as the owner of callbacks: never paused, never dead."""

    is_dead = is_paused = False

    def __init__(self) -> None:
        self.held: list[asyncio.Handle] = []


class World:
    """Owns the clock, the journal's store, the places and the blows. `has_logs`: steps are rows of logs, as on Cassandra."""

    def __init__(self, seed: int, plan: Plan, *, has_logs: bool = False, judge: type[Oracle] = Oracle) -> None:
        self.seed, self.plan = seed, plan
        self.dice = random.Random(f"world/{seed}")
        self.log: list[str] = []
        self.oracle = judge(self)
        self.loop = SimulationLoop(lambda words: self.oracle.broken("an error of ours", words))
        self.start_us = self.loop.now_us
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, _Outside())
        self.memory = MemoryJournal()
        self.logs = LogTables(self.memory.tables, self.oracle.look, self.oracle.purged) if has_logs else None
        self.network = Network(self)
        self.services = Services(self)
        self.faults_now = plan.faults
        self.servers: dict[str, ServerProcess] = {}
        self.workers: dict[str, WorkerProcess] = {}
        self.clients: dict[str, ClientProcess] = {}
        self.server_places = [f"server-{number}" for number in range(plan.servers)]
        self._workers_ever: list[WorkerProcess] = []
        self._boots: dict[str, int] = {}
        self._clocks: dict[str, Clock] = {}
        self._accesses: dict[str, tuple[int, float]] = {}
        self._scripts = Scripts(self)
        self._is_calm = False

    # --- what everybody uses ------------------------------------------------------------

    def say(self, who: str, what: str) -> None:
        self.log.append(f"{(self.loop.now_us - self.start_us) / 1_000_000:.6f} {who} {what}")

    def delay_us(self, kind: str) -> int:
        """A few times the usual delay, now and then much more."""
        usual = DELAYS_US[kind] * self.plan.slowness[kind] * self.dice.expovariate(1.0)
        spike = self.dice.random() < SPIKE_SHARE and not self._is_calm
        return int(usual * 50 if spike else usual) + 1

    def plan_step(self, process: Process) -> None:
        """A server goes to its journal: the plan may want it dead before that arrives, or just after."""
        left, down = self._accesses.get(process.place, (0, 0.0))
        if left > 0 and not process.is_dead:
            self._accesses[process.place] = (left - 1, down)
            if left == 1:
                at = self.loop.now_us + self.dice.choice([0, self.delay_us("journal")])
                self.loop.at(at, self.context, self._crash, process.place, down)

    # --- running ------------------------------------------------------------

    def run(self) -> Outcome:
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._begin()
            end_us = self.start_us + int(self.plan.rest_seconds * 1_000_000)
            if not self.loop.run_until(self._is_over, end_us) and not self.oracle.violation:
                self._check_rest("in the time that it has")
            if self.plan.retention_seconds and not self.oracle.violation:
                self._purge_under_faults()
            self._go_on(LINGER_SECONDS)
            if not self.oracle.violation:
                self._check_rest("in the end")
            virtual_seconds = (self.loop.now_us - self.start_us) / 1_000_000
            digest = hashlib.sha256("\n".join(self.log).encode()).hexdigest()
            statuses: dict[str, int] = {}
            for record in self.oracle.records.values():
                if record.head is not None:
                    name = f"{record.head.status}"
                    statuses[name] = statuses.get(name, 0) + 1
            return Outcome(self.seed, self.oracle.violation, digest, self.log, virtual_seconds, self.loop.callbacks, statuses)
        finally:
            for worker in self._workers_ever:
                worker.forget()
            self.loop.drop()
            if collecting:
                gc.enable()

    def _go_on(self, seconds: float) -> None:
        self.loop.run_until(lambda: bool(self.oracle.violation), self.loop.now_us + int(seconds * 1_000_000))

    def _purge_under_faults(self) -> None:
        """What has ended becomes due while the journal fails and servers die."""
        self.faults_now = Faults(self.plan.faults.journal, self.plan.faults.refused)
        for place in self.server_places:
            self._after(self.dice.uniform(0, self.plan.retention_seconds), self._crash, place, self.dice.uniform(0, 30))
        if self.plan.again is not None and not self.oracle.violation:
            self._scripts.run(self._scripts.live_again(self.plan.again, self.clients["client-0"]))
        self._go_on(self.plan.retention_seconds + LINGER_SECONDS)
        self.faults_now = _CALM
        if self.plan.again is not None:
            self._go_on(self.plan.retention_seconds + 2 * LINGER_SECONDS)

    def _begin(self) -> None:
        for place in self.server_places:
            self._boot(place)
        for number in range(self.plan.workers):
            self._boot(f"worker-{number}")
        for number in range(2):
            self._boot(f"client-{number}")
        if self.plan.is_attacked:
            HostileProcess(self, "hostile-0", 1, self.clients["client-0"].clock).start()
        for event in self.plan.events:
            self._later(event.at, getattr(self, f"_{event.what}_blow"), event)
        self._later(self.plan.chaos_seconds, self._calm_down)
        for pause in self.plan.type_pauses:
            self._scripts.run(self._scripts.pause_type(pause))
        for start in self.plan.starts:
            self._scripts.run(self._scripts.follow(start, self.clients["client-0"]))
            if start.twice:
                self._scripts.run(self._scripts.start(start, self.clients["client-1"]))

    def _later(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        self.loop.at(self.start_us + int(seconds * 1_000_000), self.context, callback, *args)

    def _is_over(self) -> bool:
        if self.oracle.violation or self.loop.callbacks > CALLBACKS_MAX:
            return True
        return self._is_calm and not self._scripts.left and self._all_rest()

    def _all_rest(self) -> bool:
        return all(rest.is_at_rest(self, run, record) for run, record in self.oracle.records.items())

    def _check_rest(self, when: str) -> None:
        rest.check(self)
        if not self.oracle.violation and self._scripts.left:
            self.oracle.broken("G7", f"{self._scripts.left} clients were not answered {when}")

    # --- places ------------------------------------------------------------

    def _process(self, place: str) -> ServerProcess | WorkerProcess | None:
        return self.servers.get(place) or self.workers.get(place)

    def _boot(self, place: str) -> None:
        boot = self._boots[place] = self._boots.get(place, 0) + 1
        if place not in self._clocks:
            offset_ms = self.dice.randint(-SKEW_MS_MAX, SKEW_MS_MAX) if self.dice.random() < 0.5 else 0
            self._clocks[place] = Clock(self, offset_ms, self.dice.uniform(-DRIFT_MAX, DRIFT_MAX))
        clock = self._clocks[place]
        self.say(place, f"start {boot}")
        if place.startswith("server"):
            self.servers[place] = ServerProcess(self, place, boot, clock)
            self.servers[place].start()
        elif place.startswith("worker"):
            self.workers[place] = WorkerProcess(self, place, boot, clock)
            self._workers_ever.append(self.workers[place])
            self.workers[place].start()
        else:
            self.clients[place] = ClientProcess(self, place, boot, clock)

    def _crash(self, place: str, down: float) -> None:
        process = self._process(place)
        if process is not None and not process.is_dead:
            self.say(process.name, "dies")
            process.kill()
            self._after(down, self._boot_again, process)

    def take_down(self, process: Process, down: float) -> None:
        """A step ends the process that it runs in."""
        self.loop.at(self.loop.now_us, self.context, self._crash_of, process, down)

    def _crash_of(self, process: Process, down: float) -> None:
        if self._process(process.place) is process:
            self._crash(process.place, down)

    def _after(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        self.loop.at(self.loop.now_us + int(seconds * 1_000_000), self.context, callback, *args)

    def _boot_again(self, process: Process) -> None:
        """Unless somebody did already."""
        if self._process(process.place) is process and process.is_dead:
            self._boot(process.place)

    # --- blows ------------------------------------------------------------

    def _crash_blow(self, event: Event) -> None:
        self._crash(event.place, event.seconds)

    def _access_blow(self, event: Event) -> None:
        self._accesses[event.place] = (event.number, event.seconds)

    def _pause_blow(self, event: Event) -> None:
        process = self._process(event.place)
        if process is not None and not process.is_dead and not process.is_paused:
            self.say(process.name, f"is paused for {event.seconds:.1f} s")
            process.pause()
            self._after(event.seconds, self._resume, process)

    def _resume(self, process: Process) -> None:
        if process.is_paused:
            self.say(process.name, "goes on")
            process.resume()

    def _replace_blow(self, event: Event) -> None:
        """A server is paused and taken for dead: another one starts; the old one wakes up behind it, for a while."""
        process = self._process(event.place)
        if process is not None and not process.is_dead and not process.is_paused:
            self._pause_blow(event)
            self._boot(event.place)
            self._after(event.seconds + 20, self._end_of_zombie, process)

    def _end_of_zombie(self, process: Process) -> None:
        if not process.is_dead:
            self.say(process.name, "dies")
            process.kill()

    def _cut_blow(self, event: Event) -> None:
        places = [self._process(place) or self.clients.get(place) for place in (event.place, event.other)]
        if places[0] is not None and places[1] is not None:
            self.say(event.place, f"is cut off from {event.other} for {event.seconds:.1f} s")
            self.network.cut(places[0], places[1], self.loop.now_us + int(event.seconds * 1_000_000))

    def _reset_blow(self, event: Event) -> None:
        self.network.break_stream(self.workers[event.place])

    def _stop_blow(self, event: Event) -> None:
        process = self._process(event.place)
        if process is not None and not process.is_dead and not process.is_paused and self._is_up(process):
            self.say(process.name, "is asked to stop")
            process.spawn(process.stop())
            self._after(event.seconds + 40, self._crash, event.place, 0.0)
            self._after(event.seconds + 41, self._boot_again, process)

    def _is_up(self, process: Process) -> bool:
        return hasattr(process, "worker") or getattr(process, "listening", False)

    def _clock_blow(self, event: Event) -> None:
        self._clocks[event.place].offset_ms = event.number
        self.say(event.place, f"its clock is {event.number} ms wrong")

    def _calm_down(self) -> None:
        """From here on nothing goes wrong any more; what is down comes back."""
        self.say("world", "calm")
        self.faults_now, self._is_calm = _CALM, True
        self._accesses.clear()
        for process in [*self.servers.values(), *self.workers.values()]:
            self._resume(process)
            self._boot_again(process)
