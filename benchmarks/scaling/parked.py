"""What sagas that wait cost those that are at work, and the idle server."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from functools import partial
from typing import Any

from benchmarks.scaling.filling import fill, partitions
from benchmarks.scaling.stand import Settings, Stand, journal_bytes, speed, warm_up
from benchmarks.workload import approved
from durable_saga import Client
from durable_saga.cli.event_loop import run_fast

SIZES = (0, 100_000, 1_000_000)
IDLE_SECONDS = 30.0
ALONE, SAGAS, AT_ONCE = 100, 300, 50
WOKEN = 100
SEED = 7
FIRST = "the-first"
HINTS_SECONDS = 80.0
"""Behind the last saga that was started: by then its hints are looked at."""


async def park_one(client: Client) -> None:
    """The one that is copied."""
    handle = await client.start(approved, 0, id=FIRST)
    while (await handle.describe()).owner or (await handle.describe()).next_seq < 3:
        await asyncio.sleep(0.2)


async def wake(client: Client, number: int) -> float:
    began = time.perf_counter()
    await client.publish("approval", {"by": "ann"}, saga=f"parked-{number}")
    await client.handle(f"parked-{number}").result()
    return (time.perf_counter() - began) * 1000


async def timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return round((time.perf_counter() - began) * 1000, 1)


async def at_work(client: Client, fresh: range, share: float) -> dict[str, Any]:
    """`fresh`: those that were parked last; some of them are woken."""
    await warm_up(client)
    sagas = max(round(SAGAS * share), 30) if share < 1 else SAGAS
    found: dict[str, Any] = await speed(client, ALONE, sagas, AT_ONCE)
    if fresh:
        chosen = random.Random(SEED).sample(fresh, min(WOKEN, len(fresh)))
        woken = [await wake(client, number) for number in chosen]
        found["wake_p50_ms"] = round(statistics.median(woken), 1)
        found["wake_max_ms"] = round(max(woken), 1)
    found["list_page_ms"] = await timed(client.list_page(limit=100))
    found["statistics_ms"] = await timed(client.statistics())
    return found


def parked(settings: Settings) -> None:
    for kind in settings.journals:
        journal, there = settings.journal(kind), 0
        with Stand(settings, journal) as stand:
            stand.worker()
            stand.run(park_one)
        worked = time.monotonic()
        for size in (0, *settings.sizes(*SIZES[1:])):
            began = time.monotonic()
            if size:
                run_fast(fill(journal, FIRST, range(there, size), settings.say))
            filling, fresh, there = time.monotonic() - began, range(there, size), size
            if settings.share == 1:
                time.sleep(max(worked + HINTS_SECONDS - time.monotonic(), 15))  # a store that has got much tidies up
            with Stand(settings, journal) as stand:
                stand.worker()
                settings.say(f"idle with {size:,} parked")
                idle = stand.idle(max(IDLE_SECONDS * settings.share, 10))
                settings.say(f"at work with {size:,} parked")
                found = stand.run(partial(at_work, fresh=fresh, share=settings.share))
            worked = time.monotonic()
            if kind == "cassandra":
                found["tables_mb"] = run_fast(partitions(journal))
            settings.tell(
                {
                    "part": "parked", "journal": kind, "parked": size, **found, "idle": idle,
                    "filling_seconds": round(filling, 1), "journal_mb": round(journal_bytes(journal) / 1e6),
                }
            )  # fmt: skip
