"""Several servers in processes of their own: they find each other, share the work, come, go and die.

With asyncio.run(), as all tests that use gRPC. Its poller is one for the process. The last events of calls that are cancelled
as a loop ends may come when that loop is closed; the loop of a later test finds them there and can only log them ("Event loop
is closed"). anyio's runner takes that for a failure of the later test.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterator
from typing import Any

import grpc.aio
import pytest
from durable_saga_server.journal.memory import MemoryJournal
from durable_saga_server.service import HistoryService

from durable_saga import Handle, connect
from durable_saga.pb import cell_pb2, client_pb2_grpc
from examples.demo.processes import Process, free_address
from tests.integration.sagas import approval

JOINED_SECONDS_MAX = 30.0
SAGAS = 30


class Servers:
    """History servers and one worker on one SQLite file."""

    def __init__(self, folder: pathlib.Path, count: int) -> None:
        self.folder = folder
        self.addresses = [free_address() for _ in range(count)]
        self.processes = [self._server(number, address) for number, address in enumerate(self.addresses)]
        self.worker = Process("worker", ["-m", "durable_saga", "worker", "tests.integration.sagas:approval"], folder, "worker")

    def _server(self, number: int, address: str) -> Process:
        command = ["-m", "durable_saga", "server", "--journal", f"sqlite:///{self.folder}/journal.db", "--listen", address]
        return Process(f"server-{number}", command, self.folder, "listening on")

    def start_worker(self, seed: str) -> None:
        self.worker.start({"DURABLE_SAGA_URL": seed})

    def stop(self) -> None:
        for process in [self.worker, *self.processes]:
            process.stop()


@pytest.fixture
def three(tmp_path: pathlib.Path) -> Iterator[Servers]:
    servers = Servers(tmp_path, 3)
    yield servers
    servers.stop()


async def wait_for_members(address: str, members: set[str]) -> cell_pb2.Cell:
    """What the server tells once it sees exactly these."""
    async with asyncio.timeout(JOINED_SECONDS_MAX), grpc.aio.insecure_channel(address) as channel:
        sagas: Any = client_pb2_grpc.SagasStub(channel)  # type: ignore[no-untyped-call]
        cell: cell_pb2.Cell
        async for cell in sagas.WatchCell(cell_pb2.CellRequest()):
            if set(cell.servers) == members:
                return cell
    raise AssertionError(f"{address} ended its stream before it saw {members}")


async def all_wait(handles: list[Handle[str]]) -> None:
    """Each has done its first step and waits for its signal."""
    for handle in handles:
        while not any(step.state == "done" for step in (await handle.describe()).steps):
            await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
def test_sagas_go_on_when_a_server_is_killed_and_when_one_stops_in_good_order(three: Servers) -> None:
    asyncio.run(killed_and_stopped(three))


async def killed_and_stopped(three: Servers) -> None:
    first, second, third = three.addresses
    for process in three.processes:
        process.start({})
    cells = [await wait_for_members(address, set(three.addresses)) for address in three.addresses]
    assert cells[0].homes == cells[1].homes == cells[2].homes
    assert {cells[0].servers[home] for home in cells[0].homes} == set(three.addresses), "each has a share of the shards"
    three.start_worker(first)
    async with connect(first) as client:
        handles = [await client.start(approval, id=f"cell-{number}") for number in range(SAGAS)]
        await all_wait(handles)
        three.processes[0].kill()
        for handle in handles[: SAGAS // 2]:
            await handle.signal("approve", "yes")
        assert [await handle.result(timeout=60) for handle in handles[: SAGAS // 2]] == ["yes"] * (SAGAS // 2)
        await wait_for_members(third, {second, third})
        assert three.processes[1].stop() == 0
        for handle in handles[SAGAS // 2 :]:
            await handle.signal("approve", "late")
        assert [await handle.result(timeout=60) for handle in handles[SAGAS // 2 :]] == ["late"] * (SAGAS // 2)
    three.processes[0].start({})
    await wait_for_members(third, {first, third})
    async with connect(f"{second},{first}") as client:  # one of the two is gone
        handles = [await client.start(approval, id=f"again-{number}") for number in range(SAGAS)]
        for handle in handles:
            await handle.signal("approve", "again")
        assert [await handle.result(timeout=60) for handle in handles] == ["again"] * SAGAS


def test_a_server_that_stops_ends_the_streams_that_tell_of_the_cell() -> None:
    asyncio.run(stopped_while_telling())


async def stopped_while_telling() -> None:
    service = HistoryService(MemoryJournal())
    await service.start_up()
    views = service.watch_cell()
    await anext(views)

    async def rest() -> list[cell_pb2.Cell]:
        return [view async for view in views]

    reading = asyncio.create_task(rest())
    await asyncio.sleep(0)
    await service.shut_down()
    async with asyncio.timeout(JOINED_SECONDS_MAX):
        await reading
