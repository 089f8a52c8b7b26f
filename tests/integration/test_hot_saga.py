"""One saga that gets more signals than its inbox holds, beside others that are at work."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest
from durable_saga_server.journal import INBOX_MESSAGES_MAX

from durable_saga import Client, Handle, Worker, connect, saga, signal, step
from durable_saga.errors import Exhausted

SENDERS = 16
EACH = INBOX_MESSAGES_MAX // SENDERS + 50
OTHERS_MIN = 20


@step
async def nothing(number: int) -> int:
    return number


@saga
async def ten_steps() -> int:
    return sum([await nothing(number) for number in range(10)])


@saga
async def hot(signals: int) -> list[tuple[int, int]]:
    return [tuple(await signal("poke")) for _ in range(signals)]


class Pouring:
    """Each sender waits for the acknowledgement of a signal before it sends the next one; what is refused it sends again."""

    def __init__(self, handle: Handle[Any]) -> None:
        self._handle = handle
        self.full = asyncio.Event()
        self.acknowledged = 0

    async def sender(self, sender: int) -> None:
        for number in range(EACH):
            while not await self._is_taken(sender, number):
                self.full.set()
                await asyncio.sleep(0.1)
            self.acknowledged += 1

    async def _is_taken(self, sender: int, number: int) -> bool:
        try:
            await self._handle.signal("poke", sender, number, message_id=f"{sender}-{number}")
        except Exhausted:
            return False
        return True


async def others(client: Client, pouring: asyncio.Future[Any]) -> int:
    ended = 0
    while not pouring.done():
        assert await (await client.start(ten_steps)).result(timeout=60) == 45
        ended += 1
    return ended


async def scenario(client: Client) -> None:
    """Nobody runs the hot saga until its inbox is full; then it reads while more comes in."""
    handle = await client.start(hot, SENDERS * EACH)
    pouring = Pouring(handle)
    all_poured = asyncio.gather(*(pouring.sender(number) for number in range(SENDERS)))
    beside = asyncio.create_task(others(client, all_poured))
    await pouring.full.wait()
    assert pouring.acknowledged >= INBOX_MESSAGES_MAX - SENDERS
    async with Worker(client, sagas=[hot]):
        await all_poured
        read = await handle.result(timeout=90)
        assert await beside >= OTHERS_MIN, "others go on meanwhile"
    for sender in range(SENDERS):
        assert [number for one, number in read if one == sender] == list(range(EACH)), "each once, in the order of its sender"


@pytest.mark.timeout(240)
def test_a_saga_whose_inbox_overflows_reads_every_acknowledged_signal_in_order_and_does_not_starve_others(
    tmp_path: pathlib.Path,
) -> None:
    async def run() -> None:
        async with connect(f"sqlite:///{tmp_path}/journal.db") as client, Worker(client, sagas=[ten_steps]):
            await asyncio.wait_for(scenario(client), 200)

    asyncio.run(run())
