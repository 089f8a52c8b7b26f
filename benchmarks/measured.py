"""What `benchmarks.against` runs once for each tree and round, with that tree's own packages: prints one JSON object.

Uses the public interface and `Core.replay()` alone, so that it runs on older trees too.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import re
import statistics
import sys
import tempfile
import time

from durable_saga import Client, Worker, codec, connect, saga, step
from durable_saga.cli.event_loop import run_fast
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import payload_pb2 as p
from durable_saga.replay import Core

STEPS = 10
ONE_AT_A_TIME = 150
SAGAS = {50: 600, 500: 1_000}
REPLAYED_STEPS = 5_000
REPLAYS = 5


@step(timeout=10)
async def number(given: int) -> dict[str, int]:
    return {"number": given}


@saga
async def chain(steps: int) -> int:
    found = 0
    for given in range(steps):
        found += (await number(given))["number"]
    return found


async def closed_loop(client: Client, outstanding: int) -> tuple[float, float]:
    """Steps a second, and microseconds of processor time a step, all threads of the process."""
    room = asyncio.Semaphore(outstanding)

    async def one() -> None:
        async with room:
            await (await client.start(chain, STEPS)).result()

    began, cpu, steps = time.perf_counter(), time.process_time(), SAGAS[outstanding] * STEPS
    await asyncio.gather(*(one() for _ in range(SAGAS[outstanding])))
    return steps / (time.perf_counter() - began), (time.process_time() - cpu) / steps * 1_000_000


async def one_at_a_time(client: Client) -> float:
    """Milliseconds of ten steps, from the start to the result: the median."""
    took = []
    for _ in range(ONE_AT_A_TIME):
        began = time.perf_counter()
        await (await client.start(chain, STEPS)).result()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000


async def engine(journal: str) -> dict[str, float]:
    async with connect(journal) as client, Worker(client, sagas=[chain], sagas_max=1_000):
        await closed_loop(client, 50)
        found = {"ten steps, ms, p50": await one_at_a_time(client)}
        for outstanding in SAGAS:
            rate, cpu = await closed_loop(client, outstanding)
            found[f"steps/s, {outstanding} outstanding"] = rate
            found[f"CPU a step, us, {outstanding} outstanding"] = cpu
        return found


async def through_a_server(journal: str) -> dict[str, float]:
    """The same by gRPC, with a server in a process of its own, without TLS."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "durable_saga", "server", "--journal", journal, "--listen", "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert server.stdout is not None, "piped"
        said = (await server.stdout.readline()).decode()
        found = re.search(r"127\.0\.0\.1:\d+", said)
        assert found is not None, said
        async with connect(found[0]) as client, Worker(client, sagas=[chain], sagas_max=1_000):
            await closed_loop(client, 50)
            ten_steps = await one_at_a_time(client)
            rate, _ = await closed_loop(client, 50)
        return {"gRPC: ten steps, ms, p50": ten_steps, "gRPC: steps/s, 50 outstanding": rate}
    finally:
        server.terminate()
        await server.wait()


def replay() -> float:
    """Microseconds a step."""
    key = h.RunKey(namespace="n", saga="s", run=1)
    data = codec.encode_call((REPLAYED_STEPS,), {}, where="input")
    started = h.SagaStarted(saga_type="chain", input=p.Payload(data=data), seed=b"0" * 16)
    if "rules" in started.DESCRIPTOR.fields_by_name:
        from durable_saga.pb.payloads import DETERMINISM_RULES

        started.rules = DETERMINISM_RULES
    first = h.Event(seq=0, time_ms=1, saga_started=started)
    core = Core(chain.definition, key)
    core.replay([first])
    journal = [first, *core.take().events]
    while not core.ended:
        call = journal[-1].step_scheduled.call
        payload = p.Payload(data=codec.encode({"number": 1}, where="r"))
        core.feed(h.Event(step_completed=h.StepCompleted(call=call, result=payload, attempt=1)), 2)
        journal += core.take().events
    best = float("inf")
    for _ in range(REPLAYS):
        began = time.perf_counter()
        Core(chain.definition, key).replay(journal)
        best = min(best, time.perf_counter() - began)
    return best / REPLAYED_STEPS * 1_000_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = run_fast(engine(f"sqlite:///{pathlib.Path(folder)}/measured.db"))
        found |= run_fast(through_a_server(f"sqlite:///{pathlib.Path(folder)}/served.db"))
    json.dump({**found, "replay of a step, us": replay()}, sys.stdout)


if __name__ == "__main__":
    main()
