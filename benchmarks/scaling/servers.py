"""What more servers cost: statements and messages between them for each step, and while nothing happens; what three replicas
cost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.scaling.stand import STEPS, Settings, Stand, rates, speed, warm_up
from durable_saga import Client
from tests.cassandra_node import CassandraNode, free_port

COUNTS = (1, 2, 3)
ALONE, SAGAS, AT_ONCE = 50, 600, 50
WARM_SAGAS = 400
IDLE_SECONDS = 60.0
JOINED_SECONDS = 10.0
"""By then the servers know each other, and every worker knows all of them."""


def measure(settings: Settings, journal: str, count: int, nodes: Sequence[CassandraNode]) -> dict[str, Any]:
    """Speed, and for each step the processor time of each part and what the servers asked for."""
    sagas = max(round(SAGAS * settings.share), 30)

    async def work(client: Client) -> dict[str, float]:
        return await speed(client, ALONE, sagas, AT_ONCE)

    settings.say(f"{count} servers")
    with Stand(settings, journal, servers=count) as stand:
        stand.worker()
        time.sleep(JOINED_SECONDS)
        stand.run(partial(warm_up, sagas=WARM_SAGAS if settings.share == 1 else 50))
        before, spent = stand.counts(), stand.spent(nodes)
        found: dict[str, Any] = stand.run(work)
        after, counts = stand.spent(nodes), stand.counts() - before
    steps = (ALONE + sagas) * STEPS
    milliseconds = {name: round((after[name] - spent[name]) / steps * 1000, 3) for name in spent}
    return {"servers": count, **found, "processor_ms_per_step": milliseconds, "per_step": rates(counts, steps)}


def servers(settings: Settings) -> None:
    """One keyspace for all, so that they differ in nothing else; one server on SQLite beside them."""
    for kind in settings.journals:
        journal = settings.journal(kind)
        for count in COUNTS if kind == "cassandra" else (1,):
            nodes = [settings.node] if settings.node is not None and kind == "cassandra" else []
            settings.tell({"part": "servers", "journal": kind, **measure(settings, journal, count, nodes)})


def replicas(settings: Settings) -> None:
    """One server on three nodes of Cassandra that keep three replicas, all on this machine."""
    if "cassandra" not in settings.journals:
        return
    ports = free_port(), free_port()
    nodes = [CassandraNode(host=f"127.0.0.{number}", ports=ports) for number in (1, 2, 3)]
    try:
        for node in nodes:
            settings.say(f"starting {node.host}")
            node.start()
        hosts = ",".join(f"{node.host}:{ports[0]}" for node in nodes)
        journal = f"cassandra://{hosts}/scale?replication_factor=3"
        settings.tell({"part": "replicas", "journal": "cassandra", "nodes": 3, **measure(settings, journal, 1, nodes)})
    finally:
        for node in nodes:
            node.stop()


def shards(settings: Settings) -> None:
    """The cost of an idle cell: the hints of all shards, read by their homes."""
    for kind in settings.journals:
        journal = settings.journal(kind)
        for count in (1, 3):
            settings.say(f"{count} idle servers")
            with Stand(settings, journal, servers=count) as stand:
                time.sleep(JOINED_SECONDS)
                idle: dict[str, Any] = stand.idle(max(IDLE_SECONDS * settings.share, 10))
            settings.tell({"part": "shards", "journal": kind, "servers": count, "idle": idle})
