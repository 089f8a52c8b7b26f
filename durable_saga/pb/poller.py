"""gRPC's poller for asyncio: one thread for all event loops of a process."""

from __future__ import annotations

from functools import cache

import grpc.aio


@cache
def keep_poller() -> None:
    """Call it before a channel or server is made, where a loop runs.

    gRPC ends the thread when the last channel, call and server has been collected, and waits for it in that destructor until
    every operation is over. An operation that its owner left under way keeps it there for good, and with it the program, at any
    instant at which Python collects. So the thread stays until the process ends; it waits and costs nothing.
    """
    grpc.aio.init_grpc_aio()
