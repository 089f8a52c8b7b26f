"""What embedded engines, which can't reach each other, ask of each other through the journal: a hint shard of each one's own.

"Bring this run its message", "give this run to a worker of yours". A nudge that is lost costs time: the home of the run looks
at it by its own hint.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from durable_saga_server.cell import Cell
from durable_saga_server.clock import Clock
from durable_saga_server.config import Config
from durable_saga_server.journal import Hint, Journal, JournalError, Member, Run, mailbox_of
from durable_saga_server.tending import mistake, tend

log = logging.getLogger(__name__)
NUDGES_PER_READ = 5_000


class Mailbox:
    """Read from `start()` to `stop()`, where the engine is an embedded one. `look` is told the run that another one asks to
    look at; it raises JournalError."""

    def __init__(
        self, journal: Journal, clock: Clock, config: Config, cell: Cell, look: Callable[[Run], Awaitable[None]]
    ) -> None:  # fmt: skip
        self._journal = journal
        self._clock = clock
        self._config = config
        self._cell = cell
        self._look = look
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = tend("mailbox", self._read, self._clock)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def nudge(self, member: Member, run: Run) -> None:
        """Let another engine look at it, which alone can reach its worker. Raises JournalError."""
        await self._journal.hints.add(Hint(self._clock.now_ms(), run, mailbox_of(member.name)))

    async def _read(self) -> None:
        mailbox, after_ms = mailbox_of(self._cell.name), self._clock.now_ms()
        handled: set[Hint] = set()
        while True:
            await self._clock.sleep(self._config.mailbox_ms / 1000)
            if not self._cell.is_embedded:
                continue
            try:
                until_ms = self._clock.now_ms() + self._config.hint_late_ms
                for hint in await self._journal.hints.due(mailbox, after_ms, until_ms, NUDGES_PER_READ):
                    if hint not in handled:
                        await self._nudged(hint.run)
                        handled.add(hint)
            except JournalError as error:
                log.warning("the mailbox can't be read: %s", error)
                continue
            after_ms = max(after_ms, self._clock.now_ms() - self._config.hint_late_ms)
            handled = {hint for hint in handled if hint.due_ms > after_ms}

    async def _nudged(self, run: Run) -> None:
        try:
            await self._look(run)
        except JournalError:
            raise
        except Exception as error:
            mistake(f"run {run.run} of saga {run.saga} in namespace {run.namespace} is left to the home of the run", error)
