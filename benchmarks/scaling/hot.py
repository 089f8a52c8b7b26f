"""What one saga that gets very many signals costs the others."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from benchmarks.scaling.stand import Settings, Stand, many, warm_up
from benchmarks.workload import poked
from durable_saga import Client, Handle
from durable_saga.errors import Exhausted

SIGNALS = 10_000
SENDERS = 16
QUIET_SAGAS = 100
OTHERS_AT_ONCE = 2


async def pour(handle: Handle[Any], sender: int, count: int) -> int:
    """One signal after the other, again where there was no room; how often there was none."""
    refused = 0
    for number in range(count):
        while True:
            try:
                await handle.signal("poke", sender, number, message_id=f"{sender}-{number}")
                break
            except Exhausted as error:
                refused += 1
                await asyncio.sleep(error.retry_after or 1)
    return refused


def is_in_order(read: list[Any], each: int) -> bool:
    """All of each sender's, in its order."""
    return all([number for one, number in read if one == sender] == list(range(each)) for sender in range(SENDERS))


async def measure(client: Client, settings: Settings) -> dict[str, Any]:
    await warm_up(client)
    settings.say("others alone")
    quiet = await many(client, QUIET_SAGAS, OTHERS_AT_ONCE)
    each = max(round(SIGNALS * settings.share) // SENDERS, 1)
    handle = await client.start(poked, each * SENDERS)
    began = time.perf_counter()
    pouring = asyncio.gather(*(pour(handle, sender, each) for sender in range(SENDERS)))
    beside: list[float] = []
    while not pouring.done():
        settings.say(f"{len(beside)} others ended while signals come in")
        beside += await many(client, OTHERS_AT_ONCE, OTHERS_AT_ONCE)
    poured = time.perf_counter() - began
    refused = sum(await pouring)
    read = await handle.result()
    return {
        "signals": each * SENDERS,
        "signals_per_second": round(each * SENDERS / poured),
        "read_after_seconds": round(time.perf_counter() - began - poured, 2),
        "refused": refused,
        "is_in_order": is_in_order(read, each),
        "others": len(beside),
        "others_alone_p50_ms": round(statistics.median(quiet), 1),
        "others_alone_p99_ms": round(statistics.quantiles(quiet, n=100)[98], 1),
        "others_p50_ms": round(statistics.median(beside), 1),
        "others_max_ms": round(max(beside), 1),
    }


def hot(settings: Settings) -> None:
    for kind in settings.journals:
        with Stand(settings, settings.journal(kind)) as stand:
            stand.worker()
            found = stand.run(lambda client: measure(client, settings))
            settings.tell({"part": "hot", "journal": kind, **found})
