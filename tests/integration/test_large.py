"""Large values, end to end: through steps, signals, state and results, on every journal, and through kill -9."""

from __future__ import annotations

import asyncio
import pathlib

import pytest

from durable_saga import Client, connect, on_failure, saga, signal, state, step
from durable_saga.client import raw
from durable_saga.codec import PAYLOAD_BYTES_MAX
from durable_saga.errors import InvalidArgument, LimitExceeded, NotFound, SagaCompensated
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.pb.payloads import PAYLOAD_INLINE_BYTES_MAX, payloads
from examples.demo.processes import Process
from tests.integration.stage import CASSANDRA, Play, player

MIB = 1024 * 1024
SEEN: list[tuple[str, int]] = []

APP = """
import asyncio, os
from durable_saga import saga, step, signal, Retry

def mark(text):
    with open(os.environ["MARKS"], "a") as file:
        file.write(text + "\\n")

@step
def grow(data: bytes, times: int) -> bytes:
    mark(f"grow {times}")
    return data * times

@step(retry=Retry(max_attempts=5))
async def pause(data: bytes) -> int:
    mark(f"pause {len(data)}")
    await asyncio.sleep(float(os.environ.get("HANG", "0")))
    return len(data)

@saga
async def growing(data: bytes) -> bytes:
    large = await grow(data, 5)
    assert await pause(large) == len(large)
    return large + await signal("more")
"""


@step
def double(data: bytes) -> bytes:
    return data * 2


@double.compensation
def undouble(data: bytes, result: bytes | None) -> None:
    SEEN.append(("undo", len(data) + len(result or b"")))


@step
def measure(data: bytes) -> int:
    return len(data)


@saga
async def large(data: bytes) -> bytes:
    state.set("first", data)
    found = await double(data)
    assert await measure(found) == len(found)
    return found + bytes(await signal("more"))


@saga
async def large_and_undone(data: bytes) -> None:
    on_failure(undouble, data)
    await double(data)
    raise ValueError("no")


@pytest.fixture(params=["memory", "sqlite", "grpc", CASSANDRA])
def play(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Play:
    return player(request, tmp_path)


def test_values_of_megabytes_go_through_steps_signals_state_and_results(play: Play) -> None:
    async def scenario(client: Client) -> None:
        data = bytes(range(256)) * 4 * 1024  # 1 MiB
        handle = await client.start(large, data, id="l")
        await handle.signal("more", data * 3)
        assert await handle.result() == data * 5
        assert (await handle.state())["first"] == data
        again = await client.start(large, data, id="l")
        assert await again.result() == data * 5
        for event in await raw.history(handle):
            assert event.ByteSize() - event.large_bytes < 2 * PAYLOAD_INLINE_BYTES_MAX
        result = (await raw.describe(handle)).result
        assert result.size == len(result.data)
        assert result.size > 5 * MIB

    play(scenario, [large])


def test_undoing_gets_large_arguments_and_results(play: Play) -> None:
    async def scenario(client: Client) -> None:
        SEEN.clear()
        handle = await client.start(large_and_undone, b"x" * MIB, id="u")
        with pytest.raises(SagaCompensated, match="no"):
            await handle.result()
        assert sorted(SEEN) == [("undo", MIB), ("undo", 3 * MIB)]

    play(scenario, [large_and_undone])


def test_the_largest_value_goes_through_and_one_byte_more_names_limit_and_size() -> None:
    async def scenario() -> None:
        async with connect("memory:") as client:
            with pytest.raises(
                LimitExceeded, match=rf"PAYLOAD_BYTES_MAX is {PAYLOAD_BYTES_MAX}: .* has \d+ bytes: keep the value"
            ):
                await client.start("large", b"x" * (PAYLOAD_BYTES_MAX + 1))
            data = b"x" * (PAYLOAD_BYTES_MAX - 20)
            handle = await client.start("large", data, id="max")
            (started,) = await raw.history(handle)
            assert len(next(payloads(started)).data) <= PAYLOAD_BYTES_MAX
            assert started.large_bytes > PAYLOAD_BYTES_MAX - 20
            key = h.RunKey(namespace="default", saga="max", run=1)
            with pytest.raises(InvalidArgument, match="hash"):
                await raw.fetch(client, key, p.Payload())
            with pytest.raises(NotFound, match="no value"):
                await raw.fetch(client, key, p.Payload(hash=b"h" * 32, size=5))

    asyncio.run(scenario())


def marks(folder: pathlib.Path) -> list[str]:
    file = folder / "marks"
    return file.read_text().split("\n")[:-1] if file.exists() else []


async def through_kills(folder: pathlib.Path, url: str, restart_server: object, worker: object) -> None:
    assert callable(restart_server)
    assert callable(worker)
    data = bytes(range(256)) * 4 * 1024
    async with connect(url) as client:
        handle = await client.start("growing", data, id="g")
        first = await asyncio.to_thread(worker, "60")
        while "pause 5242880" not in marks(folder):
            await asyncio.sleep(0.05)
        first.kill()
        await asyncio.to_thread(restart_server)
        await handle.signal("more", data * 2)
        await asyncio.to_thread(restart_server)
        await asyncio.to_thread(worker, "0")
        assert await handle.result(timeout=60) == data * 7


@pytest.mark.kill
@pytest.mark.timeout(180)
def test_large_values_survive_kill_9_of_worker_and_server(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    servers: list[Process] = []
    workers: list[Process] = []

    def start_server(listen: str = "127.0.0.1:0") -> str:
        command = ["-m", "durable_saga", "dev", "--file", f"{tmp_path}/d.db", "--listen", listen]
        servers.append(Process(f"server-{len(servers)}", command, tmp_path, "listening on"))
        return servers[-1].start({})

    def start_worker(hang: str) -> Process:
        process = Process(f"worker-{len(workers)}", ["-m", "durable_saga", "worker", "app"], tmp_path, "worker")
        process.start({"DURABLE_SAGA_URL": url, "PYTHONPATH": str(tmp_path), "MARKS": str(tmp_path / "marks"), "HANG": hang})
        workers.append(process)
        return process

    def restart_server() -> None:
        servers[-1].kill()
        start_server(url)

    url = start_server()
    try:
        asyncio.run(through_kills(tmp_path, url, restart_server, start_worker))
        assert marks(tmp_path) == ["grow 5", "pause 5242880", "pause 5242880"], "no step that was done ran again"
    finally:
        for process in [*workers, *servers]:
            process.kill()
