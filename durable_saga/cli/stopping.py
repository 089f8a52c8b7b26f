"""SIGTERM and SIGINT of a worker process: it stops in order, and within STOP_SECONDS_MAX whatever its steps and threads do.

The handler is Python's, not the event loop's, which user code may block. A thread ends the process by force when it is still
there then, after it has shown where every thread stands; its sagas go to others as those of a worker that died.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
STOP_SECONDS_MAX = 29.0
"""Longer than a worker lets attempts finish (DRAIN_SECONDS), shorter than the 30 s that process managers wait."""


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call it in the main thread, on its loop. `stop` is called on the loop."""
    loop, asked = asyncio.get_running_loop(), queue.SimpleQueue[int]()
    threading.Thread(target=_stop, args=(asked, loop, stop), name="saga-stop", daemon=True).start()

    def handle(number: int, _: object) -> None:
        """It may interrupt saga code, which may do nothing and may swallow what is raised here."""
        asked.put(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _stop(asked: queue.SimpleQueue[int], loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    asked.get()
    try:
        loop.call_soon_threadsafe(stop)
    except RuntimeError:
        return  # the loop is closed: the program ends by itself
    time.sleep(STOP_SECONDS_MAX)
    log.error("the worker did not stop within %s s and is killed; its threads were here:", STOP_SECONDS_MAX)
    sys.stderr.flush()
    faulthandler.dump_traceback(all_threads=True)
    os._exit(1)
