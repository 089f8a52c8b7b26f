"""The journal of a server whose commits go through logs: the real code of the journal on Cassandra for runs and logs, over
tables in memory (`log_tables`) and a session that fails (`log_session`); all else is as with the plain memory journal.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from durable_saga_server.journal import Commit, Head, JournalUnavailable, Outcome, Run
from durable_saga_server.journal.cassandra import held_runs, log, own_logs, tails
from durable_saga_server.journal.cassandra.own_logs import OwnLogs
from durable_saga_server.journal.cassandra.purging import Purging
from durable_saga_server.journal.cassandra.runs import CassandraRuns
from durable_saga_server.journal.faults import Fault

from tests.simulation.journal import SimulatedJournal
from tests.simulation.log_session import SimulatedSession
from tests.simulation.log_tables import LogTables

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

WITHOUT_LOG_SHARE = 0.15
"""Of the starts of a server that goes without a log, beside others that have one."""
LOG_MS_CHOICES = (15_000, 60_000, 600_000)
TAIL_EVENTS_CHOICES = (4, 12, 200)
DEAD_MS, DEAD_LOOKS_SECONDS, TEND_SECONDS, IDLE_SECONDS = 50_000, 20.0, 5.0, 5.0


@contextmanager
def soon(dice: random.Random, scale: float = 1.0) -> Iterator[None]:
    """What takes minutes and a day in a real cell happens within a world."""
    places = [
        (log, "LOG_MS_MAX", scale * dice.choice(LOG_MS_CHOICES)),
        (tails, "TAIL_EVENTS_MAX", dice.choice(TAIL_EVENTS_CHOICES)),
        (own_logs, "DEAD_MS", scale * DEAD_MS),
        (own_logs, "DEAD_LOOKS_SECONDS", scale * DEAD_LOOKS_SECONDS),
        (own_logs, "TEND_SECONDS", scale * TEND_SECONDS),
        (held_runs, "IDLE_SECONDS", scale * IDLE_SECONDS),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, value in places:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


class LoggedJournal(SimulatedJournal):
    """For one server process."""

    def __init__(self, world: World, process: Process, tables: LogTables) -> None:
        super().__init__(world, process)
        self.process = process
        self.batches_at_once = 8
        has_log = world.dice.random() >= WITHOUT_LOG_SHARE
        session: Any = SimulatedSession(self, world, tables)
        self._logs = OwnLogs(session, process.clock, writes=has_log, ids=process.chance)
        index, listing = _Keys(self, tables), _NoListing()
        purging = Purging(session, cast("Any", listing), cast("Any", index), cast("Any", self.chunks))
        runs = CassandraRuns(
            session, process.clock, cast("Any", self.hints), cast("Any", index), cast("Any", listing), purging, self._logs
        )
        self.runs = _Watched(world, process, runs)

    async def initialize(self) -> None:
        await super().initialize()
        await self._logs.start()

    async def close(self) -> None:
        await self._logs.close()

    def begin(self) -> Fault:
        """What happens to a statement that is sent now. Raises JournalUnavailable: it is refused, or not sent at all."""
        self._refuse()
        return self._choose()

    async def conditional(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """The outcome, or Unknown. Raises JournalUnavailable."""
        self._refuse()
        return await self._conditional(name, call)

    async def plain(self, name: str, call: Callable[[], Awaitable[Any]], *, may_be_late: bool) -> Any:
        """Raises JournalUnavailable."""
        fault = self.begin()
        if fault is Fault.LATE and not may_be_late:
            fault = Fault.LOST_REQUEST
        try:
            return await self._carry(fault, name, call, ())
        except TimeoutError as error:
            raise JournalUnavailable(str(error)) from None


class _Keys:
    """Correlation keys, as the index on Cassandra writes them."""

    def __init__(self, journal: LoggedJournal, tables: LogTables) -> None:
        self._journal, self._tables = journal, tables

    async def declare(self, run: Run, keys: Sequence[str]) -> None:
        async def call() -> Any:
            return self._tables.key_put(run, keys)

        if keys:
            await self._journal.plain("log.key_put", call, may_be_late=False)

    async def drop_key(self, namespace: str, key: str, run: Run, before_ms: int) -> None:
        async def call() -> Any:
            return self._tables.key_drop(run, key)

        await self._journal.plain("log.key_drop", call, may_be_late=False)


class _NoListing:
    """The listing is that of the memory journal."""

    def began(self, head: Head) -> None: ...

    def changed(self, run: Run, commit: Commit | None = None) -> None: ...

    def told_build(self, run: Run, commit: Commit) -> None: ...

    async def purge(self, head: Head, now_ms: int) -> None: ...


class _Watched:
    """The oracle hears what the journal has answered."""

    def __init__(self, world: World, process: Process, runs: CassandraRuns) -> None:
        self._world, self._process, self._runs = world, process, runs
        self.create, self.glance, self.advance, self.purge = runs.create, runs.glance, runs.advance, runs.purge

    async def head(self, run: Run) -> Head | None:
        head = await self._runs.head(run)
        self._world.oracle.shown(self._process, run, head)
        return head

    async def events(self, run: Run, from_seq: int, limit: int) -> Any:
        found = await self._runs.events(run, from_seq, limit)
        self._world.oracle.shown(self._process, run, None, found)
        return found

    async def acquire(self, run: Run, incarnation: bytes, epoch: int, owner: str, now_ms: int) -> Outcome:
        outcome = await self._runs.acquire(run, incarnation, epoch, owner, now_ms)
        self._world.oracle.shown(self._process, run, getattr(outcome, "head", None))
        return outcome

    async def commit_many(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        outcomes = await self._runs.commit_many(commits)
        for commit, outcome in zip(commits, outcomes, strict=True):
            self._world.oracle.carried_out(self._process, "runs.commit_many", ([commit],), [outcome])
        return outcomes
