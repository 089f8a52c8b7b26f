"""A sealed history that stands in a journal is opened and replays for ever.

`python -c "from tests.unit.test_sealed_histories import record; record('FILE')"` records one; a file that is here is never
written again.
"""

from __future__ import annotations

import asyncio
import pathlib
import tempfile

import pytest

from durable_saga import Retry, Worker, connect, saga, signal, state, step
from durable_saga.client import raw
from durable_saga.errors import MissingKey, SealBroken
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.recorded import read_history
from durable_saga.replay import Core
from durable_saga.sealing import KeyRing, Sealed
from durable_saga.sealing.messages import Sealing, open_assigned

FILE = pathlib.Path(__file__).resolve().parent.parent / "histories" / "sealed-1.history"
SECRET = "Kowalski-DE7551200"
KEY = bytes(range(32))


class Declined(Exception):
    def __init__(self, iban: str) -> None:
        super().__init__(f"the bank declined {iban}")
        self.iban = iban


@step
async def greet(name: str) -> str:
    return f"hello {name} " * 20


@greet.compensation
async def ungreet(name: str) -> None: ...


@step(retry=Retry(max_attempts=1))
async def charge(iban: str) -> None:
    raise Declined(iban)


@saga
async def recorded(name: str) -> str:
    state.set("name", name)
    hello = await greet(name)
    told = await signal("tell", str)
    try:
        await charge(name)
    except Declined as error:
        return f"{hello}{told}{error.iban}"
    return ""


def assigned() -> w.Assign:
    return w.Assign(key=h.RunKey(namespace="recorded", saga="s-1", run=1), events=read_history(FILE))


def test_a_recorded_sealed_history_is_opened_and_replays_alike_cut_anywhere() -> None:
    assert SECRET.encode() not in FILE.read_bytes()
    assign = assigned()
    assert all(event.sealed for event in assign.events if event.WhichOneof("kind") in ("step_completed", "step_failed"))
    open_assigned(Sealing(Sealed(KeyRing({"default:1": bytes(32), "default:3": KEY}))), assign, {})
    events = list(assign.events)
    for cut in range(1, len(events) + 1):
        core = Core(recorded.definition, h.RunKey(namespace="n", saga="s", run=1))
        core.replay(events[:cut])
        kinds = [event.WhichOneof("kind") for event in core.take().events]
        assert kinds == [event.WhichOneof("kind") for event in events[cut : cut + len(kinds)]]
        core.discard()
    assert core.status == h.COMPLETED
    (failed,) = [event.step_failed.failure for event in events if event.HasField("step_failed")]
    assert failed.message == f"the bank declined {SECRET}"


def test_it_is_opened_with_nothing_else() -> None:
    with pytest.raises(MissingKey, match="'default:3'"):
        open_assigned(Sealing(Sealed(KeyRing({"default:1": KEY}))), assigned(), {})
    with pytest.raises(SealBroken):
        open_assigned(Sealing(Sealed(KeyRing({"default:3": bytes(32)}))), assigned(), {})
    moved = assigned()
    moved.key.saga = "s-2"
    with pytest.raises(SealBroken):
        open_assigned(Sealing(Sealed(KeyRing({"default:3": KEY}))), moved, {})
    with pytest.raises(MissingKey, match="no codec"):
        open_assigned(None, assigned(), {})


def record(file: str) -> None:
    with pathlib.Path(file).open("xb") as into:
        for event in asyncio.run(run_once()):
            data = event.SerializeToString()
            into.write(len(data).to_bytes(4, "big") + data)


async def run_once() -> list[h.Event]:
    url = f"sqlite:///{tempfile.mkdtemp()}/j.db"
    codec = Sealed(KeyRing({"default:3": KEY}))
    async with connect(url, namespace="recorded", codec=codec) as client, Worker(client, sagas=[recorded]):
        handle = await client.start(recorded, SECRET, id="s-1")
        await handle.signal("tell", f"told {SECRET}")
        await handle.result()
    async with connect(url, namespace="recorded") as client:
        return await raw.history(client.handle("s-1"))
