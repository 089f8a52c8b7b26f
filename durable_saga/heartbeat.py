"""Signs of life from a thread of its own, so that a worker whose event loop is blocked by user code is not taken for dead:
the line that blocks it is logged and told to the server."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time

import grpc

from durable_saga.pb import worker_pb2 as w
from durable_saga.pb import worker_pb2_grpc

log = logging.getLogger(__name__)
BEAT_SECONDS = 1.5
BLOCKED_SECONDS = 1.0


class Heartbeat:
    """Beats from `start()` to `stop()`; call both on the worker's loop."""

    def __init__(self, target: str, worker: str) -> None:
        self._target = target
        self._worker = worker
        self._stopped = threading.Event()
        self._seen = time.monotonic()
        self._reported = ""
        self._thread = threading.Thread(target=self._run, name="saga-heartbeat", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread.start()

    async def stop(self) -> None:
        self._stopped.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        with grpc.insecure_channel(self._target) as channel:
            stub = worker_pb2_grpc.WorkStub(channel)
            while not self._stopped.wait(BEAT_SECONDS):
                try:
                    stub.Beat(w.BeatRequest(worker=self._worker, blocked_at=self._blocked_at()), timeout=BEAT_SECONDS)
                except grpc.RpcError:
                    pass  # the Work stream sees to it that somebody is told
                try:
                    self._loop.call_soon_threadsafe(self._alive)
                except RuntimeError:
                    return  # the loop is closed

    def _alive(self) -> None:
        self._seen = time.monotonic()

    def _blocked_at(self) -> str:
        """The user's line at which the loop has stood for longer than BLOCKED_SECONDS since the last beat, or ""."""
        if time.monotonic() - self._seen < BEAT_SECONDS + BLOCKED_SECONDS:
            self._reported = ""
            return ""
        frame = sys._current_frames().get(self._loop_thread)
        while frame is not None and frame.f_globals.get("__name__", "").startswith(("durable_saga.", "importlib")):
            frame = frame.f_back
        place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}" if frame else ""
        if place and not self._reported:
            log.warning("the event loop is blocked at %s; make that step a plain function, it then runs in a thread", place)
        self._reported = place
        return place
