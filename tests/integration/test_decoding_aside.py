"""Large values of a history are decoded in a thread: the worker's loop, and the other sagas on it, go on meanwhile."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from dataclasses import dataclass
from typing import Any

from durable_saga import Handle, Worker, connect, event, saga, step
from durable_saga.client import raw
from durable_saga.codec.decode import ASIDE_ABOVE_BYTES

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
