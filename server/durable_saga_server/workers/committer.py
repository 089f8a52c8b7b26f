"""Every conditional write of a server goes through here: what waits travels together, unknown outcomes are resolved.

As many `commit_many` are in flight as the journal can do at once; what comes in meanwhile is the next batch, so a batch grows
with the load, up to COMMITS_PER_BATCH_MAX. A commit whose outcome is unknown is sent again, identical, until it is known or
`resend_for_ms` is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from durable_saga.pb.log_fields import about
from durable_saga.telemetry import catalogue as metrics
from durable_saga_server.clock import Clock, Machine
from durable_saga_server.config import Config
from durable_saga_server.journal import Commit, Committed, Fenced, Journal, JournalError, JournalUnavailable, Outcome, Unknown
from durable_saga_server.tending import mistake, tend

log = logging.getLogger(__name__)
Answer = Outcome | JournalError
COMMITS_PER_BATCH_MAX = 64
"""So that what is answered early goes on while the rest is written."""
_RESEND_SECONDS = 0.1
_OUTCOMES = {Committed: "committed", Fenced: "fenced", Unknown: "unknown"}


class Committer:
    """`submit()` never waits; `done` is called on the loop with the outcome, or with the error that refused it."""

    def __init__(self, journal: Journal, clock: Clock, config: Config) -> None:
        self._journal = journal
        self._clock = clock
        self._config = config
        self._waiting: list[tuple[Commit, Callable[[Answer], None], float]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._free = asyncio.Semaphore(journal.batches_at_once)
        self._sending: set[asyncio.Task[None]] = set()
        self._resending: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Commits that are not on their way yet."""
        return len(self._waiting)

    def start(self) -> None:
        self._task = tend("committer", self._run, self._clock)

    async def stop(self) -> None:
        """Finish what waits, then end."""
        while self._waiting or self._sending or self._resending:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def submit(self, commit: Commit, done: Callable[[Answer], None]) -> None:
        if len(self._waiting) >= self._config.commits_in_flight_max:
            done(
                JournalUnavailable(f"commits_in_flight_max ({self._config.commits_in_flight_max}) commits are already waiting")
            )
            return
        self._waiting.append((commit, done, Machine.monotonic()))
        self._wake.set()

    async def commit(self, commit: Commit) -> Outcome:
        """The same for one who waits. Raises JournalUnavailable and JournalFull."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            if future.done():
                return
            if isinstance(answer, JournalError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.submit(commit, done)
        return await future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await self._free.acquire()
            batch, self._waiting = self._waiting[:COMMITS_PER_BATCH_MAX], self._waiting[COMMITS_PER_BATCH_MAX:]
            if not self._waiting:
                self._wake.clear()
            task = asyncio.create_task(self._work(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _work(self, batch: list[tuple[Commit, Callable[[Answer], None], float]]) -> None:
        try:
            answers = await self._send([one for one, _, _ in batch])
        finally:
            self._free.release()
        now = Machine.monotonic()
        metrics.COMMIT_BATCH.record(len(batch))
        for (commit, done, asked), answer in zip(batch, answers, strict=True):
            metrics.COMMIT_DURATION.record(now - asked, _OUTCOMES.get(type(answer), "refused"))
            if isinstance(answer, Unknown):
                task = asyncio.create_task(self._resolve(commit, done))
                self._resending.add(task)
                task.add_done_callback(self._resending.discard)
            else:
                self._tell(commit, done, answer)

    def _tell(self, commit: Commit, done: Callable[[Answer], None], answer: Answer) -> None:
        try:
            done(answer)
        except Exception as error:  # the others of the batch are told all the same
            mistake(f"an answer for saga {commit.run.saga} is lost", error)

    async def _send(self, commits: list[Commit], *, again: bool = False) -> list[Answer]:
        try:
            return list(await self._journal.runs.commit_many(commits))
        except JournalError as error:
            return [error] * len(commits)
        except Exception as error:  # nobody knows what was written; an answer that never comes would be worse
            if not again:
                mistake(f"{len(commits)} commits are unresolved", error)
            return [Unknown(f"{type(error).__name__}: {error}")] * len(commits)

    async def _resolve(self, commit: Commit, done: Callable[[Answer], None]) -> None:
        until = self._clock.now_ms() + self._config.resend_for_ms
        answer: Answer = Unknown("not sent")
        while self._clock.now_ms() < until:
            await self._clock.sleep(_RESEND_SECONDS)
            (answer,) = await self._send([commit], again=True)
            if not isinstance(answer, Unknown | JournalError):
                self._tell(commit, done, answer)
                return
        log.warning(
            "a commit of saga %s from seq %s is unresolved: %s",
            commit.run.saga,
            commit.next_seq,
            answer,
            extra=about(commit.run),
        )
        self._tell(commit, done, Unknown(str(answer)))
