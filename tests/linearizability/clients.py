"""Clients that work on the same few runs at once, rightly and wrongly: what they do depends on one seed.

They start runs, read heads, take runs over from living owners, commit what they own and what they believe to own, send an
unknown commit again or give it up. The faults of `journal/faults.py` lie between them and the store; delays lie around both.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from durable_saga_server.journal import Commit, Committed, Fenced, Head, Journal, JournalUnavailable, Run, Runs, Unknown
from durable_saga_server.journal.faults import Fault, FaultyJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal

from durable_saga.pb import history_pb2 as h
from tests.linearizability.recording import Recorder, RecordingRuns

STEPS, CLIENTS, RUNS = 40, 6, 3
_FAULTS = [Fault.NONE] * 14 + [Fault.LOST_ANSWER] * 2 + [Fault.LOST_REQUEST, Fault.LATE, Fault.LATE, Fault.REFUSED]
_STATUSES = [h.RUNNING] * 12 + [h.COMPENSATING] * 3 + [h.COMPLETED]


class Delayed(WrappedJournal):
    """Lets others in before and after each call."""

    def __init__(self, journal: Journal, dice: random.Random) -> None:
        super().__init__(journal)
        self._dice = dice

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        await self._pause()
        answer = await call(*args)
        await self._pause()
        return answer

    async def _pause(self) -> None:
        for _ in range(self._dice.randrange(8)):
            await asyncio.sleep(0)


class Client:
    """`acknowledged` is what it was told is committed."""

    def __init__(self, name: str, journal: Journal, recorder: Recorder, dice: random.Random) -> None:
        self.acknowledged: list[Commit] = []
        self._name = name
        self._dice = dice
        self._faulty = FaultyJournal(journal, lambda: dice.choice(_FAULTS))
        self._runs = cast(Runs, RecordingRuns(Delayed(self._faulty, dice).runs, recorder, name))  # by __getattr__
        self._known: dict[Run, Head] = {}
        self._unknown: dict[Run, Commit] = {}

    async def work(self, runs: Sequence[Run]) -> None:
        for _ in range(STEPS):
            try:
                await self._step(self._dice.choice(runs))
            except JournalUnavailable:
                pass  # refused, perhaps by a fault: it does something else
            if self._dice.random() < 0.15:
                await self._faulty.arrive()

    async def settle(self, runs: Sequence[Run]) -> None:
        """What is late arrives, then each head is read, once the store can be read again."""
        await self._faulty.arrive()
        for run in runs:
            while True:
                try:
                    await self._runs.head(run)
                    break
                except JournalUnavailable:
                    await asyncio.sleep(0.1)

    async def _step(self, run: Run) -> None:
        head = self._known.get(run)
        if run in self._unknown and self._dice.random() < 0.7:
            await self._commit(self._unknown[run])
        elif head is None and self._dice.random() < 0.5:
            await self._create(run)
        elif head is None or self._dice.random() < 0.25:
            if (found := await self._runs.head(run)) is not None:
                self._known[run] = found
        elif self._dice.random() < (0.15 if head.owner == self._name else 0.6):
            await self._acquire(head)
        else:
            await self._commit(self._new_commit(head))

    async def _create(self, run: Run) -> None:
        commit_id = self._dice.randbytes(16)
        head = Head(run, self._dice.randbytes(16), "order", h.RUNNING, self._name, 1, 1, commit_id, 1, 1)
        event = h.Event(seq=0, time_ms=1, saga_started=h.SagaStarted(saga_type="order", seed=b"s" * 16))
        outcome = await self._runs.create(head, event)
        if not isinstance(outcome, Unknown):
            self._known[run] = outcome.head

    async def _acquire(self, head: Head) -> None:
        outcome = await self._runs.acquire(head.run, head.incarnation, head.epoch, self._name, 1)
        if isinstance(outcome, Committed):
            assert outcome.head is not None, "an acquire tells the head"
            self._known[head.run] = outcome.head
            self._unknown.pop(head.run, None)
        elif self._dice.random() < 0.7:
            self._known.pop(head.run)

    def _new_commit(self, head: Head) -> Commit:
        events = []
        for seq in range(head.next_seq, head.next_seq + self._dice.randint(0, 3)):
            event = h.Event(seq=seq, time_ms=1)
            event.step_completed.call = f"{self._name}-{self._dice.randrange(10**9)}"
            events.append(event)
        status = self._dice.choice(_STATUSES)
        return Commit(
            head.run, head.incarnation, head.epoch, self._dice.randbytes(16), head.next_seq, events, status, 1,
            release=self._dice.random() < 0.1,
        )  # fmt: skip

    async def _commit(self, commit: Commit) -> None:
        self._unknown[commit.run] = commit
        (outcome,) = await self._runs.commit_many([commit])
        if isinstance(outcome, Unknown):
            return
        del self._unknown[commit.run]
        if isinstance(outcome, Fenced):
            self._known.pop(commit.run, None)
            return
        self.acknowledged.append(commit)
        if (head := self._known.get(commit.run)) is not None:
            following = commit.next_seq + len(commit.events)
            self._known[commit.run] = replace(head, next_seq=max(head.next_seq, following), status=commit.status)


async def drive(journals: Sequence[Journal], namespace: str, seed: int) -> tuple[Recorder, list[Commit]]:
    """All clients at once, spread over `journals`. What they asked and were told, and what was acknowledged."""
    recorder, runs = Recorder(), [Run(namespace, f"s{number}") for number in range(RUNS)]
    clients = [
        Client(f"c{number}", journals[number % len(journals)], recorder, random.Random(f"{seed}/{number}"))
        for number in range(CLIENTS)
    ]
    await asyncio.gather(*(one.work(runs) for one in clients))
    for one in clients:
        await one.settle(runs)
    return recorder, [commit for one in clients for commit in one.acknowledged]
