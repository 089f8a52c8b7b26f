"""Clients that go straight to journals with logs, many at the same few runs, on the virtual clock of a world.

What they do is that of `tests/linearizability/clients.py`: they take runs over from living owners, commit what they no longer
own, give unknown commits up. The processes that hold the journals are paused and killed. It is far harder on the logs than what
the engine does, and takes a fraction of a second, so planted bugs are looked for here. `play()` gives the first thing that is
wrong: what the oracle saw, a history without an order, or something acknowledged that does not stand.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Iterable
from typing import Any

from durable_saga_server.history.appending import OPEN
from durable_saga_server.journal import Commit, JournalUnavailable, Run
from durable_saga_server.journal.wrapping import Call, WrappedJournal

from durable_saga.pb import history_pb2 as h
from tests.linearizability.checker import check
from tests.linearizability.clients import Client
from tests.linearizability.recording import Recorder
from tests.linearizability.test_stores import stands
from tests.simulation.log_journal import LoggedJournal, soon
from tests.simulation.oracle import Oracle, Record
from tests.simulation.plan import Faults, Plan
from tests.simulation.processes import Clock, Process
from tests.simulation.world import World

JOURNALS, CLIENTS, RUNS = 3, 6, 3
SECONDS_MAX = 900
FAULTS = Faults(journal=0.06, refused=0.01)
LIVES_SHARE = 0.3
"""Of the worlds in which ended runs are purged and begun again; no order of calls is looked for there."""


class _Thinking(WrappedJournal):
    """A client does something else between its calls."""

    def __init__(self, journal: LoggedJournal, dice: random.Random) -> None:
        super().__init__(journal)
        self._dice = dice

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        await asyncio.sleep(self._dice.expovariate(5.0))
        return await call(*args)


class _Judge(Oracle):
    """Clients write what no saga would, and also go on after an end: only what is committed matters."""

    def _new(self, run: Run, record: Record, event: h.Event) -> None: ...

    def look(self, run: Run) -> None:
        super().look(run)
        self.record(run).ended_us = 0

    def purged(self, run: Run) -> None:
        self.record(run).purged = True


class Crowd:
    def __init__(self, seed: int) -> None:
        dice = self._dice = random.Random(f"crowd/{seed}")
        slowness: dict[str, float] = {"network": 1, "service": 1, "journal": dice.choice([1, 3, 15])}
        self._has_lives = dice.random() < LIVES_SHARE
        self.world = World(seed, Plan(0, 0, FAULTS, slowness, [], [], SECONDS_MAX), has_logs=True, judge=_Judge)
        self.runs = [Run("default", f"s{number}") for number in range(RUNS)]
        self.recorder = Recorder()
        self.clients: list[tuple[Process, Client]] = []
        self._processes: dict[str, Process] = {}

    def _journal(self, place: str) -> tuple[Process, LoggedJournal]:
        process = Process(self.world, place, 1, Clock(self.world, 0, 0.0))
        self._processes[place] = process
        assert self.world.logs is not None, "it has logs"
        return process, LoggedJournal(self.world, process, self.world.logs)

    def _until(self, process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = process.spawn(work)
        self._wait([(process, task)])
        return task

    def _wait(self, several: Iterable[tuple[Process, asyncio.Task[Any]]]) -> None:
        tasks, loop = list(several), self.world.loop
        limit = loop.now_us + SECONDS_MAX * 1_000_000

        def is_over() -> bool:
            return bool(self.world.oracle.violation) or all(process.is_dead or task.done() for process, task in tasks)

        if not loop.run_until(is_over, limit) and not is_over():
            self.world.oracle.broken("G7", "a client has not come to its end")

    def run(self) -> str:
        opened = [self._journal(f"server-{number}") for number in range(JOURNALS)]
        for process, journal in opened:
            self._until(process, _patiently(journal))
        for number in range(CLIENTS):
            process, journal = opened[number % JOURNALS]
            dice = random.Random(f"{self.world.seed}/{number}")
            self.clients.append((process, Client(f"c{number}", _Thinking(journal, dice), self.recorder, dice)))
        tasks = [(process, process.spawn(client.work(self.runs))) for process, client in self.clients]
        if self._has_lives:
            tasks += [(process, process.spawn(self._purge(journal))) for process, journal in opened[:1]]
        for process, _ in opened:
            self._harm(process)
        self._wait(tasks)
        if not self.world.oracle.violation:
            self.world.faults_now = Faults()
            self._judge()
        return self.world.oracle.violation

    # --- what happens to the processes -----------------------------------------------------------------------------------

    def _harm(self, process: Process) -> None:
        for at in range(3, 20, 6):
            if self._dice.random() < 0.5:
                self._at(at + self._dice.uniform(0, 5), self._pause, process, self._dice.uniform(0.1, 8))
        if process.place != "server-0" and self._dice.random() < 0.3:
            self._at(self._dice.uniform(2, 20), process.kill)

    def _at(self, seconds: float, call: Any, *args: Any) -> None:
        self.world.loop.at(self.world.loop.now_us + int(seconds * 1_000_000), self.world.context, call, *args)

    def _pause(self, process: Process, seconds: float) -> None:
        if not process.is_dead and not process.is_paused:
            process.is_paused = True
            self._at(seconds, self._resume, process)

    def _resume(self, process: Process) -> None:
        if process.is_paused:
            process.resume()

    async def _purge(self, journal: LoggedJournal) -> None:
        for _ in range(20):
            await asyncio.sleep(1)
            for run in self.runs:
                head = self.world.oracle.record(run).head
                if head is not None and head.status not in OPEN and self._dice.random() < 0.5:
                    self.world.oracle.may_begin_again.add(run.saga)
                    try:
                        await journal.runs.purge(run, head.incarnation, 1)
                    except JournalUnavailable:
                        pass  # it may be there still

    # --- in the end ------------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        for process, client in self.clients:
            if not process.is_dead:
                self._until(process, client.settle(self.runs))
        acknowledged: list[Commit] = [one for _, client in self.clients for one in client.acknowledged]
        process, journal = self._journal("server-last")
        self._until(process, _patiently(journal))
        if self._has_lives:
            return
        calls = self.recorder.calls()
        for run, several in calls.items():
            if wrong := check(several):
                self.world.oracle.broken("an order", f"{run.saga}: {wrong}")
        task = self._until(process, stands(journal, calls, acknowledged, self.world.seed))
        if task.done() and (error := task.exception()) is not None:
            self.world.oracle.broken("G1", f"{type(error).__name__}: {error}")


async def _patiently(journal: LoggedJournal) -> None:
    while True:
        try:
            await journal.initialize()
            return
        except JournalUnavailable:
            await asyncio.sleep(0.5)


def play(seed: int) -> str:
    """The first thing that is wrong, "" for nothing."""
    logging.disable(logging.CRITICAL)
    crowd = Crowd(seed)
    try:
        with soon(random.Random(f"logs/{seed}"), scale=0.1):
            return crowd.run()
    finally:
        crowd.world.loop.drop()
        logging.disable(logging.NOTSET)
