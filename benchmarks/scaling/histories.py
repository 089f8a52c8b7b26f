"""What a commit costs by the length of its saga's history."""

from __future__ import annotations

import asyncio
import statistics
import time
from itertools import pairwise
from typing import Any

from benchmarks.scaling.stand import Settings, Stand, warm_up
from benchmarks.workload import stamped
from durable_saga import Client, codec
from durable_saga.client import raw

LENGTH = 10_000
PLACES = (100, 1_000, 10_000)
WINDOW = 200
WARM_STEPS = 1_000
TURNS = 3
POLL_SECONDS = 0.5


async def stamps(client: Client, steps: int, say: Any) -> list[float]:
    """How long each step took until the next began, in ms, as its worker saw it. The end is found by one event's being there:
    a description would read the whole history."""
    handle = await client.start(stamped, steps)
    last = 2 * steps + 1
    while not await raw.history_page(handle, last, limit=1):
        await asyncio.sleep(POLL_SECONDS)
        say(f"a saga of {steps} steps")
    times = [
        codec.decode(event.step_completed.result.data, int, where="stamp")
        for event in await raw.history(handle)
        if event.HasField("step_completed")
    ]
    return [(after - before) / 1e6 for before, after in pairwise(times)]


def around(took: list[float], place: int) -> float:
    """The mean of WINDOW steps with this one in the middle, or at the end."""
    last = min(place + WINDOW // 2, len(took))
    return statistics.fmean(took[max(last - WINDOW, 0) : last])


async def measure(client: Client, settings: Settings) -> dict[str, Any]:
    """One saga of LENGTH steps, and behind it a short one, TURNS times: what the machine itself does meanwhile shows in the
    short ones."""
    (length,) = settings.sizes(LENGTH)
    places = [place for place in PLACES if place <= length]
    await warm_up(client)
    await stamps(client, min(WARM_STEPS, length), settings.say)
    turns = []
    for _ in range(TURNS):
        took = await stamps(client, length, settings.say)
        fresh = await stamps(client, 2 * WINDOW, settings.say)
        found = {f"ms_at_{place}": round(around(took, place), 3) for place in places}
        found["ms_of_a_short_saga_after"] = round(statistics.fmean(fresh[100:]), 3)
        turns.append(found)
    middle = {name: round(statistics.median(turn[name] for turn in turns), 3) for name in turns[0]}
    ratio = middle[f"ms_at_{places[-1]}"] / middle[f"ms_at_{places[0]}"]
    return {"steps": length, **middle, "ratio": round(ratio, 3), "turns": turns}


def history(settings: Settings) -> None:
    for kind in settings.journals:
        with Stand(settings, settings.journal(kind)) as stand:
            stand.worker()
            began = time.monotonic()
            found = stand.run(lambda client: measure(client, settings))
            settings.tell({"part": "history", "journal": kind, **found, "seconds": round(time.monotonic() - began)})
