"""Sagas that continue in new runs: on every journal, with signals all the way, and through kill -9."""

from __future__ import annotations

import asyncio
import pathlib
import time
from typing import Any

import pytest
from durable_saga_server.config import Config
from durable_saga_server.journal import JournalUnavailable, Run
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Worker, codec, connect, continue_as_new, saga, signal, step
from durable_saga.client import raw
from durable_saga.errors import AlreadyEnded, NotFound, SagaTerminated
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.transport.transport import LocalTransport
from examples.demo.processes import Process
from tests.integration.stage import CASSANDRA, Play, player

LARGE = 40_000


@step
def add(total: int, number: int) -> int:
    return total + number


@saga
async def countdown(left: int, total: int = 0) -> int:
    total = await add(total, left)
    if left > 1:
        await continue_as_new(left - 1, total)
    return total


@saga(keys=lambda seen, until: ["order-7"])
async def collecting(seen: list[int], until: int) -> list[int]:
    """Three to a run; what comes meanwhile is for the next."""
    for _ in range(3):
        number, _ = await signal("number")
        seen.append(number)
        await add(0, number)
        if len(seen) == until:
            return seen
    await continue_as_new(seen, until)
    return []


@saga
async def waiting(runs: int) -> str:
    if runs:
        await continue_as_new(runs - 1)
    return str(await signal("go"))


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


def test_the_result_is_that_of_the_last_run_and_the_runs_are_linked(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(countdown, 5, id="c")
        assert await handle.result() == 15
        found = await raw.describe(handle)
        assert (found.key.run, found.previous_run, found.next_run) == (5, 4, 0)
        assert h.Status.Name(found.status) == "COMPLETED"
        first = await raw.describe(client.handle("c", countdown, run=1))
        assert (first.key.run, first.previous_run, first.next_run) == (1, 0, 2)
        assert h.Status.Name(first.status) == "CONTINUED"
        assert await client.handle("c", countdown, run=2).result() == 15
        assert [len(await client.handle("c", run=run).history()) for run in (1, 5)] == [4, 4]
        assert (await client.start(countdown, 5, id="c")).id == "c"
        assert await handle.result() == 15
        with pytest.raises(NotFound, match="no run 6 of saga 'c'"):
            await raw.describe(client.handle("c", run=6))

    play(scenario, [countdown])


def test_every_signal_reaches_one_run_in_order(play: Play) -> None:
    async def scenario(client: Client) -> None:
        until = 20
        handle = await client.start(collecting, [], until, id="s")
        for number in range(until):
            data = b"x" * LARGE if number % 5 == 0 else b""
            if number % 2:
                await client.publish("number", number, data, key="order-7", message_id=f"m{number}")
            else:
                await handle.signal("number", number, data, message_id=f"m{number}")
            if number % 3 == 0:
                await handle.signal("number", number, data, message_id=f"m{number}")  # a repetition
            if number == until - 2:
                for late in range(number):  # of what all the runs before it have got
                    await handle.signal("number", late, message_id=f"m{late}")
        assert await handle.result() == list(range(until))
        assert (await raw.describe(handle)).key.run == 7

    play(scenario, [collecting])


def test_verbs_go_to_the_newest_run(play: Play) -> None:
    async def scenario(client: Client) -> None:
        handle = await client.start(waiting, 3, id="w")
        while (await raw.describe(handle)).key.run < 4:
            await asyncio.sleep(0.02)
        with pytest.raises(AlreadyEnded, match="CONTINUED"):
            await client.handle("w", run=2).terminate()
        await handle.terminate("enough")
        with pytest.raises(SagaTerminated):
            await handle.result()
        runs = [one.run async for one in client.list(status=["CONTINUED"])]
        assert sorted(runs) == [1, 2, 3]

    play(scenario, [waiting])


WRITES = ("runs.commit_many", "runs.create", "runs.advance", "inbox.put")


class Dying(WrappedJournal):
    """Once the end of a first run is there, every write fails until `lives` again: the server died at that point."""

    dead = False
    survives = 0

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name in WRITES and self.dead:
            raise JournalUnavailable("dead")
        answer = await call(*args)
        if name == "runs.commit_many" and any(commit.status == h.CONTINUED for commit in args[0]):
            self.dead = self.survives == 0
        elif name == "runs.advance":
            self.dead |= self.survives == 9
        elif name == "inbox.put":
            self._count(args[0])
        elif name == "runs.create":
            self._count(args[0].run)
        return answer

    def _count(self, run: Run) -> None:
        if run.run == 2:
            self.survives -= 1
            self.dead |= self.survives == 0


@pytest.mark.parametrize("survives", [0, 1, 2, 3, 4, 9])
def test_a_server_that_dies_anywhere_in_between_leaves_a_run_that_is_continued(survives: int) -> None:
    async def scenario() -> None:
        journal = Dying(MemoryJournal())
        first = Client(LocalTransport(HistoryService(journal)))
        handle = await first.start(collecting, [], 6, id="d")
        for number in range(6):
            await handle.signal("number", number, b"")
            await asyncio.sleep(0.002)  # messages of one millisecond are ordered by their ids
        journal.survives = survives
        async with Worker(first, sagas=[collecting]):
            await asyncio.sleep(0.5)
        assert (await journal.runs.head(Run("default", "d"))).status == h.CONTINUED  # type: ignore[union-attr]
        journal.dead, journal.survives = False, -1
        second = Client(LocalTransport(HistoryService(journal)))  # the first one is gone, with all that it knew
        async with Worker(second, sagas=[collecting]):
            assert await second.handle("d", collecting).result(timeout=30) == list(range(6))
        for client in (first, second):
            await client.close()

    asyncio.run(scenario())


class Lagging(WrappedJournal):
    """The first run does not name the third until somebody reads the second: then a look names it, and purges the second."""

    armed = False

    def __init__(self) -> None:
        self.memory = MemoryJournal()
        super().__init__(self.memory)

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == "runs.advance" and args[2] >= 3:
            return None
        if name == "runs.events" and self.armed and args[0].run == 2:
            self.armed = False
            runs, heads = self.memory.runs, self.memory.tables.heads
            first, second = heads[Run("default", "w")], heads[args[0]]
            await runs.advance(first.run, first.incarnation, 3)
            await runs.purge(second.run, second.incarnation, second.ended_ms + 1)
        return await call(*args)


def test_a_run_that_is_purged_while_the_newest_is_looked_for_hides_no_newer_one() -> None:
    async def scenario() -> None:
        journal = Lagging()
        client = Client(LocalTransport(HistoryService(journal)))
        async with Worker(client, sagas=[waiting]), asyncio.timeout(30):
            handle = await client.start(waiting, 2, id="w")
            while Run("default", "w", 3) not in journal.memory.tables.heads:
                await asyncio.sleep(0.01)
            journal.armed = True
            assert (await raw.describe(handle)).key.run == 3
            assert not journal.armed
        await client.close()

    asyncio.run(scenario())


def test_a_message_that_a_dead_server_left_in_an_earlier_run_is_handed_on_when_it_comes_again() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        late = Config(message_hint_ms=60_000, rehint_ms=60_000)  # no hint helps
        client = Client(LocalTransport(HistoryService(journal, config=late)))
        async with Worker(client, sagas=[waiting]), asyncio.timeout(30):
            handle = await client.start(waiting, 3, id="w")
            while (await raw.describe(handle)).key.run < 4:
                await asyncio.sleep(0.02)
            left = h.SignalReceived(
                message_id="m1", name="go", input=p.Payload(data=codec.encode_call(("on",), {}, where="a signal"))
            )
            await journal.inbox.put(Run("default", "w", 2), h.InboxMessage(message_id="m1", received_ms=1, signal=left))
            await handle.signal("go", "on", message_id="m1")
            assert await handle.result(timeout=10) == "on"
        await client.close()

    asyncio.run(scenario())


APP = """
import asyncio, os
from durable_saga import saga, step, signal, continue_as_new

@step
def count(number: int) -> int:
    with open(os.environ["MARKS"], "a") as file:
        file.write(f"{number}\\n")
    return number

@saga
async def endless(seen: list, until: int) -> list:
    for _ in range(2):
        seen.append(await count(await signal("n")))
        if len(seen) == until:
            return seen
    await continue_as_new(seen, until)
"""


@pytest.mark.kill
@pytest.mark.timeout(240)
def test_no_signal_is_lost_or_doubled_when_server_and_worker_die_again_and_again(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen"]
    server = Process("server", [*command, "127.0.0.1:0"], tmp_path, "listening on")
    url = server.start({})
    again = Process("again", [*command, url], tmp_path, "listening on")
    worker = Process("worker", ["-m", "durable_saga", "worker", "app"], tmp_path, "worker")
    environment = {"DURABLE_SAGA_URL": url, "PYTHONPATH": str(tmp_path), "MARKS": str(tmp_path / "marks")}
    until, ended = 40, time.monotonic() + 150

    async def send() -> list[int]:
        async with connect(url) as client:
            handle = await client.start("endless", [], until, id="e")
            for number in range(until):
                await handle.signal("n", number, message_id=f"m{number}")
                await asyncio.sleep(0.1)
            return list(await handle.result(timeout=ended - time.monotonic()))

    async def kill(sending: asyncio.Task[list[int]]) -> None:
        for turn in range(6):
            await asyncio.sleep(0.9)
            if sending.done():
                return
            victim = again if turn % 2 else worker
            (server if victim is again else victim).kill()
            victim.kill()
            await asyncio.to_thread(victim.start, environment)

    async def storm() -> list[int]:
        sending = asyncio.create_task(send())
        await kill(sending)
        return await sending

    try:
        worker.start(environment)
        assert asyncio.run(storm()) == list(range(until))
    finally:
        for process in (worker, again, server):
            process.kill()
