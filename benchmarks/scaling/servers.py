"""What more servers cost: statements and messages between them for each step, and while nothing happens."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.scaling.stand import STEPS, Settings, Stand, rates, speed, warm_up
from durable_saga import Client

COUNTS = (1, 2, 3)
ALONE, SAGAS, AT_ONCE = 50, 300, 50
IDLE_SECONDS = 60.0
JOINED_SECONDS = 10.0
"""By then the servers know each other, and every worker knows all of them."""


def _stand(settings: Settings, journal: str, count: int) -> Stand:
    settings.say(f"{count} servers")
    return Stand(settings, journal, servers=count)


def servers(settings: Settings) -> None:
    """One keyspace for all, so that they differ in nothing else."""
    if "cassandra" not in settings.journals:
        return
    journal = settings.journal("cassandra")
    sagas = max(round(SAGAS * settings.share), 30)

    async def work(client: Client) -> dict[str, float]:
        return await speed(client, ALONE, sagas, AT_ONCE)

    for count in COUNTS:
        with _stand(settings, journal, count) as stand:
            stand.worker()
            time.sleep(JOINED_SECONDS)
            stand.run(warm_up)
            before = stand.counts()
            found = stand.run(work)
            counts = stand.counts() - before
        steps = (ALONE + sagas) * STEPS
        settings.tell({"part": "servers", "servers": count, **found, "per_step": rates(counts, steps)})


def shards(settings: Settings) -> None:
    """The cost of an idle cell: the hints of all shards, read by their homes."""
    for kind in settings.journals:
        journal = settings.journal(kind)
        for count in (1, 3):
            with _stand(settings, journal, count) as stand:
                time.sleep(JOINED_SECONDS)
                idle: dict[str, Any] = stand.idle(max(IDLE_SECONDS * settings.share, 10))
            settings.tell({"part": "shards", "journal": kind, "servers": count, "idle": idle})
