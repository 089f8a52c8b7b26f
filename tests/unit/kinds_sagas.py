"""Sagas whose histories hold every kind of event: tests/histories/kinds-*.history. Their code stays as it is, as that of sagas
that are under way. For a new kind, add a saga that comes to it.

`python -m tests.unit.kinds_sagas` plays them and records what is not there yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import pathlib
from typing import Any

from durable_saga import (
    Client,
    Handle,
    NotApplied,
    Retry,
    Saga,
    SagaStep,
    Step,
    Worker,
    connect,
    correlate,
    event,
    on_failure,
    pivot,
    saga,
    scope,
    set_attributes,
    signal,
    sleep,
    state,
    step,
)
from durable_saga.client import raw
from durable_saga.errors import SagaError
from durable_saga.pb import history_pb2 as h
from durable_saga.recorded import SUFFIX, write_history

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "histories"
_TWICE = Retry(max_attempts=2, initial=0.001)
_FAILED: set[str] = set()
SECONDS_MAX = 30


@step(retry=_TWICE)
async def charge(name: str) -> str:
    """`late` never answers, `flaky` fails once."""
    if name == "late":
        await asyncio.sleep(60)
    if name == "refused":
        raise NotApplied(name)
    if name == "bad" or (name == "flaky" and name not in _FAILED):
        _FAILED.add(name)
        raise ValueError(name)
    return f"charged {name}"


@charge.compensation(retry=_TWICE)
async def refund(name: str, result: str | None) -> None:
    if name == "stuck":
        raise ValueError(name)


@step(retry=Retry(max_attempts=1))
async def send(name: str) -> str:
    """Fails once."""
    if name not in _FAILED:
        _FAILED.add(name)
        raise ValueError(name)
    return f"sent {name}"


@step
async def rule(name: str) -> str:
    return name


@rule.compensation(when=lambda error: False)
async def unrule(name: str) -> None: ...


async def tell(name: str) -> None:
    """Registered by on_failure()."""


@saga(name="kinds_child")
async def child(name: str) -> str:
    state.set("child", name)
    return await charge(name)


@saga(name="kinds_trip")
async def trip(customer: str) -> str:
    set_attributes(customer=customer)
    correlate(f"trip-{customer}")
    state.set("customer", customer)
    on_failure(tell, customer)
    await charge("stuck")
    await rule("a rule")
    await charge("flaky")
    await child("child")
    try:
        async with scope("gift"):
            await charge("gift")
            await charge("refused")
    except NotApplied:
        await sleep(0.001)
    try:
        async with asyncio.timeout(0.01):
            await charge("late")
    except TimeoutError:
        return str(await signal("go", int))
    return ""


@saga(name="kinds_waits")
async def waits() -> int:
    await charge("first")
    return await signal("go", int)


@saga(name="kinds_times_out", timeout=0.2)
async def times_out() -> int:
    await charge("first")
    return await signal("go", int)


@saga(name="kinds_settles")
async def settles() -> str:
    loser = asyncio.create_task(charge("late"))
    await event("close")
    loser.cancel()
    return await charge("winner")


@settles.signal
async def top_up(name: str) -> None:
    await charge(name)


@saga(name="kinds_held", when_failed="hold")
async def held() -> str:
    await send("parcel")
    pivot()
    return await charge("after")


@step(retry=Retry(max_attempts=2, initial=3600))
async def call_the_bank(name: str) -> str:
    """Fails once, and then waits for long."""
    if name not in _FAILED:
        _FAILED.add(name)
        raise ValueError(name)
    return f"called {name}"


@saga(name="kinds_retried")
async def retried() -> str:
    return await call_the_bank("bank")


class Skips(Saga):
    name = "kinds_skips"

    def define(self) -> list[SagaStep]:
        return [Step("never", self.act, condition=lambda context, results: False), Step("always", self.act)]

    async def act(self, context: Any) -> str:
        return str(context)


SAGAS: list[Any] = [trip, child, waits, times_out, settles, held, retried, Skips]


async def _end(handle: Handle[Any]) -> None:
    try:
        await handle.result()
    except SagaError:
        pass


async def _until_step(handle: Handle[Any], name: str, *states: str) -> str:
    """The call of a step that has come to one of these states."""
    while True:
        for one in (await handle.describe()).steps:
            if one.name == name and {one.state, one.compensation_state} & set(states):
                return one.call
        await asyncio.sleep(0.01)


async def play(client: Client) -> list[Handle[Any]]:
    """All of them, to their ends."""
    first = await client.start(trip, "c-7", id="trip")
    await _until_step(first, "charge", "cancelled")
    await first.cancel("no longer wanted")
    stuck = await _until_step(first, "charge", "stuck")
    await first.retry_compensation(stuck, "again")
    await asyncio.sleep(0.1)
    stuck = await _until_step(first, "charge", "stuck")
    await first.resolve_compensation(stuck, "by hand")
    paused = await client.start(waits, id="paused")
    await _until_step(paused, "charge", "done")
    await paused.pause("look at it", clocks="stop")
    await paused.resume("looked at")
    await paused.compensate("no longer wanted")
    ended = await client.start(waits, id="terminated")
    await _until_step(ended, "charge", "done")
    await ended.terminate("no longer wanted")
    again = await client.start(retried, id="retried")
    await _until_step(again, "call_the_bank", "retrying")
    await again.retry_now("the bank is back")
    stopped = await client.start(waits, id="stopped", after=3600)
    await stopped.cancel("no longer wanted")
    late = await client.start(times_out, id="late")
    settled = await client.start(settles, id="settled")
    await settled.signal(top_up, "bad")
    await _until_step(settled, "charge", "failed")
    await settled.signal("close")
    going = await client.start(held, id="held")
    while (await going.describe()).status != "held":
        await asyncio.sleep(0.01)
    await going.recover("let it go")
    skips = await client.start(Skips, "c-7", id="skips")
    later = await client.start(waits, id="later", after=3600)
    await later.cancel("no longer wanted")
    handles: list[Handle[Any]] = [first, paused, ended, again, stopped, late, settled, going, skips, later]
    for handle in handles:
        await _end(handle)
    return handles


async def record() -> None:
    """Writes the histories that are not there yet: what is recorded is never written again."""
    async with asyncio.timeout(SECONDS_MAX), connect("memory:", strict=False) as client, Worker(client, sagas=SAGAS):
        for handle in await play(client):
            file = FOLDER / f"kinds-{handle.id}{SUFFIX}"
            if not file.exists():
                write_history(file, [without_traceback(one) for one in await raw.history(handle)])
                with (FOLDER / "SHA256SUMS").open("a") as sums:
                    sums.write(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")


def without_traceback(event: h.Event) -> h.Event:
    """It names files of the machine."""
    failure = getattr(getattr(event, str(event.WhichOneof("kind"))), "failure", None)
    while failure is not None and failure.ByteSize():
        failure.ClearField("traceback")
        failure = failure.cause if failure.HasField("cause") else None
    return event


if __name__ == "__main__":
    asyncio.run(record())
