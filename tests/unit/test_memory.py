"""What a run keeps in memory once its history is replayed: nothing of the message that brought it."""

from __future__ import annotations

import gc
import os
import pathlib

import pytest

from durable_saga import codec, saga, step
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.replay import Core
from durable_saga.worker.worker import copy_of

STEPS = 200
BYTES_PER_RESULT = 5_000
RUNS = 60


@step
async def fetches(number: int) -> str:
    return "-" * BYTES_PER_RESULT


@saga
async def forgets(steps: int) -> None:
    for number in range(steps):
        await fetches(number)


def frame() -> bytes:
    """One run that is handed out with STEPS finished steps, as it comes over the wire."""
    assign = w.Assign(key=h.RunKey(namespace="n", saga="s"))
    started = assign.events.add(seq=0, time_ms=1).saga_started
    started.saga_type, started.seed = "forgets", b"s" * 16
    started.input.data = codec.encode_call((STEPS + 1,), {}, where="forgets")
    for number in range(STEPS):
        asked = assign.events.add(seq=len(assign.events), time_ms=1).step_scheduled
        asked.call, asked.name = str(number + 1), "fetches"
        asked.input.data = codec.encode_call((number,), {}, where="fetches")
        done = assign.events.add(seq=len(assign.events), time_ms=1).step_completed
        done.call, done.attempt = str(number + 1), 1
        done.result.data = codec.encode("-" * BYTES_PER_RESULT, where="fetches")
    return w.ServerFrame(items=[w.ServerItem(assign=assign)]).SerializeToString()


def resident_bytes() -> int:
    gc.collect()
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def replayed(data: bytes) -> Core:
    assign = w.ServerFrame.FromString(data).items[0].assign
    core = Core(forgets.definition, copy_of(assign.key))
    core.replay(assign.events)
    return core


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_replayed_run_does_not_keep_its_history() -> None:
    data = frame()
    first = replayed(data)
    before = resident_bytes()
    cores = [replayed(data) for _ in range(RUNS)]
    kept = resident_bytes() - before
    assert len(data) > STEPS * BYTES_PER_RESULT
    assert kept < RUNS * len(data) / 3, f"{kept / RUNS:,.0f} bytes a run, of a history of {len(data):,}"
    assert all(core.history.next_seq == first.history.next_seq for core in cores)
