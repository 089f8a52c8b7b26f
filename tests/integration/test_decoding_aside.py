"""Large values of a history are decoded in a thread: the worker's loop, and the other sagas on it, go on meanwhile."""

from __future__ import annotations

import asyncio
import pathlib
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from durable_saga import Handle, Worker, connect, event, saga, signal, state, step
from durable_saga.client import raw
from durable_saga.codec.decode import ASIDE_ABOVE_BYTES
from durable_saga.errors import SagaCompensated

MADE_IN: list[str] = []
BROKEN: list[bool] = []


@dataclass
class Page:
    number: int
    text: str

    def __post_init__(self) -> None:
        MADE_IN.append(threading.current_thread().name)
        if BROKEN:
            raise ValueError("this version knows no such page")


LARGE = "x" * 2 * ASIDE_ABOVE_BYTES


@step
async def page(number: int, size: int) -> Page:
    return Page(number, "x" * size)


@saga
async def book(cover: Page) -> list[int]:
    pages = [await page(number, len(LARGE) if number % 2 else 10) for number in range(6)]
    return [cover.number, *(one.number for one in pages), await event("printed", type=int)]


async def waiting_for_its_print(url: str) -> str:
    async with connect(url) as client, Worker(client, sagas=[book]):
        handle = await client.start(book, Page(100, LARGE))
        while await completed(handle) < 6:
            await asyncio.sleep(0.05)
        return handle.id


async def completed(handle: Handle[Any]) -> int:
    return sum(one.HasField("step_completed") for one in await raw.history_page(handle, large=False))


def test_a_worker_that_takes_over_decodes_large_values_in_a_thread(tmp_path: pathlib.Path) -> None:
    async def run() -> list[int]:
        url = f"sqlite:///{tmp_path}/journal.db"
        saga_id = await waiting_for_its_print(url)
        MADE_IN.clear()
        async with connect(url) as client, Worker(client, sagas=[book]):
            await client.handle(saga_id).signal("printed", 7)
            return await client.handle(saga_id, book).result(timeout=30)

    assert asyncio.run(run()) == [100, 0, 1, 2, 3, 4, 5, 7]
    here = threading.current_thread().name
    assert len(MADE_IN) == 7
    assert [name != here for name in MADE_IN] == [True, False, True, False, True, False, True], "the large ones, and no others"


def test_a_large_value_that_cannot_be_decoded_blocks_its_saga_as_a_small_one_does(tmp_path: pathlib.Path) -> None:
    async def run() -> str:
        url = f"sqlite:///{tmp_path}/journal.db"
        saga_id = await waiting_for_its_print(url)
        BROKEN.append(True)
        try:
            async with connect(url) as client, Worker(client, sagas=[book]):
                handle = client.handle(saga_id)
                await handle.signal("printed", 7)
                while not (blocked := (await handle.overview()).blocked):
                    await asyncio.sleep(0.05)
                return blocked
        finally:
            BROKEN.clear()

    assert "this version knows no such page" in asyncio.run(run())


@step
async def made(number: int) -> Page:
    return Page(number, LARGE)


@step
def made_in_a_thread(number: int) -> Page:
    return Page(number, LARGE)


@saga
async def press() -> list[int]:
    return [one.number for one in (await made(1), await made_in_a_thread(2))]


def test_the_large_result_of_a_step_is_checked_in_a_thread() -> None:
    async def run() -> list[int]:
        async with connect("memory:") as client, Worker(client, sagas=[press]):
            return await (await client.start(press)).result(timeout=30)

    MADE_IN.clear()
    assert asyncio.run(run()) == [1, 2]
    here = threading.current_thread().name
    assert [name == here for name in MADE_IN] == [True, False, False, False], "the first by its step; nothing else on the loop"


@dataclass
class Heavy:
    """Its check takes longer than a saga waits, or fails."""

    text: str
    fails: bool = False

    def __post_init__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            if self.fails:
                raise ValueError("this can't be made again")
            time.sleep(0.6)


UNDONE: list[Any] = []


@step
async def heavy(fails: bool) -> Heavy:
    UNDONE.append("done")
    return Heavy(LARGE, fails)


@heavy.compensation
async def unmake(fails: bool, result: Any) -> None:
    UNDONE.append(len(result["text"] if isinstance(result, dict) else result.text))


@saga
async def printing(fails: bool) -> str:
    try:
        async with asyncio.timeout(0.2 if not fails else None):
            await heavy(fails)
    except TimeoutError:
        return "cut off"
    return "not cut off"


@pytest.mark.parametrize("fails", [False, True])
def test_a_large_result_that_does_not_fit_or_whose_step_is_cancelled_meanwhile_is_undone_once(fails: bool) -> None:
    async def run() -> str:
        async with connect("memory:") as client, Worker(client, sagas=[printing]):
            return await (await client.start(printing, fails)).result(timeout=30)

    UNDONE.clear()
    if fails:
        with pytest.raises(SagaCompensated, match=r"a value of type \S*Heavy.*this can't be made again"):
            asyncio.run(run())
    else:
        assert asyncio.run(run()) == "cut off"
    assert ["done", len(LARGE)] == UNDONE


@saga
async def editor() -> list[int]:
    cover = await event("cover", type=Page)
    first = await event("first", type=Page)
    await signal("go on")
    return [cover.number, first.number, *state.get("pages", [])]


@editor.signal
async def page_of(one: Page) -> None:
    state.set("pages", [*state.get("pages", []), one.number])


def test_large_messages_are_decoded_in_a_thread_and_so_they_are_by_who_takes_over(tmp_path: pathlib.Path) -> None:
    here = threading.current_thread().name

    async def run() -> list[int]:
        url = f"sqlite:///{tmp_path}/journal.db"
        async with connect(url) as client, Worker(client, sagas=[editor]):
            handle = await client.start(editor, id="e")
            await handle.signal("first", Page(2, LARGE))  # nobody waits for it yet: decoded by who reads it
            for number in (3, 4):
                await handle.signal("page_of", Page(number, LARGE if number == 3 else "short"))
            while sum(one.kind == "state_changed" for one in await handle.history()) < 2:
                await asyncio.sleep(0.05)
            cover = Page(1, LARGE)
            MADE_IN.clear()
            await handle.signal("cover", cover)
            while sum(one.kind == "signal_received" for one in await handle.history()) < 4:
                await asyncio.sleep(0.05)
            assert {name != here for name in MADE_IN} == {True, False}, MADE_IN
        MADE_IN.clear()
        async with connect(url) as client, Worker(client, sagas=[editor]):
            handle = client.handle("e", editor)
            await handle.signal("go on")
            return await handle.result(timeout=30)

    assert asyncio.run(run()) == [1, 2, 3, 4]
    assert [name == here for name in MADE_IN].count(False) == 2, "those for whom somebody waited"
