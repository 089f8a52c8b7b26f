"""The simulated network: delays, losses, partitions, broken streams, as far as gRPC lets them through.

A stream is ordered and breaks as a whole. A unary call may be lost before or after it was carried out, or be carried out
twice, and its caller then tries again, at the next server of its list. A peer that does not answer for KEEPALIVE_US is taken
for gone. Messages are copied at sending, as serialization does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durable_saga_server.failures import ServiceError

from durable_saga.errors import Unavailable
from durable_saga.pb import worker_pb2 as w
from durable_saga.pb.calls import name_of
from durable_saga.transport.credentials import Credentials
from durable_saga.transport.routes import Routes
from durable_saga.transport.statuses import error_for
from durable_saga.transport.transport import Unreached, call_any

if TYPE_CHECKING:
    from tests.simulation.processes import Process, ServerProcess
    from tests.simulation.world import World

KEEPALIVE_US = 8_000_000
RESET_US_MAX = 50_000


def copy_of(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())


class Channel:
    """One way of a stream: ordered; nothing that is on its way arrives once it is cut."""

    def __init__(self, network: Network, sender: Process, receiver: Process) -> None:
        self._network = network
        self._sender = sender
        self.receiver = receiver
        self.last_us = 0
        self.cut = False
        self._items: list[Any] = []
        self._ended: Exception | None = None
        self._is_over = False
        self._wake = asyncio.Event()

    def send(self, item: Any) -> None:
        if not self.cut:
            self._schedule(self._arrive, copy_of(item))

    def end(self, error: Exception | None = None) -> None:
        """The last thing that arrives."""
        self._schedule(self._over, error)

    def _schedule(self, callback: Callable[[Any], None], item: Any) -> None:
        network = self._network
        self.last_us = max(self.last_us + 1, network.arrival_us(self._sender, self.receiver))
        network.world.loop.at(self.last_us, self.receiver.context, callback, item)

    def _arrive(self, item: Any) -> None:
        if not self.cut and not self._is_over:
            self._items.append(item)
            self._wake.set()

    def _over(self, error: Exception | None) -> None:
        self._ended, self._is_over = self._ended or error, True
        self._wake.set()

    async def items(self) -> AsyncIterator[Any]:
        while True:
            while self._items:
                yield self._items.pop(0)
            if self._is_over:
                if self._ended is not None:
                    raise self._ended
                return
            self._wake.clear()
            await self._wake.wait()


class Connection:
    """One Work stream between a worker and a server."""

    def __init__(self, network: Network, worker: Process, server: ServerProcess) -> None:
        self._network = network
        self.worker, self.server = worker, server
        self.up = Channel(network, worker, server)
        self.down = Channel(network, server, worker)
        self.is_broken = False
        self.handler: asyncio.Task[None] | None = None

    def open(self) -> None:
        at = self._network.arrival_us(self.worker, self.server)
        self.up.last_us = at
        self._network.world.loop.at(at, self.server.context, self._begin)

    def _begin(self) -> None:
        if not self.is_broken:
            self.handler = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        error: Exception | None = None
        try:
            async with aclosing(self.server.service.work(self.up.items())) as frames:  # type: ignore[type-var]
                async for frame in frames:
                    for item in frame.items:
                        self._network.world.oracle.sent_to_worker(self.server, self.worker, item)
                    self.down.send(frame)
        except ServiceError as refusal:
            error = error_for(refusal.code, refusal.message)
        except Exception as bug:
            self._network.world.oracle.broken("the server", f"a Work stream failed with {bug!r}")
        self.down.end(error)

    def broken(self, why: str, *, keep: Process | None = None) -> None:
        """Both sides notice, each at its own time; what was sent by `keep`, which died, may still arrive."""
        if self.is_broken:
            return
        self.is_broken = True
        self._network.forget(self)
        network, loop = self._network, self._network.world.loop
        network.world.say(self.worker.name, f"stream to {self.server.name} is broken: {why}")
        self.up.cut, self.down.cut = keep is not self.worker, keep is not self.server
        for channel in (self.up, self.down):
            notice_us = max(channel.last_us + 1, loop.now_us + network.world.dice.randrange(RESET_US_MAX))
            if channel is self.up:
                loop.at(notice_us, self.server.context, self._stop_serving)
            else:
                loop.at(notice_us, self.worker.context, channel._over, Unavailable(f"the stream is broken: {why}"))

    def _stop_serving(self) -> None:
        if self.handler is not None:
            self.handler.cancel()


class Network:
    """Owns the links, the streams and the calls under way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._connections: list[Connection] = []
        self._calls: dict[asyncio.Future[Any], tuple[Process, Process]] = {}
        self._cut_until_us: dict[tuple[str, str], int] = {}

    def _link(self, one: Process, other: Process) -> tuple[str, str]:
        return min(one.place, other.place), max(one.place, other.place)

    def arrival_us(self, sender: Process, receiver: Process) -> int:
        """When something sent now arrives: after the cut, if the link is cut."""
        sent_us = max(self.world.loop.now_us, self._cut_until_us.get(self._link(sender, receiver), 0))
        return sent_us + self.world.delay_us("network")

    def cut(self, one: Process, other: Process, until_us: int) -> None:
        self._cut_until_us[self._link(one, other)] = until_us
        if until_us - self.world.loop.now_us > KEEPALIVE_US:
            self._after_keepalive(lambda pair: self._link(*pair) == self._link(one, other), "the link is cut")

    def paused(self, process: Process) -> None:
        """Its peers give up when it is still paused after the keepalive."""
        self._after_keepalive(lambda pair: process in pair and process.is_paused, "the peer is silent")

    def _after_keepalive(self, concerns: Callable[[tuple[Process, Process]], bool], why: str) -> None:
        def check() -> None:
            self._lose(concerns, why)

        self.world.loop.at(self.world.loop.now_us + KEEPALIVE_US, self.world.context, check)

    def died(self, process: Process) -> None:
        for connection in list(self._connections):
            if process in (connection.worker, connection.server):
                connection.broken(f"{process.name} is gone", keep=process)
        self._lose(lambda pair: process in pair, f"{process.name} is gone")

    def _lose(self, concerns: Callable[[tuple[Process, Process]], bool], why: str) -> None:
        for connection in list(self._connections):
            if concerns((connection.worker, connection.server)):
                connection.broken(why)
        for future, pair in list(self._calls.items()):
            if concerns(pair):
                self._fail(future, why, self.world.dice.randrange(RESET_US_MAX))

    def forget(self, connection: Connection) -> None:
        self._connections.remove(connection)

    def break_stream(self, worker: Process) -> None:
        for connection in list(self._connections):
            if worker is connection.worker:
                connection.broken("a reset")

    # --- streams ---------------------------------------------------------------------------------------------------------

    async def connect(self, worker: Process, server: ServerProcess | None) -> Connection:
        """Raises Unavailable."""
        if server is None or not server.listening or server.is_dead:
            await asyncio.sleep(self.world.delay_us("network") / 1_000_000)
            raise Unavailable("nobody listens there")
        connection = Connection(self, worker, server)
        self._connections.append(connection)
        connection.open()
        if self.arrival_us(worker, server) > self.world.loop.now_us + KEEPALIVE_US:
            self._after_keepalive(lambda pair: pair == (worker, server), "it can't be reached")
        return connection

    # --- unary calls -------------------------------------------------------------------------------------------------------

    def call(self, client: Process, server: ServerProcess | None, method: str, request: Any) -> asyncio.Future[Any]:
        """One attempt; the future raises Unavailable or another ClientError."""
        loop, dice = self.world.loop, self.world.dice
        self.world.oracle.asked(method, request)
        future: asyncio.Future[Any] = loop.create_future()
        if server is None or not server.listening or server.is_dead:
            self._fail(future, "nobody listens there", self.world.delay_us("network"), client)
            return future
        self._calls[future] = (client, server)
        fate = dice.random() / self.world.faults_now.network if self.world.faults_now.network else 1.0
        copies = 0 if fate < 0.4 else 2 if fate < 0.6 else 1
        arrivals = [self.arrival_us(client, server) for _ in range(copies)]
        for at in arrivals:
            loop.at(at, server.context, self._begin, future, client, server, method, copy_of(request), 0.6 < fate < 1.0)
        if not copies:
            self._fail(future, "the call was lost", dice.randrange(KEEPALIVE_US))
        elif arrivals[0] > loop.now_us + KEEPALIVE_US:
            self._fail(future, "it can't be reached", KEEPALIVE_US)
        return future

    def _begin(self, future: asyncio.Future[Any], client: Process, server: ServerProcess, method: str, request: Any,
               lost: bool) -> None:  # fmt: skip
        asyncio.get_running_loop().create_task(self._carry_out(future, client, server, method, request, lost))

    async def _carry_out(
        self, future: asyncio.Future[Any], client: Process, server: ServerProcess, method: str, request: Any, lost: bool
    ) -> None:
        reply, error = None, None
        try:
            reply = copy_of(await server.service.calls[name_of(method)](request))
        except ServiceError as refusal:
            error = error_for(refusal.code, refusal.message)
        except Exception as bug:
            self.world.oracle.broken("the server", f"{method} failed with {bug!r}")
            return
        if lost:
            self._fail(future, "the answer was lost", self.world.dice.randrange(KEEPALIVE_US))
        else:
            at = self.arrival_us(server, client)
            self.world.loop.at(at, client.context, self._settle, future, reply, error)

    def _fail(self, future: asyncio.Future[Any], why: str, after_us: int, client: Process | None = None) -> None:
        client = client or self._calls[future][0] if client or future in self._calls else None
        if client is not None:
            at = self.world.loop.now_us + after_us
            self.world.loop.at(at, client.context, self._settle, future, None, Unavailable(why))

    def _settle(self, future: asyncio.Future[Any], reply: Any, error: Exception | None) -> None:
        self._calls.pop(future, None)
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(reply)


class SimulatedTransport:
    """As GrpcTransport, over the simulated network."""

    needs_heartbeats = False
    credentials = Credentials()

    def __init__(self, network: Network, process: Process, places: Sequence[str]) -> None:
        self.routes = Routes(places)
        self._network = network
        self._process = process

    async def ready(self) -> None: ...

    def check_hints_every(self, interval: float | timedelta) -> None: ...

    async def close(self) -> None: ...

    async def call(self, method: str, request: Any) -> Any:
        async def ask(target: str) -> Any:
            try:
                return await self._network.call(self._process, self._network.world.servers.get(target), method, request)
            except Unavailable as error:
                raise Unreached(str(error)) from error

        return await call_any(self.routes, request, ask)

    async def work(self, outgoing: AsyncIterator[w.WorkerFrame], target: str) -> AsyncIterator[w.ServerFrame]:
        connection = await self._network.connect(self._process, self._network.world.servers.get(target))
        sending = asyncio.get_running_loop().create_task(self._send(outgoing, connection.up))
        try:
            async for frame in connection.down.items():
                for item in frame.items:
                    self._network.world.oracle.arrived_at_worker(self._process, item)
                yield frame
        finally:
            sending.cancel()
            connection.broken("the worker closed it", keep=self._process)

    async def _send(self, outgoing: AsyncIterator[w.WorkerFrame], channel: Channel) -> None:
        async for frame in outgoing:
            channel.send(frame)
        channel.end()
