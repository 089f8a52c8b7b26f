"""The changes of one saga, for who shows its progress.

A server is asked to wait for the end, for one interval at a time, and tells then how far the history is; only where that has
changed, the saga is described anew. The end is told at once, anything else within the interval. Nothing is kept at the server:
who goes away ends it. Raises NotFound and Unavailable, as a single call does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

from durable_saga.client import raw
from durable_saga.client.asking import Asker
from durable_saga.client.overview import Overview, overview_of
from durable_saga.definition.retry import to_ms
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h

WATCH_SECONDS = 0.5
WATCH_MS_MAX = 20_000
"""A longer interval is this one: a server does not hold a call for longer."""


def changes(client: Asker, key: h.RunKey, interval: float | timedelta) -> AsyncIterator[Overview]:
    """Raises ValueError for an interval that is none."""
    interval_ms = min(to_ms(interval, name="interval"), WATCH_MS_MAX)
    if interval_ms < 1:
        raise ValueError(f"interval is {interval!r}: give seconds or a timedelta, at least a millisecond")
    return _changes(client, key, interval_ms)


async def _changes(client: Asker, key: h.RunKey, interval_ms: int) -> AsyncIterator[Overview]:
    loop = asyncio.get_running_loop()
    seen: tuple[int, int, int, str] | None = None
    told: Overview | None = None
    while True:
        asked = loop.time()
        wait_ms = 0 if seen is None else interval_ms
        reply = await client.transport.call("wait", c.WaitRequest(key=key, wait_ms=wait_ms, outcome=True))
        if (mark := _mark(reply)) != seen:
            seen = mark
            described = await raw.describe_key(client, key)
            if described.status == h.CONTINUED:
                key = h.RunKey(namespace=key.namespace, saga=key.saga)  # its newest run
            else:
                found = overview_of(described)
                if (new := replace(found, updated_at=None)) != told:
                    told = new
                    yield found
                if not found.is_open:
                    return
        if reply.status not in (h.RUNNING, h.COMPENSATING):  # a wait for one that is at rest is over at once
            await asyncio.sleep(asked + interval_ms / 1000 - loop.time())


def _mark(one: c.Description) -> tuple[int, int, int, str]:
    """Another one with each commit, also of another run."""
    return one.key.run, one.status, one.next_seq, one.blocked
