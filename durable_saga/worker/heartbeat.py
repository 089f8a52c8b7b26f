"""Signs of life from a thread of its own, so that a worker whose event loop is blocked by user code is not taken for dead:
the line that blocks it is logged and told to the server."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from durable_saga.frames import frame_of
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb import worker_pb2_grpc
from durable_saga.transport.credentials import Credentials, Metadata
from durable_saga.transport.routes import Routes

log = logging.getLogger(__name__)
BEAT_SECONDS = 1.5
BEAT_TIMEOUT_SECONDS = 5.0
BLOCKED_SECONDS = 1.0


class Heartbeat:
    """Beats from `start()` to `stop()`; call both on the worker's loop."""

    def __init__(
        self, routes: Routes, worker: str, credentials: Credentials | None = None,
        secret: Callable[[str], bytes] = lambda target: b"",
    ) -> None:  # fmt: skip
        """`secret` tells what the server at a target gave this worker; it is asked in the thread."""
        self._routes = routes
        self._secret = secret
        self._credentials = credentials or Credentials()
        self._worker = worker
        self._stopped = threading.Event()
        self._seen = time.monotonic()
        self._reported = self._told = ""
        self._under_way: list[Any] = []
        self._thread = threading.Thread(target=self._run, name="saga-heartbeat", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread.start()

    async def stop(self) -> None:
        self._stopped.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        channels: dict[str, grpc.Channel] = {}
        version = self._credentials.version()
        try:
            while not self._stopped.wait(BEAT_SECONDS):
                targets = self._routes.targets()
                before, version = version, self._credentials.version()
                for target in [target for target in channels if version != before or target not in targets]:
                    channels.pop(target).close()
                request = w.BeatRequest(worker=self._worker, blocked_at=self._blocked_at())
                for target in targets:
                    try:
                        if target not in channels:
                            channels[target] = self._credentials.blocking_channel(target)
                        metadata = self._credentials.metadata(target)
                        request.secret = self._secret(target)
                    except Exception as error:  # of a file or the user's function: the next beat looks again
                        if (told := f"no heartbeat to {target}: {error}") != self._told:
                            self._told = told
                            log.warning("%s", told)
                    else:
                        self._beat(channels[target], request, metadata)
                try:
                    self._loop.call_soon_threadsafe(self._alive)
                except RuntimeError:
                    return  # the loop is closed
        finally:
            for channel in channels.values():
                channel.close()

    def _beat(self, channel: grpc.Channel, request: w.BeatRequest, metadata: Metadata | None) -> None:
        """Not waited for, and the streams tell failures; but kept, since gRPC cancels a call whose future is collected."""
        call = worker_pb2_grpc.WorkStub(channel).Beat.future(request, timeout=BEAT_TIMEOUT_SECONDS, metadata=metadata)
        self._under_way = [one for one in self._under_way if not one.done()]
        self._under_way.append(call)

    def _alive(self) -> None:
        self._seen = time.monotonic()

    def _blocked_at(self) -> str:
        """The user's line at which the loop has stood for longer than BLOCKED_SECONDS since the last beat, or ""."""
        if time.monotonic() - self._seen < BEAT_SECONDS + BLOCKED_SECONDS:
            self._reported = ""
            return ""
        frame = frame_of(self._loop_thread)
        while frame is not None and frame.f_globals.get("__name__", "").startswith(("durable_saga.", "importlib")):
            frame = frame.f_back
        place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}" if frame else ""
        if place and not self._reported:
            log.warning("the event loop is blocked at %s; make that step a plain function, which runs in a thread", place)
        self._reported = place
        return place
