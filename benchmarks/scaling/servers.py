"""What more servers cost: statements and messages between them for each step, and while nothing happens."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from benchmarks.scaling.stand import STEPS, Settings, Stand, rates, speed, warm_up
from durable_saga import Client

COUNTS = (1, 2, 3)
ALONE, SAGAS, AT_ONCE = 50, 600, 50
WARM_SAGAS = 400
IDLE_SECONDS = 60.0
JOINED_SECONDS = 10.0
"""By then the servers know each other, and every worker knows all of them."""


def _stand(settings: Settings, journal: str, count: int) -> Stand:
    settings.say(f"{count} servers")
    return Stand(settings, journal, servers=count)


def servers(settings: Settings) -> None:
    """One keyspace for all, so that they differ in nothing else; one server on SQLite beside them."""
    sagas = max(round(SAGAS * settings.share), 30)

    async def work(client: Client) -> dict[str, float]:
        return await speed(client, ALONE, sagas, AT_ONCE)

    for kind in settings.journals:
        journal = settings.journal(kind)
        for count in COUNTS if kind == "cassandra" else (1,):
            with _stand(settings, journal, count) as stand:
                stand.worker()
                time.sleep(JOINED_SECONDS)
                stand.run(partial(warm_up, sagas=WARM_SAGAS if settings.share == 1 else 50))
                node = settings.node if kind == "cassandra" else None
                before, spent = stand.counts(), stand.spent(node)
                found = stand.run(work)
                after, counts = stand.spent(node), stand.counts() - before
            steps = (ALONE + sagas) * STEPS
            milliseconds = {name: round((after[name] - spent[name]) / steps * 1000, 3) for name in spent}
            settings.tell(
                {
                    "part": "servers", "journal": kind, "servers": count, **found,
                    "processor_ms_per_step": milliseconds, "per_step": rates(counts, steps),
                }
            )  # fmt: skip


def shards(settings: Settings) -> None:
    """The cost of an idle cell: the hints of all shards, read by their homes."""
    for kind in settings.journals:
        journal = settings.journal(kind)
        for count in (1, 3):
            with _stand(settings, journal, count) as stand:
                time.sleep(JOINED_SECONDS)
                idle: dict[str, Any] = stand.idle(max(IDLE_SECONDS * settings.share, 10))
            settings.tell({"part": "shards", "journal": kind, "servers": count, "idle": idle})
