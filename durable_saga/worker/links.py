"""A worker's streams, one to each server of the cell, and which of them carries what (docs/cell.md).

What is about a run goes to the run's home; while that can't be reached, to any other server. A stream that breaks is begun
again; a commit whose answer was lost with it is sent again by its run, a release that had not left goes another way.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from durable_saga.errors import ClientError
from durable_saga.pb import cell_pb2
from durable_saga.pb import history_pb2 as h
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.outbox import Outbox
from durable_saga.telemetry.catalogue import LINKS, RUNS
from durable_saga.telemetry.instruments import Watching
from durable_saga.transport.transport import Transport

log = logging.getLogger(__name__)
RECONNECT_SECONDS_MIN = 0.1
RECONNECT_SECONDS_MAX = 5.0


class Stream:
    """One connection, from its Hello on. `server` is how the other side calls itself; `is_up` after its Welcome."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.server = ""
        self.is_up = False
        self._outbox: Outbox[w.WorkerItem] = Outbox()

    def send(self, item: w.WorkerItem) -> None:
        self._outbox.put(item)

    @property
    def has_unsent(self) -> bool:
        return bool(self._outbox)

    def end(self) -> list[w.WorkerItem]:
        """No more frames; what has not left."""
        self.is_up = False
        self._outbox.close()
        return self._outbox.take()

    async def frames(self, hello: w.WorkerItem) -> AsyncIterator[w.WorkerFrame]:
        """What waits, until the end."""
        yield w.WorkerFrame(items=[hello])
        async for items in self._outbox.frames():
            yield w.WorkerFrame(items=items)


class Held(Protocol):
    """A run that the worker owns. `told`: the stream over which its home knows of it; `via`: that of its last
    commit, or of its release."""

    key: h.RunKey
    incarnation: bytes
    epoch: int
    told: Stream | None
    via: Stream | None

    def reconnected(self, lost: Stream | None) -> None:
        """What it sent over this stream may not have arrived; None: there was no stream before."""


class Links:
    """`hello()` makes the greeting without capacity and runs; `held()` are the worker's runs; `receive` gets each item."""

    def __init__(self, transport: Transport, worker: LinkedWorker, sagas_max: int) -> None:
        self._transport = transport
        self._routes = transport.routes
        self._worker = worker
        self._sagas_max = sagas_max
        self._share = 0
        self._secrets: dict[str, bytes] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._streams: dict[str, Stream] = {}
        self._homeless: list[w.WorkerItem] = []
        self._changed = asyncio.Event()
        self._watching = Watching(
            (LINKS, lambda: [(len(self._up()), ())]), (RUNS, lambda: [(len(list(worker.held())), ())])
        )  # fmt: skip

    def secret(self, target: str) -> bytes:
        """What the server there gave this worker; empty: nothing yet."""
        return self._secrets.get(target, b"")

    async def run(self) -> None:
        """Stay connected to every server until cancelled. Raises what waiting does not mend."""
        self._watching.start()
        try:
            while True:
                self._changed.clear()
                self._tend()
                await self._changed.wait()
                for target in [target for target, keeper in self._keepers.items() if keeper.done()]:
                    self._keepers.pop(target).result()
        finally:
            self._watching.stop()
            for keeper in self._keepers.values():
                keeper.cancel()
            await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    # --- sending -------------------------------------------------------------------------------------------------------

    def send(self, key: h.RunKey, item: w.WorkerItem) -> Stream | None:
        """To the run's home, or to whom can be reached. None: nobody can; a release is kept for the first that can."""
        stream = self._route(key)
        if stream is not None:
            stream.send(item)
        elif item.HasField("release"):
            self._homeless.append(item)
        return stream

    def send_all(self, item: w.WorkerItem) -> None:
        for stream in self._up():
            stream.send(item)

    @property
    def has_unsent(self) -> bool:
        return bool(self._homeless) or any(stream.has_unsent for stream in self._streams.values())

    def restart(self) -> None:
        """Greet every server anew."""
        for stream in self._streams.values():
            stream.end()

    def _up(self) -> list[Stream]:
        return [stream for stream in list(self._streams.values()) if stream.is_up]

    def _route(self, key: h.RunKey) -> Stream | None:
        home, other = self._routes.home(key.namespace, key.saga), None
        for stream in self._streams.values():
            if stream.is_up:
                if stream.server == home:
                    return stream
                other = other or stream
        return other

    # --- what servers tell ---------------------------------------------------------------------------------------------

    def welcomed(self, stream: Stream, welcome: w.Welcome) -> None:
        stream.server = welcome.cell.you_are_at or stream.target
        stream.is_up = True
        self._secrets[stream.target] = welcome.secret
        self.learn(stream, welcome.cell)
        kept, self._homeless = self._homeless, []
        for item in kept:
            self.send(item.release.key, item)
        for run in list(self._worker.held()):
            run.reconnected(None)

    def learn(self, stream: Stream, cell: cell_pb2.Cell) -> None:
        """The table of homes: go to servers that are new, and tell each home what is owned of its runs."""
        self._routes.learn(cell, stream.target)
        self._changed.set()
        if (share := self._share_of_room()) != self._share:
            self._share = share
            self.send_all(w.WorkerItem(capacity=w.Capacity(sagas=share)))
        for run in list(self._worker.held()):
            self.announce(run)

    def assigned(self, stream: Stream, run: Held) -> None:
        """A server gave us the run. Its home knows of it already when it was the home."""
        run.told = stream
        if stream.server != self._routes.home(run.key.namespace, run.key.saga):
            self.announce(run)

    def announce(self, run: Held) -> None:
        """Tell the run's home that we own it, unless it knows."""
        stream = self._route(run.key)
        if stream is not None and stream is not run.told:
            stream.send(_owned(run))
            run.told = stream

    def left(self, run: Held) -> None:
        """It is here no more. Its home, where the last word of it went to another server, is made to look who owns it."""
        if run.told is not None and run.via is not None and run.via is not run.told:
            run.told.send(_owned(run))

    # --- staying connected -----------------------------------------------------------------------------------------------

    def _share_of_room(self) -> int:
        return math.ceil(self._sagas_max / max(len(self._routes.servers()), 1))

    def _wanted(self) -> list[str]:
        """While nobody is reached, those that were named at first are tried too: the table may be an old one."""
        return self._routes.targets() if self._up() else [*self._routes.targets(), *self._routes.seeds]

    def _tend(self) -> None:
        served = {stream.server for stream in self._up()}
        for target in dict.fromkeys(self._wanted()):
            if target not in self._keepers and self._routes.server(target) not in served:
                self._keepers[target] = keeper = asyncio.create_task(self._keep(target), name=f"link-{target}")
                keeper.add_done_callback(lambda _: self._changed.set())

    async def _keep(self, target: str) -> None:
        """One stream after the other, until the server is none of the cell any more or is reached another way."""
        pause = RECONNECT_SECONDS_MIN
        loop = asyncio.get_running_loop()
        while True:
            began, stream = loop.time(), Stream(target)
            try:
                await self._connect(stream)
            except ClientError as error:
                where = target or "the engine"
                log.warning("worker %s: no stream to %s (%s); trying again in %.1f s", self._worker.name, where, error, pause)
            finally:
                self._lost(stream)
            if target not in self._wanted() or any(one.server == self._routes.server(target) for one in self._up()):
                return
            await asyncio.sleep(pause)
            pause = (
                RECONNECT_SECONDS_MIN if loop.time() - began > RECONNECT_SECONDS_MAX else min(pause * 2, RECONNECT_SECONDS_MAX)
            )

    async def _connect(self, stream: Stream) -> None:
        server = self._routes.server(stream.target)
        mine = [run for run in self._worker.held() if self._routes.home(run.key.namespace, run.key.saga) in ("", server)]
        for run in mine:
            run.told = stream
        self._share = self._share_of_room()
        hello = self._worker.hello()
        hello.capacity = self._share
        hello.secret = self._secrets.get(stream.target, b"")
        hello.owned.extend(w.Owned(key=run.key, epoch=run.epoch, incarnation=run.incarnation) for run in mine)
        self._streams[stream.target] = stream
        async for frame in self._transport.work(stream.frames(w.WorkerItem(hello=hello)), stream.target):
            for item in frame.items:
                self._worker.receive(stream, item)

    def _lost(self, stream: Stream) -> None:
        unsent = stream.end()
        if self._streams.get(stream.target) is stream:
            del self._streams[stream.target]
        for item in unsent:
            if item.HasField("release"):
                self.send(item.release.key, item)
        for run in list(self._worker.held()):
            if run.told is stream:
                run.told = None
            run.reconnected(stream)
            self.announce(run)
        self._changed.set()


class LinkedWorker(Protocol):
    """What the streams belong to."""

    name: str

    def hello(self) -> w.Hello: ...

    def held(self) -> Iterable[Held]: ...

    def receive(self, stream: Stream, item: w.ServerItem) -> None: ...


def _owned(run: Held) -> w.WorkerItem:
    return w.WorkerItem(owned=w.Owned(key=run.key, epoch=run.epoch, incarnation=run.incarnation))
