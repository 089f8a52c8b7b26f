"""What workers tell of their runs beside the status (docs/listing.md), as the journal keeps it."""

from __future__ import annotations

from durable_saga.pb import worker_pb2 as w
from durable_saga_server.journal import Doing


def doing_in(said: w.Commit | w.Release) -> Doing | None:
    """None: as before."""
    if not said.HasField("doing"):
        return None
    one = said.doing
    return Doing(one.sub_state, one.name, one.failure_type, one.attempt, one.next_ms, one.since_ms)
