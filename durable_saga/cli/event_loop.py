"""What our own processes run on."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Coroutine
from typing import Any

import grpc

_POLLS_IN_PLACE = "-event_engine_client,-event_engine_listener"
_POLLS_IN_PLACE_UNTIL = (1, 85)
"""The last version of grpcio that is known to have it. A later one says `Unknown experiment` and goes on without."""


COLLECT_AFTER = 20_000
"""How many more objects are made than freed before Python looks for cycles among the young ones. Its own 700 is reached in
some ten messages under load, each of which lives through several looks: a tenth of the time. Among older ones it looks at
every second of these: with 20 instead of 2, 100,000 sagas that were started and parked left 280 MB for a while, not 80."""


def tune() -> None:
    """What our processes set for themselves; for a process of one's own that has nothing against it. gRPC reads its sockets in
    the thread that waits for them, as its Python package did up to 1.79, instead of handing over to another: a sixth less
    time for ten steps, where no channel was made before and GRPC_EXPERIMENTS is not set. Python looks for cycles less often,
    and never among what has been made so far."""
    if tuple(int(part) for part in grpc.__version__.split(".")[:2]) <= _POLLS_IN_PLACE_UNTIL:
        os.environ.setdefault("GRPC_EXPERIMENTS", _POLLS_IN_PLACE)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 2, 2)


def run_fast(work: Coroutine[Any, Any, Any]) -> Any:
    """Tuned, and on uvloop where it is installed (the extras `server` and `uvloop` bring it): a fifth less time a call."""
    tune()
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)
