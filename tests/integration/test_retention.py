"""Ended sagas are purged some time after their end: single ones, chains, through kill -9, and those from before."""

from __future__ import annotations

import asyncio
import pathlib
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from durable_saga_server.config import Config
from durable_saga_server.incoming.grpc_server import GrpcServer
from durable_saga_server.journal import Journal, JournalUnavailable, Outcome, Run, Unknown, shard_of
from durable_saga_server.journal.cassandra import CassandraJournal
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.journal.sqlite import SqliteJournal
from durable_saga_server.journal.wrapping import Call, WrappedJournal
from durable_saga_server.service import HistoryService

from durable_saga import Client, Worker, connect, continue_as_new, saga, signal, step
from durable_saga.cli import main
from durable_saga.cli.purging import tell_ended
from durable_saga.errors import NotFound
from durable_saga.transport.transport import LocalTransport
from examples.demo.processes import Process
from tests.integration.stage import CASSANDRA, cassandra_url, new_name

SHORT = Config(
    retention_ms=1_500, hint_grace_ms=500, rehint_ms=300, horizon_ms=2_000, sweep_ms=300, hint_late_ms=600, mark_every_ms=500,
    message_hint_ms=300, lease_ms=3_000,
)  # fmt: skip
FOR_EVER = replace(SHORT, retention_ms=0)
PURGED_SECONDS_MAX = 60.0
LARGE = b"x" * 40_000
JournalOf = Callable[[], Journal]


@step
def add(total: int, number: int) -> int:
    return total + number


@saga(keys=lambda number, data: [f"n={number}"])
async def single(number: int, data: bytes) -> int:
    return await add(number, 1)


@saga(keys=lambda left, data: ["chain"])
async def counting(left: int, data: bytes) -> str:
    if left:
        await continue_as_new(left - 1, data)
    return str(await signal("go"))


@saga
async def waiting() -> str:
    return str(await signal("go"))


SAGAS: list[Any] = [single, counting, waiting]


@pytest.fixture(params=["memory", "sqlite", CASSANDRA])
def journal_of(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> JournalOf:
    if request.param == "memory":
        one = MemoryJournal()
        return lambda: one
    if request.param == "sqlite":
        return lambda: SqliteJournal(tmp_path / "journal.db")
    address = request.getfixturevalue("cassandra")
    keyspace = cassandra_url(address).rpartition("/")[2].partition("?")[0]
    return lambda: CassandraJournal([address], keyspace, strict=False, replication_factor=1)


@asynccontextmanager
async def playing(journal: Journal, config: Config, namespace: str) -> AsyncIterator[Client]:
    """A real server on a port, a client and a worker."""
    service = HistoryService(journal, config=config)
    await service.start_up()
    server = GrpcServer(service, "127.0.0.1:0")
    await server.start()
    await service.join(f"127.0.0.1:{server.port}")
    async with connect(f"127.0.0.1:{server.port}", namespace=namespace) as client, Worker(client, sagas=SAGAS):
        yield client
    stopping = asyncio.create_task(server.stop(1))
    await service.shut_down()
    await stopping


async def is_purged(client: Client, *ids: str) -> None:
    """Returns once all of them are gone, from every view."""
    until = time.monotonic() + PURGED_SECONDS_MAX
    for name in ids:
        while True:
            try:
                await client.handle(name).describe()
            except NotFound:
                break
            assert time.monotonic() < until, f"{name} is still there"
            await asyncio.sleep(0.1)
    while {one.id async for one in client.list()} & set(ids):
        assert time.monotonic() < until, "the listing still shows it"
        await asyncio.sleep(0.1)


async def has_runs(client: Client, name: str, numbers: list[int]) -> None:
    """Returns once the listing shows these runs of the saga and no others."""
    until = time.monotonic() + PURGED_SECONDS_MAX
    while (found := {one.run: one.status async for one in client.list() if one.id == name}).keys() != set(numbers):
        assert time.monotonic() < until, f"runs {found}, not {numbers}"
        await asyncio.sleep(0.1)


def test_an_ended_saga_is_purged_and_an_open_one_is_not(journal_of: JournalOf) -> None:
    async def scenario(journal: Journal, namespace: str) -> None:
        async with playing(journal, SHORT, namespace) as client:
            stays = await client.start(waiting, id="stays")
            for turn in range(2):
                began = time.monotonic()
                handle = await client.start(single, turn, LARGE, id="goes")
                assert await handle.result() == turn + 1, "the id begins a new saga"
                ended = await client.start(waiting, id="ended by force")
                await asyncio.sleep(0.2)
                await ended.terminate("enough")
                listed = {one.id async for one in client.list()}
                is_late = time.monotonic() > began + SHORT.retention_ms / 1000  # some may be purged, on a busy machine
                assert is_late or listed == {"stays", "goes", "ended by force"}
                await is_purged(client, "goes", "ended by force")
                with pytest.raises(NotFound):
                    await handle.signal("go")
                with pytest.raises(NotFound):
                    await handle.history()
                with pytest.raises(NotFound, match="no open saga"):
                    await client.publish("go", key=f"n={turn}")
                assert (await client.statistics()).by_status == {"running": 1}
            await stays.signal("go", "on")
            assert await stays.result() == "on"

    asyncio.run(scenario(journal_of(), new_name()))


def test_a_chain_keeps_its_first_run_while_it_lives_and_goes_as_a_whole(journal_of: JournalOf) -> None:
    async def scenario(journal: Journal, namespace: str) -> None:
        async with playing(journal, SHORT, namespace) as client:
            for turn in range(2):
                handle = await client.start(counting, 4, LARGE, id="c")
                await has_runs(client, "c", [1, 5])
                assert (await handle.describe()).run == 5
                with pytest.raises(NotFound):
                    await client.handle("c", run=3).describe()
                assert (await client.start(counting, 4, LARGE, id="c")).id == "c"
                await client.publish("go", turn, key="chain")
                assert await handle.result() == str(turn)
                await is_purged(client, "c")
                await has_runs(client, "c", [])

    asyncio.run(scenario(journal_of(), new_name()))


async def hints_are_over(journal: Journal, runs: list[Run]) -> None:
    """Those that were written when these were started: no later engine looks at them by one."""
    over_ms = time.time() * 1000 + FOR_EVER.rehint_ms
    async with asyncio.timeout(PURGED_SECONDS_MAX):
        for run in runs:
            while await journal.hints.watermark(shard_of(run)) < over_ms:
                await asyncio.sleep(0.1)


def test_sagas_that_ended_before_are_found_when_they_are_told(journal_of: JournalOf) -> None:
    async def scenario(namespace: str) -> None:
        names = [f"old-{n}" for n in range(7)]
        journal = journal_of()
        async with playing(journal, FOR_EVER, namespace) as client:
            for number, name in enumerate(names):
                await (await client.start(single, number, b"", id=name)).result()
            await (await client.start(counting, 0, b"", id="open")).describe()
            await hints_are_over(journal, [Run(namespace, name) for name in names])
        async with playing(journal_of(), SHORT, namespace) as client:
            await asyncio.sleep(2)
            assert len([one async for one in client.list()]) == 8, "nobody looks at them"
            another = journal_of()
            await another.initialize()
            assert await tell_ended(another, namespace, 3) == 7
            await is_purged(client, *names)
            assert [one.id async for one in client.list()] == ["open"]

    asyncio.run(scenario(new_name()))


class PurgedMeanwhile(WrappedJournal):
    """Whoever reads the end of a run in the middle, once its time is over, finds that another look has just purged the run."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.gone: set[int] = set()

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name == "runs.events" and args[0].run not in {1, *self.gone}:
            runs, run = self._journal.runs, args[0]
            head = await runs.head(run)
            if head is not None and 0 < head.ended_ms <= time.time() * 1000 - SHORT.retention_ms:
                self.gone.add(run.run)
                await runs.purge(run, head.incarnation, head.ended_ms + 1)
        return await call(*args)


def test_looks_at_one_chain_at_the_same_time_do_not_end_the_looking() -> None:
    async def scenario(journal: PurgedMeanwhile) -> None:
        async with playing(journal, SHORT, "default") as client:
            await client.start(counting, 4, b"", id="c")
            await has_runs(client, "c", [1, 5])
            assert journal.gone
            await client.publish("go", 1, key="chain")
            await is_purged(client, "c")

    asyncio.run(scenario(PurgedMeanwhile()))


class Dying(WrappedJournal):
    """Refuses everything from a chosen purge on, before it, after it, or with its answer lost."""

    purges_left = 1_000
    way = "before"
    dead = False

    def __init__(self) -> None:
        self.memory = MemoryJournal()
        super().__init__(self.memory)

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name in ("runs.head", "runs.glance"):
            self._check()
        if name != "runs.purge":
            return await call(*args)
        self._check()
        self.purges_left -= 1
        self.dead = self.purges_left == 0
        if self.dead and self.way == "before":
            self._check()
        outcome = await call(*args)
        return Unknown("lost") if self.dead else outcome

    def _check(self) -> None:
        if self.dead:
            raise JournalUnavailable("dead")


@pytest.mark.parametrize("way", ["before", "after"])
@pytest.mark.parametrize("purges", [1, 2, 3])
def test_a_chain_whose_purge_was_cut_off_anywhere_is_purged_by_the_next_server(purges: int, way: str) -> None:
    async def scenario() -> None:
        journal = Dying()
        journal.way = way
        first = Client(LocalTransport(HistoryService(journal, config=FOR_EVER)))
        async with Worker(first, sagas=SAGAS):
            handle = await first.start(counting, 2, b"", id="c")
            await handle.signal("go", "on")
            assert await handle.result() == "on"
        await first.close()
        second = Client(LocalTransport(HistoryService(journal, config=SHORT)))
        journal.purges_left = purges
        await tell_ended(journal, "default", 100)
        async with Worker(second, sagas=SAGAS):  # an engine without workers is no home
            async with asyncio.timeout(PURGED_SECONDS_MAX):
                while not journal.dead:
                    await asyncio.sleep(0.05)
        await second.close()
        journal.dead, journal.purges_left = False, 1_000
        third = Client(LocalTransport(HistoryService(journal, config=SHORT)))  # with nothing of what the second knew
        async with Worker(third, sagas=SAGAS), asyncio.timeout(PURGED_SECONDS_MAX):
            await is_purged(third, "c")
            tables = journal.memory.tables
            while tables.heads or tables.events or tables.keys["default", "chain"]:
                await asyncio.sleep(0.05)
        await third.close()

    asyncio.run(scenario())


class LatePurge(WrappedJournal):
    """The purge of the last run is carried out a second after nobody could say what had become of it."""

    late: asyncio.Task[Outcome] | None = None

    def __init__(self) -> None:
        self.memory = MemoryJournal()
        super().__init__(self.memory)

    async def around(self, name: str, call: Call, *args: Any) -> Any:
        if name != "runs.purge" or args[0].run < 3 or (self.late is not None and self.late.done()):
            return await call(*args)
        if self.late is None:
            self.late = asyncio.create_task(self._later(call, *args))
        return Unknown("late")

    async def _later(self, purge: Call, *args: Any) -> Outcome:
        await asyncio.sleep(1)
        outcome: Outcome = await purge(*args)
        return outcome


def test_the_first_run_goes_also_where_nobody_heard_of_the_purge_of_the_last() -> None:
    async def scenario(journal: LatePurge) -> None:
        async with playing(journal, SHORT, "default") as client:
            handle = await client.start(counting, 2, b"", id="c")
            await handle.signal("go", "on")
            assert await handle.result() == "on"
            async with asyncio.timeout(PURGED_SECONDS_MAX):
                while journal.memory.tables.heads:
                    await asyncio.sleep(0.05)
            assert journal.late is not None
            await client.start(single, 1, b"", id="c")

    asyncio.run(scenario(LatePurge()))


SERVER = """
import asyncio, sys
from durable_saga_server.incoming.serving import serve
from tests.integration.test_retention import SHORT
asyncio.run(serve(sys.argv[1], sys.argv[2], strict=False, config=SHORT, ready=lambda text: print(text, flush=True)))
"""


@pytest.mark.kill
@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["sqlite", CASSANDRA])
def test_every_ended_saga_is_purged_though_the_server_dies_again_and_again(
    store: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> None:
    journal = f"sqlite:///{tmp_path}/journal.db"
    if store == "cassandra":
        journal = cassandra_url(request.getfixturevalue("cassandra"))
    server = Process("server", ["-c", SERVER, journal, "127.0.0.1:0"], tmp_path, "listening on")
    url = server.start({})
    again = Process("again", ["-c", SERVER, journal, url], tmp_path, "listening on")

    async def scenario() -> None:
        running = server
        async with connect(url, namespace=new_name()) as client, Worker(client, sagas=SAGAS):
            names: list[str] = []
            for turn in range(4):
                for number in range(6):
                    names.append(f"s{turn}-{number}")
                    await client.start(single, number, LARGE, id=names[-1])
                await client.start(counting, 2, b"", id=f"c{turn}")
                await client.handle(f"c{turn}").signal("go")
                names.append(f"c{turn}")
                await asyncio.sleep(0.3 + 0.5 * turn)
                running.kill()
                running = again
                await asyncio.to_thread(again.start, {})
            await is_purged(client, *names)
            assert (await client.statistics()).by_status == {}
            assert await (await client.start(single, 1, LARGE, id=names[0])).result() == 2

    try:
        asyncio.run(scenario())
    finally:
        for process in (again, server):
            process.kill()


def test_a_retention_shorter_than_what_may_be_on_its_way_is_refused() -> None:
    assert Config(retention_ms=120_000).retention_ms == 120_000
    for wrong in (-1, 1, 119_999, 10**15):
        with pytest.raises(ValueError, match=rf"retention_ms is {wrong}: it must be 0 .* or 120000 "):
            Config(retention_ms=wrong)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["server", "--journal", "memory:", "--retention", "30"], "'30' isn't a duration: write a number and d, h, m or s"),
        (["server", "--journal", "memory:", "--retention", "-3d"], "'-3d' isn't a duration"),
        (["server", "--journal", "memory:", "--retention", "60s"], "retention_ms is 60000: it must be 0 .* or 120000 "),
        (["dev", "--retention", "999999d"], "retention_ms is 86399913600000: it must be 0"),
        (["purge", "--journal", "mysql://x"], "isn't the URL of a journal"),
    ],
)
def test_a_wrong_retention_is_refused_with_what_is_right(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (1, 2)
    assert re.search(words, " ".join(done.output.split())), done.output


def test_the_command_tells_the_servers_of_every_ended_saga(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"

    async def scenario() -> None:
        async with connect(url) as client, Worker(client, sagas=SAGAS):
            for number in range(3):
                await (await client.start(single, number, b"")).result()
            await client.start(waiting)

    asyncio.run(scenario())
    for _ in range(2):
        done = CliRunner().invoke(main, ["purge", "--journal", url, "--per-second", "2"])
        assert done.exit_code == 0, done.output
        assert done.output.startswith("3 ended sagas handed to the servers")
