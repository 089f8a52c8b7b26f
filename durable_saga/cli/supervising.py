"""Several worker processes under one command: one that dies is started again, SIGTERM is passed on.

A child does not outlive its parent: when the parent is killed, nobody would stop the child any more, so it ends itself as on
SIGTERM, with its sagas given back. A child that dies again and again is started again with a growing pause.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

log = logging.getLogger(__name__)
JOIN_SECONDS = 0.2
RESTART_SECONDS = 1.0
RESTART_SECONDS_MAX = 30.0
LIVED_SECONDS = 60.0
"""A process that lived this long starts with the short pause again."""
STOP_SECONDS_MAX = 40.0
"""Longer than a worker takes to give its sagas back. What still runs then is killed: its sagas go to others."""


class _Child:
    """One place: the process that is in it, and when its next one may start."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._pause = RESTART_SECONDS
        self._due = float("inf")
        self.start()

    def start(self) -> None:
        self.process = self._make()
        self.process.start()
        self._began = time.monotonic()
        self._due = float("inf")

    def look(self) -> None:
        """Start again what died, once it is due."""
        now = time.monotonic()
        if self.process.is_alive():
            return
        if self._due == float("inf"):
            if now - self._began > LIVED_SECONDS:
                self._pause = RESTART_SECONDS
            log.warning(
                "worker process %s ended with exit code %s; a new one starts in %.0f s",
                self.process.pid,
                self.process.exitcode,
                self._pause,
            )
            self._due = now + self._pause
            self._pause = min(self._pause * 2, RESTART_SECONDS_MAX)
        elif now >= self._due:
            self.start()


def supervise(target: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
    """One process for each tuple of `arguments`, until SIGTERM or SIGINT. Spawns, never forks: gRPC has threads."""
    context = multiprocessing.get_context("spawn")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    children = [_Child(partial(context.Process, target=target, args=one)) for one in arguments]
    while not stopping.wait(JOIN_SECONDS):
        for child in children:
            child.look()
    for child in children:
        child.process.terminate()
    until = time.monotonic() + STOP_SECONDS_MAX
    for child in children:
        child.process.join(max(until - time.monotonic(), 0))
        if child.process.is_alive():
            log.warning("worker process %s did not end in time and is killed", child.process.pid)
            child.process.kill()
            child.process.join()


def end_with_parent() -> None:
    """For a child: when its parent is gone, end as on SIGTERM; by force when that takes longer than STOP_SECONDS_MAX."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a child has a parent"

    def watch() -> None:
        parent.join()
        log.warning("the process that started this worker is gone, so the worker ends too")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS_MAX)
        os._exit(1)

    threading.Thread(target=watch, name="saga-parent", daemon=True).start()
