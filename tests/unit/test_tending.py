"""What an engine does about its own mistakes: it tells, and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from durable_saga_server import tending
from durable_saga_server.clock import SystemClock
from durable_saga_server.config import Config
from durable_saga_server.journal import Journal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService
from durable_saga_server.waking import wake

from durable_saga import Client, Worker, saga, sleep, step
from durable_saga.transport.transport import LocalTransport

PARKED_SECONDS = 5.5
"""A saga that sleeps longer than PARK_BEYOND_MS is in no worker: a hint wakes it."""
CONFIG = Config(sweep_ms=100, rehint_ms=300, message_hint_ms=200, horizon_ms=1_000, lease_ms=3_000)


def told(loop: asyncio.AbstractEventLoop) -> list[str]:
    """What the loop's exception handler is told from now on."""
    found: list[str] = []
    loop.set_exception_handler(lambda _, context: found.append(context["message"]))
    return found


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


def test_a_loop_that_fails_begins_anew_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "BEGIN_ANEW_SECONDS", 0.01)
    turns: list[int] = []

    async def loop() -> None:
        turns.append(len(turns))
        if len(turns) < 3:
            raise LookupError(f"turn {len(turns)}")
        await asyncio.Event().wait()

    async def scenario() -> None:
        mistakes = told(asyncio.get_running_loop())
        task = tending.tend("looker", loop, SystemClock())
        await until(lambda: len(turns) == 3)
        assert mistakes == [f"{tending.MISTAKE} (looker starts again): LookupError: turn {n}" for n in (1, 2)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(scenario())


@step
def note(number: int) -> int:
    return number


@saga
async def noting(number: int) -> int:
    return await note(number)


@saga
async def napping(number: int) -> int:
    await sleep(PARKED_SECONDS)
    return await note(number)


class Mistaken(WrappedJournal):
    """Makes a mistake of its own, a few times each, where it is asked for the run that is named, or to commit."""

    def __init__(self, bad: str, heads: int = 0, commits: int = 0) -> None:
        self.memory = MemoryJournal()
        super().__init__(self.memory)
        self.bad, self.heads, self.commits = bad, heads, commits

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        answer = await call(*args)
        if name in ("runs.head", "runs.glance") and args[0].saga == self.bad and self.heads and answer is not None:
            self.heads -= 1
            raise LookupError("of a head")
        if name == "runs.commit_many" and self.commits and any(one.run.saga == self.bad for one in args[0]):
            self.commits -= 1
            raise LookupError("of an answer")
        return answer


async def play(journal: Journal, names: Sequence[str]) -> dict[str, Any]:
    """All of them at the same time, to their results."""
    client = Client(LocalTransport(HistoryService(journal, config=CONFIG)))
    async with Worker(client, sagas=[noting]), asyncio.timeout(20):
        handles = [await client.start(noting, number, id=name) for number, name in enumerate(names)]
        results = await asyncio.gather(*(handle.result() for handle in handles))
    await client.close()
    return dict(zip(names, results, strict=True))


def test_a_run_that_cannot_be_looked_at_keeps_no_other_from_its_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "MISTAKE_AGAIN_MS", 300)
    names = ["a", "bad", "c"]

    async def scenario() -> None:
        mistakes = told(asyncio.get_running_loop())
        journal = Mistaken("bad")
        client = Client(LocalTransport(HistoryService(journal, config=CONFIG)))
        async with Worker(client, sagas=[napping]), asyncio.timeout(20):
            handles = {name: await client.start(napping, number, id=name) for number, name in enumerate(names)}
            await until(lambda: all(head.wake_at_ms and not head.owner for head in journal.memory.tables.heads.values()))
            journal.heads = 4
            assert [await handles[name].result() for name in ("a", "c")] == [0, 2]
            await until(lambda: not journal.heads)
            assert await handles["bad"].result() == 1
        await client.close()
        looks = f"{tending.MISTAKE} (run 1 of saga bad in namespace default will be looked at again): LookupError: of a head"
        assert looks in mistakes

    asyncio.run(scenario())


def test_commits_whose_answer_was_lost_by_a_mistake_are_sent_again() -> None:
    async def scenario() -> None:
        mistakes = told(asyncio.get_running_loop())
        assert await play(Mistaken("bad", commits=3), ["bad", "b"]) == {"bad": 0, "b": 1}
        assert len(mistakes) == 1, "once, though they are sent three times"
        assert "commits are unresolved): LookupError: of an answer" in mistakes[0]

    asyncio.run(scenario())
