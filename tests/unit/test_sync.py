"""The client for code without asyncio has all that the async one has, with the same parameters."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import durable_saga.declared.compiled  # noqa: F401  before a thread does: pytest parses it, and CPython 3.11 can't in two threads
from durable_saga import Client, Handle, Retry, Status, Worker, connect, event, saga, state, step
from durable_saga.client.sync import SyncClient, SyncHandle
from durable_saga.errors import AlreadyEnded, NotFound, UnsupportedOperation
from durable_saga.testing import SagaTestRunner

ONLY_SYNC = {"run", "iterate"}


def methods(kind: type) -> dict[str, Any]:
    return {name: one for name, one in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def shape(method: Any) -> list[tuple[str, Any, Any]]:
    """Of itself, not of what it wraps."""
    found = inspect.signature(method).parameters.values()
    return [(one.name, one.kind, one.default) for one in found if one.name != "self"]


@pytest.mark.parametrize(("theirs", "ours"), [(Client, SyncClient), (Handle, SyncHandle)])
def test_every_method_is_there_with_the_same_parameters_and_words(theirs: type, ours: type) -> None:
    wanted, found = methods(theirs), methods(ours)
    assert wanted.keys() - found.keys() == set()
    assert found.keys() - ONLY_SYNC - wanted.keys() == set()
    if theirs is Handle:
        assert found.keys() == wanted.keys()
    for name in found.keys() & wanted.keys():
        assert shape(found[name]) == shape(wanted[name]), name
        assert not inspect.iscoroutinefunction(found[name]), name
        assert name == "close" or found[name].__doc__ == wanted[name].__doc__, name


def test_a_sync_client_takes_what_connect_takes() -> None:
    assert shape(SyncClient.__init__) == shape(connect)
    handle: SyncHandle[Any]
    with SyncClient("memory:") as client:
        handle = client.handle("nobody")
        assert {name for name in vars(handle) if name[0] != "_"} == {name for name in vars(handle._handle) if name[0] != "_"}
        with pytest.raises(NotFound):
            handle.overview()


@step(retry=Retry(max_attempts=1))
async def pay(order: str) -> str:
    if order == "bad":
        raise ValueError("no")
    return order


@pay.compensation
async def refund(order: str) -> None: ...


@saga(when_failed="hold")
async def buys(order: str) -> str:
    state.set("order", order)
    await pay(order)
    return str(await event("address"))


@pytest.fixture
def client(tmp_path: Any) -> Iterator[SyncClient]:
    url = f"sqlite:///{tmp_path / 'orders.db'}"
    stop = threading.Event()

    async def work() -> None:
        async with connect(url) as one, Worker(one, sagas=[buys]):
            while not stop.is_set():
                await asyncio.sleep(0.02)

    worker = threading.Thread(target=asyncio.run, args=(work(),))
    worker.start()
    with SyncClient(url) as one:
        yield one
    stop.set()
    worker.join()


def test_a_saga_is_started_watched_asked_and_ended_without_asyncio(client: SyncClient) -> None:
    handle = client.start(buys, "o-1", id="o-1")
    assert client.start(buys, "o-1", id="o-1").already_started
    seen = []
    for found in handle.watch(interval=0.02):
        seen.append(found.status)
        if not found.completed_steps:
            continue
        if found.is_open:
            assert client.publish("address", "Main Street", saga="o-1", message_id="once") == 1
    assert (seen[-1], handle.result(timeout=5), handle.state()) == ("completed", "Main Street", {"order": "o-1"})
    assert client.handle("o-1", buys).result() == "Main Street"
    assert [one.seq for one in handle.history_page(1, limit=2)] == [1, 2]
    with pytest.raises(AlreadyEnded):
        handle.cancel("too late", who="ann")


def test_a_saga_that_is_held_is_compensated_and_counted_without_asyncio(client: SyncClient) -> None:
    handle = client.start(buys, "bad", id="o-2")
    assert any(found.status is Status.HELD for found in handle.watch(interval=0.02))
    handle.compensate("wrong order", who="ann")
    assert [found.status for found in handle.watch(interval=0.02)][-1] == "compensated"
    assert len(client.list(type="buys", status=["compensated"])) == 1
    assert len(client.list_page(limit=5).sagas) == 1
    assert client.statistics().compensated == 1


def test_it_is_refused_in_saga_code() -> None:
    with SyncClient("memory:") as client:

        @saga
        async def asks() -> None:
            client.handle("o-1").overview()

        assert UnsupportedOperation.__name__ in str(asyncio.run(SagaTestRunner().run(asks)).error)


def test_a_client_that_is_closed_says_so_and_leaves_nobody_waiting() -> None:
    client = SyncClient("memory:")
    handle = client.start("waits", id="w")
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            handle.result()
        except BaseException as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    client.close()
    waiting.join(20)
    assert not waiting.is_alive()
    assert len(ended) == 1
    client.close()
    with pytest.raises(RuntimeError, match="this SyncClient is closed"):
        client.start("waits", id="w")


def test_a_client_whose_thread_is_gone_says_so_and_can_be_closed() -> None:
    """As after a fork, which takes the calling thread alone into the child."""
    client = SyncClient("memory:")
    client._loop.call_soon_threadsafe(client._loop.stop)
    client._thread.join()
    with pytest.raises(RuntimeError, match="make one in each process"):
        client.start("waits", id="w")
    client.close()
    client._loop.close()
